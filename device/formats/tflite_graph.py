"""Reads the two ends of a `.tflite`'s graph, without the package flatbuffers and without a runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np

from device.formats.flatbuffer_reader import Flatbuffer
from device.formats.model_graph import MAX_VALUES, Constant, Graph, Key, Node, TensorFacts, small
from device.formats.tflite_check import TABLES
from device.preprocessing.encoding import Quantization

# TensorType and BuiltinOperator of TensorFlow's schema.fbs, as far as they are needed
TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool", 7: "int16", 8: "complex64",
    9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 15: "uint32", 16: "uint16",
}  # fmt: skip
OPERATIONS = {
    0: "Add", 1: "AveragePool", 2: "Concat", 3: "Conv", 4: "Conv", 6: "DequantizeLinear", 9: "Gemm", 14: "Sigmoid",
    18: "Mul", 22: "Reshape", 23: "Resize", 25: "Softmax", 34: "Pad", 39: "Transpose", 40: "ReduceMean", 41: "Sub",
    42: "Div", 43: "Squeeze", 45: "Slice", 50: "LogSoftmax", 53: "Cast", 56: "ArgMax", 60: "Pad", 65: "Slice",
    70: "Unsqueeze", 79: "ArgMin", 83: "Concat", 97: "Resize", 100: "Pad", 106: "Sum", 114: "QuantizeLinear", 126: "MatMul",
}  # fmt: skip


def read_tflite_graph(data: bytes) -> Graph:
    """Read the first graph of a model's own bytes. Raises ValueError or KeyError for a damaged one."""
    file = Flatbuffer(data, TABLES)
    model = file.table(file.number(0), "model")
    codes = [_operation(file, code) for code in model[1]]
    graph = model[2][0]
    tensors = [_tensor(file, place, table) for place, table in enumerate(graph[0])]
    nodes = [_node(file, codes, operator) for operator in graph.get(3, ())]
    inputs, outputs = (tuple(tensors[place] for place in file.numbers(graph[field])) for field in (1, 2))
    constants = _constants(file, data, model[4], graph[0], tensors)
    for node in nodes:  # of a float16 file: its weights become float32 as it runs
        if node.operation == "DequantizeLinear" and node.inputs[0] in constants:
            constants[node.outputs[0]] = constants[node.inputs[0]]
    quantized: dict[Key, tuple[str, Quantization]] = {tensor.key: (tensor.dtype, tensor.quantization) for tensor in tensors}
    return Graph(inputs, outputs, tuple(nodes), constants, quantized)


def _operation(file: Flatbuffer, code: Mapping[int, Any]) -> str:
    # Files from before 2.4 have only the older field, which is a byte
    older, newer = (file.number(code[field], size) if field in code else 0 for field, size in ((0, 1), (3, 4)))
    return OPERATIONS.get(max(older, newer), f"builtin {max(older, newer)}")


def _node(file: Flatbuffer, codes: list[str], operator: Mapping[int, Any]) -> Node:
    code = codes[file.number(operator[0]) if 0 in operator else 0]
    inputs, outputs = (tuple(file.numbers(operator.get(field, (0, 0)))) for field in (1, 2))
    return Node(code, inputs, outputs)


def _tensor(file: Flatbuffer, place: int, table: Mapping[int, Any]) -> TensorFacts:
    shape = file.numbers(table.get(0, (0, 0)))
    signature = file.numbers(table[7]) if 7 in table else shape
    kind = file.number(table[1], 1) if 1 in table else 0
    scale, zero_points = (0.0, [0])
    quantization = table.get(4, {})
    if 2 in quantization and quantization[2][1] == 1:  # one for the whole tensor
        scale = file.floats(quantization[2])[0]
        if not math.isfinite(scale):
            raise ValueError(f"tensor {place} has the scale {scale}")
        zero_points = _int64(file, quantization[3]) if 3 in quantization else [0]
    sides = signature if len(signature) == len(shape) else shape
    return TensorFacts(place, tuple(sides), TYPES.get(kind, f"type {kind}"), Quantization(scale, (zero_points or [0])[0]))


def _int64(file: Flatbuffer, span: tuple[int, int]) -> list[int]:
    return [file.number(span[0] + 8 * place, 8, signed=True) for place in range(span[1])]


def _constants(file: Flatbuffer, data: bytes, buffers: Any, tables: Any, tensors: list[TensorFacts]) -> dict[Key, Constant]:
    found: dict[Key, Constant] = {}
    for table, tensor in zip(tables, tensors):
        if tensor.dtype not in ("float32", "float16", "int8", "uint8", "int16", "int32"):
            continue
        raw = _content(file, data, buffers[file.number(table[2]) if 2 in table else 0])
        values = None
        if 0 < len(raw) <= MAX_VALUES * np.dtype(tensor.dtype).itemsize:
            values = small(np.frombuffer(raw, np.dtype(tensor.dtype).newbyteorder("<")))
        if values is not None:
            scale, zero_point = tensor.quantization.scale, tensor.quantization.zero_point
            found[tensor.key] = (values - zero_point) * scale if scale else values
    return found


def _content(file: Flatbuffer, data: bytes, buffer: Mapping[int, Any]) -> bytes:
    """Return a buffer's bytes: inside the flatbuffer, or behind it."""
    if 0 in buffer and buffer[0][1]:
        return file.bytes(buffer[0])
    offset, size = (file.number(buffer[field], 8) if field in buffer else 0 for field in (1, 2))
    return data[offset : offset + size] if offset > 1 else b""


def metadata_content(data: bytes, name: bytes) -> Optional[bytes]:
    """Return the metadata entry of that name, or None. Raises ValueError or KeyError for a damaged file."""
    file = Flatbuffer(data, TABLES)
    model = file.table(file.number(0), "model")
    for entry in model.get(6, ()):
        if 0 in entry and file.bytes(entry[0]) == name:
            place = file.number(entry[1]) if 1 in entry else 0
            return _content(file, data, model[4][place]) if place < len(model[4]) else None
    return None
