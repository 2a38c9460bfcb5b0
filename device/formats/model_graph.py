"""The two ends of a model's graph: what its input takes, and what its output is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from device.preprocessing.encoding import NOT_QUANTIZED, Quantization

Key = Union[int, str]  # of a tensor: its index in a .tflite, its name in an .onnx
Constant = npt.NDArray[np.float64]  # (1,), or one value a channel
MAX_VALUES = 64  # of a constant that is read: a scale or an offset has one value, or one for each channel
FREE = -1  # a side without a fixed length


@dataclass(frozen=True)
class TensorFacts:
    """An input or output: `shape` has FREE for a side whose length the file leaves open."""

    key: Key
    shape: tuple[int, ...]
    dtype: str  # numpy's name, or the format's own where numpy has none
    quantization: Quantization = NOT_QUANTIZED

    @property
    def covered(self) -> Optional[tuple[float, float]]:
        """Return the real values of the least and the greatest whole number; None for other tensors."""
        return None if self.quantization.scale == 0 else covered(self.dtype, self.quantization)


def kind_of(dtype: str) -> str:
    """Return numpy's letter for the kind of a type: "i" or "u" for integers, "f" for floats; "" for a format's own types."""
    return np.dtype(dtype).kind if hasattr(np, dtype) else ""


def covered(dtype: str, quantization: Quantization) -> Optional[tuple[float, float]]:
    """Return the least and the greatest real value of an integer type; None for another type."""
    if kind_of(dtype) not in ("i", "u"):
        return None
    limits = np.iinfo(np.dtype(dtype))
    scale, zero_point = quantization.scale, quantization.zero_point
    return (limits.min - zero_point) * scale, (limits.max - zero_point) * scale


@dataclass(frozen=True)
class Node:
    """One operation, by the name that ONNX has for it."""

    operation: str
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]


@dataclass(frozen=True)
class Graph:
    """What a file says of its graph. Constants are those of at most MAX_VALUES values."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[Key, Constant]
    quantized: Mapping[Key, tuple[str, Quantization]] = field(default_factory=dict)  # type and quantization of tensors


@dataclass(frozen=True)
class Front:
    """What happens to an input before the first layer with weights: value · scale + offset, then the quantization."""

    scale: Sequence[float] = (1.0,)
    offset: Sequence[float] = (0.0,)
    operations: tuple[str, ...] = ()
    covered: Optional[tuple[float, float]] = None

    @property
    def takes(self) -> Optional[str]:
        """Return the range that it scales to the values that layers learn with, "0..255" or "0..1", or None."""
        scale, offset = (np.broadcast_to(np.array(each, float), (3,)) for each in (self.scale, self.offset))
        if not self.operations or not np.isfinite([*scale, *offset]).all() or not np.abs(scale).all():
            return None
        mean, deviation = -offset / scale, 1 / scale
        if np.abs(scale).max() * 255 <= SMALL or np.abs(mean).min() > SMALL:
            return "0..255"
        back_to_pixels = np.allclose(scale, 255) and not offset.any()
        normalized = _within(mean, MEANS) and _within(deviation, DEVIATIONS) and _round([*mean, *deviation])
        return "0..1" if back_to_pixels or normalized else None

    def then(self, operation: str, constant: Constant, first: bool = True) -> Optional[Front]:
        """Return what it is with one operation more on (value, constant), or (constant, value); None for another kind."""
        if len(constant) not in (1, 3) or (operation == "Div" and not (first and constant.all())):
            return None
        scale, offset = np.array(self.scale, float), np.array(self.offset, float)
        if operation == "Mul":
            scale, offset = scale * constant, offset * constant
        elif operation == "Div":
            scale, offset = scale / constant, offset / constant
        elif operation == "Add":
            offset = offset + constant
        elif operation == "Sub":
            scale, offset = (scale, offset - constant) if first else (-scale, constant - offset)
        else:
            return None
        said = f"{operation} {', '.join(f'{value:.4g}' for value in constant)}"
        return Front(tuple(scale), tuple(offset), (*self.operations, said), self.covered)


SMALL = 10.0  # values up to here are scaled, over it they are pixels'
MEANS, DEVIATIONS = (0.05, 0.95), (0.05, 0.6)  # that people normalize pixels 0..1 by
DECIMALS, ROUND = 4, 0.02  # written by hand, as 0.485 and 0.1307: what was learnt has more digits


def _within(values: Constant, limits: tuple[float, float]) -> bool:
    return bool((values >= limits[0]).all() and (values <= limits[1]).all())


def _round(values: Sequence[float]) -> bool:
    shifted = np.array(values) * 10**DECIMALS
    return bool((np.abs(shifted - np.round(shifted)) <= ROUND).all())


