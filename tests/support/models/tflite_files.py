"""Small `.tflite` files, built operation by operation: no converter."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.deployment.target import Wheel, wheels
from tests.support.models.tflite_graphs import packed

SIDE = 8


@dataclass
class GraphBuilder:
    """Collects tensors, operations and their buffers."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=list)
    codes: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.buffer(b"")

    def buffer(self, data: bytes) -> int:
        from ai_edge_litert import schema_py_generated as schema

        made = schema.BufferT()
        made.data = list(data) or None
        self.buffers.append(made)
        return len(self.buffers) - 1

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str,
        scale: float = 0.0,
        zero_point: int = 0,
        values: npt.NDArray[Any] | None = None,
        free: bool = False,
    ) -> int:
        """Add a tensor; return its place."""
        from ai_edge_litert import schema_py_generated as schema

        made = schema.TensorT()
        made.shape, made.type = list(shape), getattr(schema.TensorType, dtype.upper())
        made.name = f"t{len(self.tensors)}".encode()
        made.buffer = 0 if values is None else self.buffer(np.ascontiguousarray(values, np.dtype(dtype)).tobytes())
        if free:
            made.shapeSignature = [-1, *shape[1:]]
        if scale:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
        self.tensors.append(made)
        return len(self.tensors) - 1

    def operation(
        self,
        name: str | int,
        inputs: Sequence[int],
        output: int,
        options: str = "",
        custom: str = "",
        version: int = 1,
        **said: Any,
    ) -> int:
        """Add an operation; return its output."""
        from ai_edge_litert import schema_py_generated as schema

        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name) if isinstance(name, str) else name
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
        code.customCode = custom.encode() or None
        self.codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.codes) - 1, list(inputs), [output]
        if options:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, f"{options}T")()
            for key, value in said.items():
                setattr(made.builtinOptions, key, value)
        self.operators.append(made)
        return output

    def write(self, path: Path, source: int, result: int) -> Path:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        graph = schema.SubGraphT()
        graph.tensors, graph.inputs, graph.outputs, graph.operators = self.tensors, [source], [result], self.operators
        model = schema.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, self.codes, [graph], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def brightness_tflite(
    path: Path,
    dtype: str = "float32",
    scale: float = 0.0,
    zero_point: int = 0,
    middle: float = 0.5,
    front: Sequence[tuple[str, float]] = (),
    end: str = "SOFTMAX",
    gain: float = 20.0,
    shape: Sequence[int] = (1, SIDE, SIDE, 3),
    deep: bool = False,
    picks: str = "",
) -> Path:
    """Write a model that answers "light", its second class, where the mean of a picture's real values is over `middle`.

    A quantized input is dequantized first. `front` is operations with a constant before that, as ("MUL", 1 / 255). `end`
    is SOFTMAX, LOGISTIC (one output) or "" (logits); with `deep` the output is (1, 1, 1, classes). `picks` is a type: the
    output is then the number of the class, by ArgMax.
    """
    graph = GraphBuilder()
    source = graph.tensor(shape, dtype, scale, zero_point, free=True)
    values = source
    if dtype != "float32":
        values = graph.operation("DEQUANTIZE" if scale else "CAST", [source], graph.tensor(shape, "float32"), version=2)
    for name, constant in front:
        second = graph.tensor([1], "float32", values=np.array([constant]))
        options = {"MUL": "MulOptions", "ADD": "AddOptions", "SUB": "SubOptions", "DIV": "DivOptions"}[name]
        values = graph.operation(name, [values, second], graph.tensor(shape, "float32"), options)
    axes = graph.tensor([len(shape) - 1], "int32", values=np.arange(1, len(shape)))
    mean = graph.operation("MEAN", [values, axes], graph.tensor([shape[0], 1], "float32"), "ReducerOptions", keepDims=False)
    classes = 1 if end == "LOGISTIC" else 2
    weight = graph.tensor([classes, 1], "float32", values=np.array([[gain]] if classes == 1 else [[-gain], [gain]]))
    bias = graph.tensor([classes], "float32", values=np.array([-1.0, 1.0])[-classes:] * -gain * middle)
    result = graph.operation(
        "FULLY_CONNECTED", [mean, weight, bias], graph.tensor([shape[0], classes], "float32"), "FullyConnectedOptions"
    )
    if end:
        options = {"SOFTMAX": "SoftmaxOptions"}.get(end, "")
        said: dict[str, Any] = {"beta": 1.0} if options else {}
        result = graph.operation(end, [result], graph.tensor([shape[0], classes], "float32"), options, **said)
    if deep:
        wanted = graph.tensor([4], "int32", values=np.array([1, 1, 1, classes]))
        result = graph.operation("RESHAPE", [result, wanted], graph.tensor([1, 1, 1, classes], "float32"))
    if picks:
        axis = graph.tensor([1], "int32", values=np.array([1]))
        kind = {"int32": 2, "int64": 4}[picks]
        result = graph.operation(
            "ARG_MAX", [result, axis], graph.tensor([shape[0]], picks), "ArgMaxOptions", outputType=kind
        )
    return graph.write(path, source, result)


def wheel_of(distribution: str) -> Wheel:
    return next(wheel for wheel in wheels() if wheel.distribution == distribution)


def model_with(name: str, version: int, min_runtime: str = "", custom: str = "") -> bytes:
    """Return a model without tensors that lists one operation: a runtime looks it up when it opens the file."""
    from ai_edge_litert import schema_py_generated as schema

    code, graph, model = schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
    code.customCode = custom or None
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [], [], [], []
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    if min_runtime:
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer, buffer.data = "min_runtime_version", 1, min_runtime.encode().ljust(16, b"\0")
        model.metadata, model.buffers = [entry], [schema.BufferT(), buffer]
    return packed(model)


def written(folder: Path, data: bytes, name: str = "model.tflite") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
