"""Rewriting an ONNX graph of another exporter as one of ours: pixels 0..255 (N, H, W, C), float32, in; probabilities out.

The scaling, the change to the model's layout and the activation are nodes around the graph, which itself stays as it is.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.formats.onnx_tensors import constants, graphs, nodes, remove_unused_constants
from convert.formats.to_onnx import BEHIND, FRONT, INPUT_NAME, OPSET
from convert.importing.onnx_graph.interface import Interface
from convert.importing.onnx_graph.load import ONNX_DOMAINS
from convert.importing.onnx_graph.to_float32 import to_float32
from convert.importing.understood import Activation
from device.pictures.input_range import InputRange

OUTPUT_NAME = "probabilities"
BATCH = "batch"  # the name of a free batch
IR_VERSIONS = (8, 10)  # written ones: older list constants as inputs, few programs read newer
INSIDE = "source_"  # before names of the graph that are also ours
FLOAT, UINT8 = 1, 2  # onnx.TensorProto.DataType


@dataclass(frozen=True)
class Around:
    """What is added around a graph."""

    shape: tuple[int, int, int]  # (height, width, channels) of the pixels
    input_range: InputRange
    activation: Activation  # of the graph's outputs as they are
    classes: int  # 1: the probability of the second of two, or its logit


def rewritten(source: Any, interface: Interface, around: Around, free_batch: bool) -> Any:
    """Return a new onnx.ModelProto; `free_batch` removes a fixed batch, which not every graph allows."""
    model = _own_copy(source)
    to_float32(model)
    _rename(model, INPUT_NAME, f"{INSIDE}{INPUT_NAME}")
    _rename(model, OUTPUT_NAME, f"{INSIDE}{OUTPUT_NAME}")
    names = {INPUT_NAME: f"{INSIDE}{INPUT_NAME}", OUTPUT_NAME: f"{INSIDE}{OUTPUT_NAME}"}
    taken, given = (names.get(name, name) for name in (interface.input_name, interface.output_name))
    if free_batch and interface.batch is not None:
        _free_reshapes(model, interface.batch)
    front, front_constants = _front(taken, interface, around)
    back, back_constants = _back(given, interface, around)
    _put_around(model, taken, front, back, [*front_constants, *back_constants])
    remove_unused_constants(model.graph)
    batch = BATCH if free_batch else interface.batch
    _set_ends(model, [batch, *around.shape], [batch, max(2, around.classes)])
    return model


def _own_copy(source: Any) -> Any:
    """Return a copy without functions, training and metadata, of an opset and a version that this project writes."""
    import onnx
    from onnx import inliner, version_converter

    model = inliner.inline_local_functions(source) if source.functions else source
    opset = next(entry.version for entry in model.opset_import if entry.domain in ONNX_DOMAINS)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _constants_are_no_inputs(copy)
    copy.ir_version = max(IR_VERSIONS[0], min(copy.ir_version, IR_VERSIONS[1]))
    if opset < OPSET:
        with contextlib.suppress(Exception):  # its adapters may raise anything: the old opset runs too
            copy = version_converter.convert_version(copy, OPSET)
    del copy.metadata_props[:], copy.training_info[:]
    for number, node in enumerate(copy.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    return copy


def _constants_are_no_inputs(model: Any) -> None:
    """Take constants out of the inputs, where files before version 4 list them."""
    constant = {tensor.name for tensor in model.graph.initializer}
    kept = [entry for entry in model.graph.input if entry.name not in constant]
    del model.graph.input[:]
    model.graph.input.extend(kept)


def _rename(model: Any, name: str, new: str) -> None:
    """Give a tensor another name everywhere."""
    for graph in graphs(model.graph):
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = [new if one == name else one for one in names]
        for entry in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
            entry.name = new if entry.name == name else entry.name


def _free_reshapes(model: Any, batch: int) -> None:
    """Let each Reshape to a constant shape that begins with the fixed batch keep the batch that it gets."""
    from onnx import numpy_helper

    known = constants(model.graph)
    for number, node in enumerate(list(nodes(model.graph.node))):
        if node.op_type != "Reshape" or node.input[1] not in known or any(one.name == "allowzero" for one in node.attribute):
            continue
        shape = numpy_helper.to_array(known[node.input[1]])
        if shape.ndim == 1 and len(shape) > 1 and shape[0] == batch:
            name = f"{INSIDE}shape_{number}"
            model.graph.initializer.append(numpy_helper.from_array(np.array([0, *shape[1:]], np.int64), name))
            node.input[1] = name


def _front(taken: str, interface: Interface, around: Around) -> tuple[list[Any], list[Any]]:
    """Return the nodes (and their constants) from the pixels to the graph's input."""
    chain, kept = _Chain(INPUT_NAME, FRONT), around.input_range
    if kept.order == "bgr":
        chain.add("Gather", [np.array([2, 1, 0], np.int64)], axis=3)
    if set(kept.scale) != {1.0}:
        chain.add("Mul", [np.array(kept.scale, np.float32)])
    if set(kept.offset) != {0.0}:
        chain.add("Add", [np.array(kept.offset, np.float32)])
    if interface.dtype == "uint8":
        chain.add("Cast", [], to=UINT8)
    if interface.layout == "NCHW":
        chain.add("Transpose", [], perm=[0, 3, 1, 2])
    elif interface.layout == "NHW":
        chain.add("Squeeze", [np.array([3], np.int64)])
    return chain.ended(taken), chain.constants


