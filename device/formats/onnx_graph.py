"""Reads the two ends of an `.onnx`'s graph, and the files of its weights, without the package onnx and without a runtime.

The numbers of fields are those of onnx/onnx.proto (IR version 13).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Optional

import numpy as np

from device.formats.model_graph import FREE, MAX_VALUES, Constant, Graph, Key, Node, TensorFacts, small
from device.formats.protobuf_reader import fields, varint
from device.preprocessing.encoding import Quantization

TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128",
}  # fmt: skip


def read_onnx_graph(data: bytes) -> Graph:
    """Read a model's graph. Raises ValueError or IndexError for a damaged one."""
    content = next((value for number, value, _ in fields(data) if number == 7), None)
    if content is None:
        raise ValueError("it holds no graph")
    nodes: list[Node] = []
    constants: dict[Key, Constant] = {}
    inputs: list[TensorFacts] = []
    outputs: list[TensorFacts] = []
    types: dict[Key, str] = {}
    for number, value, _ in fields(content):
        if number == 1:
            _add_node(value, nodes, constants)
        elif number == 5:
            name, kind, values = _tensor(value)
            types[name] = kind
            if values is not None:
                constants[name] = values
        elif number in (11, 12):
            (inputs if number == 11 else outputs).append(_value_info(value))
    given = tuple(each for each in inputs if each.key not in types)  # older files list their weights as inputs too
    return Graph(given, tuple(outputs), tuple(nodes), constants, _quantized(nodes, constants, types))


def external_files(data: bytes) -> list[str]:
    """Return the files, relative to the model's folder, that hold its weights. Raises ValueError or IndexError."""
    found: dict[str, None] = {}
    for number, graph, _ in fields(data):
        if number != 7:
            continue
        for inner, value, _ in fields(graph):
            if inner == 5:
                found.update(dict.fromkeys(_locations(value)))
            elif inner == 1:
                tensors = (each for attribute in _all(value, 5) for each in _all(attribute, 5))
                found.update(dict.fromkeys(location for tensor in tensors for location in _locations(tensor)))
    return list(found)


def _locations(tensor: memoryview) -> Iterator[str]:
    for entry in _all(tensor, 13):
        pair = {number: bytes(value) for number, value, _ in fields(entry)}
        if pair.get(1) == b"location":
            yield pair.get(2, b"").decode("utf-8", "replace")


def _all(message: memoryview, wanted: int) -> list[memoryview]:
    return [value for number, value, _ in fields(message) if number == wanted]


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")


def _number(value: memoryview) -> int:
    found = varint(value)[0]
    return found - (1 << 64) if found >= 1 << 63 else found


def _add_node(message: memoryview, nodes: list[Node], constants: dict[Key, Constant]) -> None:
    inputs: list[Key] = []
    outputs: list[Key] = []
    operation, attributes = "", []
    for number, value, _ in fields(message):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 4:
            operation = _text(value)
        elif number == 5:
            attributes.append(value)
    if operation != "Constant":
        nodes.append(Node(operation, tuple(inputs), tuple(outputs)))
        return
    for attribute in attributes:
        values = _constant(attribute)
        if values is not None and outputs:
            constants[outputs[0]] = values


def _constant(attribute: memoryview) -> Optional[Constant]:
    """Return the value of a Constant's attribute: a tensor (field 5), a float (2) or a whole number (3)."""
    for number, value, _ in fields(attribute):
        if number == 5:
            return _tensor(value)[2]
        if number == 2:
            return small(np.frombuffer(value, "<f4"))
        if number == 3:
            return small([_number(value)])
    return None


def _tensor(message: memoryview) -> tuple[str, str, Optional[Constant]]:
    """Return a tensor's name and type, and its values where they are few."""
    name, kind = "", ""
    raw: Optional[memoryview] = None
    numbers: Optional[Constant] = None
    for number, value, _ in fields(message):
        if number == 2:
            kind = TYPES.get(_number(value), "")
        elif number == 8:
            name = _text(value)
        elif number in (4, 9, 10) and len(value) <= 8 * MAX_VALUES:  # packed floats, raw bytes, packed doubles
            raw = value
        elif number in (5, 7) and len(value) <= 10 * MAX_VALUES:
            numbers = _packed(value)
    if raw is None or kind in ("", "string") or len(raw) % np.dtype(kind).itemsize:
        return name, kind, numbers
    return name, kind, small(np.frombuffer(raw, np.dtype(kind).newbyteorder("<")).real)


def _packed(value: memoryview) -> Optional[Constant]:
    numbers: list[int] = []
    at = 0
    while at < len(value):
        number, at = varint(value, at)
        numbers.append(number - (1 << 64) if number >= 1 << 63 else number)
    return small(numbers)


def _value_info(message: memoryview) -> TensorFacts:
    """Read a ValueInfoProto: name 1, type 2; of its tensor type (1): element type 1, shape 2, of sides (1)."""
    name, kind = "", "unknown"
    shape: tuple[int, ...] = ()
    for number, value, _ in fields(message):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for tensor in _all(value, 1):
                kind = next((TYPES.get(_number(each), "unknown") for each in _all(tensor, 1)), "unknown")
                shape = tuple(_side(side) for sides in _all(tensor, 2) for side in _all(sides, 1))
    return TensorFacts(name, shape, kind)


def _side(message: memoryview) -> int:
    return next((_number(value) for value in _all(message, 1)), FREE)


def _quantized(
    nodes: list[Node], constants: dict[Key, Constant], types: dict[Key, str]
) -> dict[Key, tuple[str, Quantization]]:
    """Return type and quantization of what QuantizeLinear makes with one scale for all channels, both being numbers."""
    found: dict[Key, tuple[str, Quantization]] = {}
    for node in nodes:
        if node.operation != "QuantizeLinear" or len(node.inputs) < 2 or not node.outputs:
            continue
        scale = constants.get(node.inputs[1])
        point = constants.get(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1)
        kind = types.get(node.inputs[2], "uint8") if len(node.inputs) > 2 else "uint8"
        if scale is None or point is None or not len(scale) == len(point) == 1:
            continue
        if math.isfinite(scale[0]) and float(point[0]).is_integer():
            found[node.outputs[0]] = (kind, Quantization(float(scale[0]), int(point[0])))
    return found
