"""Opening what was written and proving what the variant's name promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.variant import Variant
from device.classify import Card, CheckFailed, open_session, wilson_interval
from train.data import Pixels

# TensorFlow's dynamic-range quantization leaves smaller weights as they are (tflite/tools/optimize/quantize_weights.h).
DYNAMIC_RANGE_MIN_VALUES = 1_024
FULL_SAMPLE = 1_000  # validation pictures; 99.9 % of it is one disagreement
HEAVY_OPERATIONS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Agreement:
    """How many of the pictures a converted model answers as Keras does."""

    agree: int
    total: int

    @property
    def share(self) -> float:
        return self.agree / self.total


def agreement(path: Path, card: Card, pixels: Pixels, reference: npt.NDArray[np.int64]) -> Agreement:
    """Run an artifact, as a device would, over prepared pictures (N, H, W, C) and count the reference's answers (N,)."""
    session = open_session(path, card)
    answers = [int(session.scores(session.infer(session.tensor(picture))).argmax()) for picture in pixels]
    return Agreement(int((np.array(answers) == reference).sum()), len(pixels))


def check_agreement(variant: Variant, found: Agreement) -> None:
    """Raise CheckFailed where the artifact agrees with Keras less often than its variant promises.

    Fewer pictures than FULL_SAMPLE cannot show 99.9 %: there the whole 95 % interval has to lie below the promise.
    """
    reached = found.share if found.total >= FULL_SAMPLE else wilson_interval(found.agree, found.total)[1]
    if reached < variant.min_agreement:
        raise CheckFailed(
            f"{variant.key}: answers {found.agree} of {found.total} validation pictures as Keras does "
            f"({100 * found.share:.2f} %), promised are {100 * variant.min_agreement:.1f} %"
        )


def check_types(path: Path, variant: Variant, float_nodes: Sequence[str] = ()) -> None:
    """Raise CheckFailed where the tensors in a file are not those that the variant promises."""
    broken = _tflite_defects(path, variant) if variant.format == "tflite" else _onnx_defects(path, variant, float_nodes)
    if broken:
        raise CheckFailed(f"{variant.key}: promised is '{variant.promise}', but {'; '.join(broken[:3])}")


@dataclass(frozen=True)
class _Tensor:
    name: str
    type: str
    values: int  # how many
    constant: bool


def read_tflite(path: Path) -> Any:
    """Return the flatbuffer of a `.tflite` as objects (ModelT of TensorFlow's schema.fbs)."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)


def min_runtime(path: Path) -> str | None:
    """Return the least TFLite runtime version that the converter wrote into the file's metadata."""
    model = read_tflite(path)
    for entry in model.metadata or []:
        if entry.name == b"min_runtime_version":
            return bytes(model.buffers[entry.buffer].data).split(b"\0")[0].decode()
    return None


def _tflite_defects(path: Path, variant: Variant) -> list[str]:
    from ai_edge_litert import schema_py_generated as schema

    model = read_tflite(path)
    graph = model.subgraphs[0]
    type_names = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    tensors = [
        _Tensor(
            tensor.name.decode(errors="replace"),
            type_names[tensor.type],
            int(np.prod(tensor.shape)) if tensor.shape is not None else 1,
            model.buffers[tensor.buffer].data is not None and len(model.buffers[tensor.buffer].data) > 0,
        )
        for tensor in graph.tensors
    ]
    ends = [tensors[index] for index in (*graph.inputs, *graph.outputs)]
    defects = [
        f"{tensor.name} has batch {graph.tensors[index].shape[0]}"
        for index, tensor in zip((*graph.inputs, *graph.outputs), ends, strict=True)
        if graph.tensors[index].shape[0] != 1
    ]
    defects += [f"{tensor.name} is {tensor.type}" for tensor in tensors if not _tflite_type_fits(tensor, variant)]
    expected = "UINT8" if variant.name == "int8" else "FLOAT32"
    return defects + [f"{tensor.name} is {tensor.type}" for tensor in ends if tensor.type != expected]


def _tflite_type_fits(tensor: _Tensor, variant: Variant) -> bool:
    """Say whether a tensor's type may stand in a file of this variant. Shapes and axes are integers in all of them."""
    is_weight = tensor.constant and tensor.type not in ("INT32", "INT64", "BOOL")
    if variant.name == "float32":
        return tensor.type in ("FLOAT32", "INT32", "INT64", "BOOL")
    if variant.name == "float16":
        return tensor.type == "FLOAT16" if is_weight else tensor.type not in ("INT8", "UINT8", "INT16")
    if variant.name == "dynamic_int8":
        return tensor.type == "INT8" if is_weight and tensor.values >= DYNAMIC_RANGE_MIN_VALUES else True
    return tensor.type not in ("FLOAT32", "FLOAT16", "FLOAT64")


def _onnx_defects(path: Path, variant: Variant, float_nodes: Sequence[str]) -> list[str]:
    import onnx

    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    graph = model.graph
    defects = [
        f"{end.name} has the fixed batch {end.type.tensor_type.shape.dim[0].dim_value}"
        for end in (*graph.input, *graph.output)
        if not end.type.tensor_type.shape.dim[0].dim_param
    ]
    defects += [
        f"{end.name} is {onnx.TensorProto.DataType.Name(end.type.tensor_type.elem_type)}"
        for end in (*graph.input, *graph.output)
        if end.type.tensor_type.elem_type != onnx.TensorProto.FLOAT
    ]
    makers = {output: node for node in graph.node for output in node.output}
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    if variant.name == "int8":
        heavy = [node for node in graph.node if node.op_type in HEAVY_OPERATIONS and node.name not in float_nodes]
        defects += [f"{node.name} is not quantized" for node in heavy if not _is_quantized(node, makers, types)]
        return defects if heavy else [*defects, "no Conv or Gemm is quantized"]
    allowed = {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.INT32}
    return defects + [f"{name} is not float32" for name, kind in types.items() if kind not in allowed]


def _is_quantized(node: Any, makers: dict[str, Any], types: dict[str, int]) -> bool:
    """Say whether a node's activation and weight both come out of DequantizeLinear, the weight from int8."""
    import onnx

    sources = [makers[name] for name in node.input[:2] if name in makers]
    if [source.op_type for source in sources] != ["DequantizeLinear"] * 2:
        return False
    return types.get(sources[1].input[0]) == onnx.TensorProto.INT8