def _back(given: str, interface: Interface, around: Around) -> tuple[list[Any], list[Any]]:
    """Return the nodes (and their constants) from the graph's output to a probability for each class."""
    chain = _Chain(given, BEHIND)
    if len(interface.output_shape) != 2:
        chain.add("Flatten", [], axis=1)
    if around.classes == 1:
        return _two_classes(chain, around)
    if around.activation == "logits":
        chain.add("Softmax", [], axis=1)
    return chain.ended(OUTPUT_NAME), chain.constants


def _two_classes(second: "_Chain", around: Around) -> tuple[list[Any], list[Any]]:
    """Return the nodes that put the probability of the first class, 1 - p, before that of the second, p."""
    from onnx import helper

    second.add("Sigmoid" if around.activation == "logits" else "Identity", [])
    first = _Chain(second.nodes[-1].output[0], f"{BEHIND}first_")
    first.add("Neg", [])
    first.add("Add", [np.array([1], np.float32)])
    names = [chain.nodes[-1].output[0] for chain in (first, second)]
    both = helper.make_node("Concat", names, [OUTPUT_NAME], name=f"{BEHIND}concat", axis=1)
    return [*second.nodes, *first.nodes, both], [*second.constants, *first.constants]


class _Chain:
    """A chain of nodes."""

    def __init__(self, start: str, prefix: str) -> None:
        self._start, self._prefix = start, prefix
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operation: str, values: Sequence[Any], **attributes: Any) -> None:
        """Add a node that takes the last one's output and constants."""
        from onnx import helper, numpy_helper

        name = f"{self._prefix}{operation.lower()}"
        names = [f"{name}_by"] if values else []
        self.constants += [numpy_helper.from_array(value, named) for value, named in zip(values, names, strict=True)]
        before = self.nodes[-1].output[0] if self.nodes else self._start
        self.nodes.append(helper.make_node(operation, [before, *names], [f"{name}_out"], name=name, **attributes))

    def ended(self, end: str) -> list[Any]:
        """Return the nodes, the last of which makes the tensor of that name."""
        if not self.nodes:
            self.add("Identity", [])
        self.nodes[-1].output[0] = end
        return self.nodes


def _put_around(model: Any, taken: str, front: Sequence[Any], back: Sequence[Any], added: Sequence[Any]) -> None:
    inside = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*front, *inside, *back])
    model.graph.initializer.extend(added)
    kept = [entry for entry in model.graph.value_info if entry.name != taken]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)


def _set_ends(model: Any, taken: Sequence[int | str | None], given: Sequence[int | str | None]) -> None:
    """Set the graph's input and output; what lies between is inferred again, since the batch and the sides may differ."""
    from onnx import helper

    graph = model.graph
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.append(helper.make_tensor_value_info(INPUT_NAME, FLOAT, list(taken)))
    graph.output.append(helper.make_tensor_value_info(OUTPUT_NAME, FLOAT, list(given)))
