"""Small `.tflite` files, made tensor by tensor and operation by operation. No runtime computes with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TensorOf:
    """A tensor of a graph; one with `scales` is quantized, one that is constant has a buffer."""

    name: str
    type: str = "FLOAT32"
    shape: tuple[int, ...] = (1, 4)
    scales: tuple[float, ...] = ()
    zero_point: int = 0
    constant: bool = False


@dataclass(frozen=True)
class OperationOf:
    """An operation: its tensors by number."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    version: int = 1


def packed(model: Any) -> bytes:
    """Return a ModelT as a file's bytes."""
    import flatbuffers

    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def graph_bytes(tensors: Sequence[TensorOf], operations: Sequence[OperationOf]) -> bytes:
    """Return a `.tflite` whose first tensor is its input and whose last is its output."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    filled = schema.BufferT()
    filled.data = np.ones(16, np.uint8)
    model.version, model.buffers = 3, [schema.BufferT(), filled]
    model.operatorCodes = [_code(operation, schema) for operation in operations]
    graph.tensors = [_tensor(tensor, schema) for tensor in tensors]
    graph.operators = [_operator(number, operation, schema) for number, operation in enumerate(operations)]
    graph.inputs, graph.outputs = [0], [len(tensors) - 1]
    model.subgraphs = [graph]
    return packed(model)


def _code(operation: OperationOf, schema: Any) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operation.name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), operation.version
    return code


def _tensor(tensor: TensorOf, schema: Any) -> Any:
    made = schema.TensorT()
    made.name, made.type, made.shape = tensor.name, getattr(schema.TensorType, tensor.type), list(tensor.shape)
    made.buffer = int(tensor.constant)
    if tensor.scales:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = list(tensor.scales)
        made.quantization.zeroPoint = [tensor.zero_point] * len(tensor.scales)
    return made


def _operator(number: int, operation: OperationOf, schema: Any) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = number, list(operation.inputs), list(operation.outputs)
    return made
