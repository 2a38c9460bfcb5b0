"""A quantized `.tflite` whose parts can be run separately and whose int32 biases can be changed."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.bias_correction.arithmetic import Means, channel_means
from convert.bias_correction.segments import Operation, Segment
from convert.formats.tflite_interpreter import opened
from convert.formats.tflite_reader import HEAVY, operation_name, read_model
from convert.formats.tflite_writer import pack
from train.data.dataset import Pixels

Values = npt.NDArray[Any]  # (N, ..., channels), in the tensor's type
WEIGHTS, BIAS = 1, 2  # indices among the inputs of an operation with weights


@dataclass(frozen=True)
class Target:
    """An operation with int8 weights and an int32 bias: its index, and the name of its output tensor."""

    place: int
    name: str


class TfliteGraph:
    """The first subgraph of a `.tflite`; tensors are named by their indices, as text."""

    def __init__(self, data: bytes) -> None:
        self.model = read_model(data)
        self._graph = self.model.subgraphs[0]

    @property
    def input(self) -> str:
        """Return the number of the graph's first input tensor, as text."""
        return str(self._graph.inputs[0])

    @cached_property
    def operations(self) -> list[Operation]:
        """Return the operators in their order, with the tensors that they take and give; constants are left out."""
        return [
            Operation(
                tuple(str(index) for index in operator.inputs if index >= 0 and not self._is_constant(index)),
                tuple(str(index) for index in operator.outputs),
            )
            for operator in self._graph.operators
        ]

    def targets(self) -> tuple[list[Target], int, int]:
        """Return the operations to correct, and how many with int8 weights have no bias, or a bias that is not int32."""
        from ai_edge_litert.schema_py_generated import TensorType

        found, without, other = [], 0, 0
        for place, operator in enumerate(self._graph.operators):
            if operation_name(self.model, operator) not in HEAVY:
                continue
            if self._graph.tensors[operator.inputs[WEIGHTS]].type != TensorType.INT8 or self._is_hybrid(operator):
                continue
            if len(operator.inputs) <= BIAS or operator.inputs[BIAS] < 0:
                without += 1
            elif self._bias_tensor(place).type != TensorType.INT32:
                other += 1
            else:
                found.append(Target(place, self._graph.tensors[operator.outputs[0]].name.decode(errors="replace")))
        return found, without, other

    def quantized_input(self, pixels: Pixels) -> Values:
        """Return pictures (N, H, W, C), 0..255, quantized as the graph's input tensor."""
        tensor = self._graph.tensors[self._graph.inputs[0]]
        kind = _dtype(tensor)
        if tensor.quantization is None or tensor.quantization.scale is None:
            return pixels.astype(kind)
        steps = np.round(pixels / float(tensor.quantization.scale[0])) + int(tensor.quantization.zeroPoint[0])
        limits = np.iinfo(kind)
        held: Values = np.clip(steps, limits.min, limits.max).astype(kind)
        return held

    def dequantized_means(self, place: int, values: Values) -> Means:
        """Return the channel means of an operation's output as real numbers."""
        quantization = self._graph.tensors[self._graph.operators[place].outputs[0]].quantization
        means = channel_means(values, -1)
        return (means - float(quantization.zeroPoint[0])) * float(quantization.scale[0])

    def output_bytes(self, place: int) -> int:
        """Return the size of an operation's int8 output for one picture."""
        return math.prod(self._graph.tensors[self._graph.operators[place].outputs[0]].shape)

    def run(self, segment: Segment, values: Mapping[str, Values]) -> Values:
        """Run a segment with known values, one picture at a time as a device does; return the target's output (N, ...)."""
        output = self._graph.operators[segment.target].outputs[0]
        interpreter = opened(self._part(segment, int(output)))
        details = interpreter.get_input_details()  # in the order of the part's inputs
        places = [(detail["index"], values[source]) for detail, source in zip(details, segment.sources, strict=True)]
        target = interpreter.get_output_details()[0]["index"]
        rows = []
        for number in range(len(next(iter(values.values())))):
            for index, source in places:
                interpreter.set_tensor(index, source[number : number + 1])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(target))
        return np.concatenate(rows)

    def bias(self, place: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Return an operation's bias (channels,) and the scale of its steps (channels,) or (1,)."""
        tensor = self._bias_tensor(place)
        data = np.frombuffer(bytes(bytearray(self.model.buffers[tensor.buffer].data)), np.int32)
        return data, np.asarray(tensor.quantization.scale, np.float64)

    def set_bias(self, place: int, bias: npt.NDArray[np.int32]) -> None:
        """Give an operation this bias. If it shares the old tensor with others, it gets a new one."""
        from ai_edge_litert.schema_py_generated import BufferT

        operator, tensor = self._graph.operators[place], self._bias_tensor(place)
        readers = sum(int(operator.inputs[BIAS]) in list(other.inputs) for other in self._graph.operators)
        if readers > 1:
            tensor = copy.deepcopy(tensor)
            self._graph.tensors.append(tensor)
            operator.inputs = [*operator.inputs]
            operator.inputs[BIAS] = len(self._graph.tensors) - 1
        if readers > 1 or sum(other.buffer == tensor.buffer for other in self._graph.tensors) > 1:
            self.model.buffers.append(BufferT())
            tensor.buffer = len(self.model.buffers) - 1
        self.model.buffers[tensor.buffer].data = np.frombuffer(bias.astype(np.int32).tobytes(), np.uint8)

    def packed(self) -> bytes:
        """Return the `.tflite` file's bytes."""
        return pack(self.model)

    def _bias_tensor(self, place: int) -> Any:
        return self._graph.tensors[self._graph.operators[place].inputs[BIAS]]

    def _is_constant(self, index: int) -> bool:
        data = self.model.buffers[self._graph.tensors[index].buffer].data
        return data is not None and len(data) > 0

    def _is_hybrid(self, operator: Any) -> bool:
        """Say whether int8 weights have a float input, as in dynamic_int8: nothing is rounded before the bias."""
        from ai_edge_litert.schema_py_generated import TensorType

        return bool(self._graph.tensors[operator.inputs[0]].type == TensorType.FLOAT32)

    def _part(self, segment: Segment, output: int) -> bytes:
        """Pack a model of only the segment's operations, tensors and weights, since packing takes time."""
        from ai_edge_litert import schema_py_generated as schema

        operators = [copy.copy(self._graph.operators[place]) for place in segment.operations]
        used = sorted({int(index) for one in operators for index in (*one.inputs, *one.outputs) if index >= 0})
        place_of = {index: place for place, index in enumerate(used)} | {-1: -1}
        for operator in operators:
            operator.inputs, operator.outputs = ([place_of[i] for i in of] for of in (operator.inputs, operator.outputs))
        tensors = [copy.copy(self._graph.tensors[index]) for index in used]
        buffers = [self.model.buffers[tensor.buffer] for tensor in tensors]
        for number, tensor in enumerate(tensors, start=1):  # buffer 0 is the empty buffer
            tensor.buffer = number
        part, graph = schema.ModelT(), schema.SubGraphT()
        graph.tensors, graph.operators = tensors, operators
        graph.inputs, graph.outputs = [place_of[int(source)] for source in segment.sources], [place_of[output]]
        part.version, part.operatorCodes, part.subgraphs = self.model.version, self.model.operatorCodes, [graph]
        part.buffers = [schema.BufferT(), *buffers]
        return pack(part)


def float_means(data: bytes, names: Sequence[str], pixels: Pixels) -> dict[str, Means]:
    """Run a float `.tflite` with pictures (N, H, W, C); return the channel means of those named tensors that it has."""
    interpreter = opened(data, keep_all=True)
    indices = {detail["name"]: detail["index"] for detail in interpreter.get_tensor_details()}
    image = interpreter.get_input_details()[0]
    sums: dict[str, Means] = {}
    for number in range(len(pixels)):
        interpreter.set_tensor(image["index"], pixels[number : number + 1].astype(image["dtype"]))
        interpreter.invoke()
        for name in names:
            if name in indices:
                sums[name] = sums.get(name, np.float64(0)) + channel_means(interpreter.get_tensor(indices[name]), -1)
    return {name: total / len(pixels) for name, total in sums.items()}


def _dtype(tensor: Any) -> Any:
    from ai_edge_litert.schema_py_generated import TensorType

    kinds = {TensorType.UINT8: np.uint8, TensorType.INT8: np.int8, TensorType.INT16: np.int16}
    return kinds.get(tensor.type, np.float32)