PASSED = {"Cast", "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Pad", "Resize", "Slice"}
KEPT = PASSED | {"QuantizeLinear", "DequantizeLinear", "Clip"}
ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid", "HardSigmoid": "sigmoid", "LogSoftmax": "logits"}
LINEAR = {"Gemm", "MatMul", "Conv"}  # a last layer of these has no activation
# What is kept by an average: that of probabilities is one, that of logits is a logit
AVERAGES = {"GlobalAveragePool", "AveragePool", "ReduceMean"}
KEEPS_MEANING = (KEPT - {"Clip"}) | AVERAGES | {"Dropout"}  # what is clipped may be a sigmoid made by hand
JOINS = {"Concat"}
COMBINES = {"Add", "Sub", "Mul", "Div", "Sum"}  # logits stay logits; probabilities need not stay ones


def front_of(graph: Graph) -> Front:
    """Follow the only input through the operations that scale it."""
    key, front = graph.inputs[0].key, Front()
    for _ in range(len(graph.nodes)):
        users = [node for node in graph.nodes if key in node.inputs]
        if len(users) != 1 or not users[0].outputs:
            return front
        node = users[0]
        if node.operation == "QuantizeLinear":
            front = _quantized(front, graph, node)
        elif node.operation in ("Mul", "Div", "Add", "Sub"):
            scaled = _scaled(front, graph.constants, node, key)
            if scaled is None:
                return front
            front = scaled
        elif node.operation == "BatchNormalization":
            return _normalized(front, graph.constants, node) or front
        elif node.operation not in KEPT:
            return front
        key = node.outputs[0]
    return front


def _quantized(front: Front, graph: Graph, node: Node) -> Front:
    found = graph.quantized.get(node.outputs[0])
    if found is None or found[1].scale == 0 or front.covered is not None:
        return front
    return Front(front.scale, front.offset, front.operations, covered(*found))


def _scaled(front: Front, constants: Mapping[Key, Constant], node: Node, key: Key) -> Optional[Front]:
    others = [each for each in node.inputs if each != key]
    constant = constants.get(others[0]) if len(others) == 1 else None
    return None if constant is None else front.then(node.operation, constant, first=node.inputs[0] == key)


def _normalized(front: Front, constants: Mapping[Key, Constant], node: Node) -> Optional[Front]:
    """Return what it is with a BatchNormalization more: (value - mean) / deviation · gain + bias."""
    known = [constants.get(key) for key in node.inputs[1:]]
    gain, bias, mean, variance = known if len(known) == 4 else [None] * 4
    if gain is None or bias is None or mean is None or variance is None or not (variance > 0).all():
        return None
    centred = front.then("Sub", mean)
    scaled = None if centred is None else centred.then("Div", np.sqrt(variance))
    found = None if scaled is None else scaled.then("Mul", gain)
    found = None if found is None else found.then("Add", bias)
    return None if found is None else Front(found.scale, found.offset, (*front.operations, node.operation), front.covered)


def activation_of(graph: Graph) -> Optional[str]:
    """Return "softmax", "sigmoid" or "logits" as the last operations of the only output say, else None."""
    made_by = {output: node for node in graph.nodes for output in node.outputs}
    known: dict[Key, Optional[str]] = {}
    waiting = [graph.outputs[0].key]
    while waiting:  # without recursion: a graph may be deeper than Python's stack
        key = waiting[-1]
        behind = _behind(made_by, key)
        missing = [other for other in behind if other not in known]
        if missing and key not in known:
            known[key] = None  # also what stays, should a damaged graph lead back here
            waiting += missing
            continue
        waiting.pop()
        known[key] = _meaning(made_by.get(key), [known[other] for other in behind])
    return known[graph.outputs[0].key]


def _behind(made_by: Mapping[Key, Node], key: Key) -> list[Key]:
    """Return the computed tensors that the meaning of a tensor depends on."""
    node = made_by.get(key)
    if node is None or node.operation in ACTIVATIONS or node.operation in LINEAR:
        return []
    if node.operation in KEEPS_MEANING:
        return list(node.inputs[:1])
    if node.operation in JOINS | COMBINES:
        return [other for other in node.inputs if other in made_by and made_by[other].inputs]
    return []


def _meaning(node: Optional[Node], behind: Sequence[Optional[str]]) -> Optional[str]:
    """Return what an operation gives, from what it is given; None: not known."""
    if node is None:
        return None
    if node.operation in ACTIVATIONS:
        return ACTIVATIONS[node.operation]
    if node.operation in LINEAR:
        return "logits"
    same = behind[0] if behind and len(set(behind)) == 1 else None
    return same if node.operation not in COMBINES or same == "logits" else None


def small(values: Any) -> Optional[Constant]:
    """Return a constant's values, flat, or None where it is too large to be a scale."""
    flat = np.asarray(values, np.float64).reshape(-1)
    return flat if 1 <= len(flat) <= MAX_VALUES else None
