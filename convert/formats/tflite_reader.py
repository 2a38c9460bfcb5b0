"""Reading a `.tflite` flatbuffer without a runtime: its tensors, its heavy operations, its metadata.

The schema is TensorFlow's (compiler/mlir/lite/schema/schema.fbs), as Python objects from the wheel ai-edge-litert.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)

HEAVY = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph. `type` is the schema's name, such as "FLOAT32"; scale and zero point: the first channel's."""

    name: str
    type: str
    shape: tuple[int, ...]
    constant: bool
    scale: float | None = None  # None: not quantized
    zero_point: int | None = None

    @property
    def values(self) -> int:
        """Return how many values it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class HeavyOperation:
    """An operation with weights: the types of its tensors, and the name of its output."""

    operation: str
    input_type: str
    weight_type: str
    weight_values: int
    output: str


def read_model(data: bytes) -> Any:
    """Return the flatbuffer as objects (ModelT)."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(data, 0)


def tensors(model: Any) -> list[Tensor]:
    """Return the tensors of the first subgraph, in the order of their indices."""
    from ai_edge_litert import schema_py_generated as schema

    names = _names(schema.TensorType)
    return [
        Tensor(
            name=tensor.name.decode(errors="replace"),
            type=names[tensor.type],
            shape=() if tensor.shape is None else tuple(int(side) for side in tensor.shape),
            constant=model.buffers[tensor.buffer].data is not None and len(model.buffers[tensor.buffer].data) > 0,
            scale=_first(tensor.quantization and tensor.quantization.scale, float),
            zero_point=_first(tensor.quantization and tensor.quantization.zeroPoint, int),
        )
        for tensor in model.subgraphs[0].tensors
    ]


def ends(model: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Return the graph's inputs and outputs."""
    graph, all_tensors = model.subgraphs[0], tensors(model)
    return [all_tensors[index] for index in graph.inputs], [all_tensors[index] for index in graph.outputs]


def heavy_operations(model: Any) -> list[HeavyOperation]:
    """Return the convolutions and fully connected operations in the order of execution."""
    all_tensors, found = tensors(model), []
    for operator in model.subgraphs[0].operators:
        name = operation_name(model, operator)
        if name in HEAVY:
            source, weight, output = (all_tensors[i] for i in (*operator.inputs[:2], operator.outputs[0]))
            found.append(HeavyOperation(name, source.type, weight.type, weight.values, output.name))
    return found


def operation_name(model: Any, operator: Any) -> str:
    """Return an operator's name in the schema, such as "CONV_2D"."""
    from ai_edge_litert import schema_py_generated as schema

    code = model.operatorCodes[operator.opcodeIndex]
    return _names(schema.BuiltinOperator)[max(code.builtinCode, code.deprecatedBuiltinCode)]


def operation_outputs(data: bytes) -> list[str]:
    """Return the names of the output tensors of a file's operations, in the order of execution."""
    graph = read_model(data).subgraphs[0]
    return [graph.tensors[index].name.decode() for operator in graph.operators for index in operator.outputs]


def metadata(model: Any, name: bytes) -> bytes | None:
    """Return the content of a metadata entry, or None."""
    for entry in model.metadata or []:
        if entry.name == name:
            return bytes(model.buffers[entry.buffer].data)
    return None


def min_runtime(model: Any) -> str | None:
    """Return the least TFLite runtime version that the converter wrote into the file."""
    text = metadata(model, b"min_runtime_version")
    return None if text is None else text.split(b"\0")[0].decode()


def _first(values: Any, kind: type[Number]) -> Number | None:
    return None if values is None or not len(values) else kind(values[0])


@cache
def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
