"""Opening what was written and proving what the variant's name promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert import tflite_file
from convert.variant import Variant
from device.classify import CheckFailed, Session, wilson_interval
from train.data import Pixels

# TensorFlow's dynamic-range quantization leaves smaller weights as they are (tflite/tools/optimize/quantize_weights.h).
DYNAMIC_RANGE_MIN_VALUES = 1_024
FULL_SAMPLE = 1_000  # validation pictures; 99.9 % of it is one disagreement
ONE_STEP = 1 / 256  # of uint8 scores
HEAVY_OPERATIONS = ("Conv", "Gemm", "MatMul")


# Of a model that was trained elsewhere, only the pictures count that Keras decides by so much between its two highest
# scores: with less, rounding alone may change the answer. Int8 scores differ by up to 0.07 between runtimes, float16's by
# 0.002 (convert/golden.py).
FLOAT_MARGIN, QUANTIZED_MARGIN = 0.005, 0.1
# Where no picture is decided, scores may differ by this share of Keras's highest, and by one step of an integer output.
SCORE_SHARE = {"float32": 1e-4, "float16": 0.01}
QUANTIZED_SCORE_SHARE = 0.1
INT8_SOFTMAX = ("int8", "int8_mixed", "int8_fixed")  # of TFLite: the last layer is quantized in each


@dataclass(frozen=True)
class ScoreDifference:
    """The largest absolute difference of any score from Keras's, what is allowed, and Keras's highest score."""

    worst: float
    allowed: float
    highest: float


@dataclass(frozen=True)
class Agreement:
    """How many of the pictures a converted model answers as Keras does, of those that Keras decides by `margin`."""

    agree: int
    total: int  # decided ones
    margin: float = 0.0  # 0: every picture counts
    undecided: int = 0
    scores: ScoreDifference | None = None  # compared instead where no picture is decided

    @property
    def share(self) -> float:
        return self.agree / self.total

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"agree": self.agree, "total": self.total}
        if self.margin:
            document |= {"margin": self.margin, "undecided": self.undecided}
        return document | ({"scores": vars(self.scores)} if self.scores else {})


def counted_margin(variant: Variant, trained_here: bool) -> float:
    """Return the margin from which on a picture counts for a variant's promise; 0 for models trained here: all count."""
    if trained_here:
        return 0.0
    return FLOAT_MARGIN if variant.name in SCORE_SHARE else QUANTIZED_MARGIN


def margins(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the difference of the two highest scores (N,) of each row of (N, classes)."""
    highest = np.partition(probabilities, -2, axis=1)
    difference: npt.NDArray[np.float32] = highest[:, -1] - highest[:, -2]
    return difference


def agreement(
    session: Session, pixels: Pixels, reference: npt.NDArray[np.float32], variant: Variant, margin: float = 0.0
) -> Agreement:
    """Run an artifact, as a device does, over prepared pictures (N, H, W, C) and compare with Keras's scores (N, classes).

    Only pictures that Keras decides by `margin` count; where there is none, the scores are compared.
    """
    decided = margins(reference) >= margin
    agree, worst = 0, 0.0
    for picture, expected, counts in zip(pixels, reference, decided, strict=True):
        scores = session.scores(session.infer(session.tensor(picture)))
        agree += bool(counts and scores.argmax() == expected.argmax())
        worst = max(worst, float(np.abs(scores - expected).max()))
    total = int(decided.sum())
    differing = None if total else _score_difference(worst, float(reference.max()), variant)
    return Agreement(agree, total, margin, len(pixels) - total, differing)


def _score_difference(worst: float, highest: float, variant: Variant) -> ScoreDifference:
    step = ONE_STEP if variant.format == "tflite" and variant.name in INT8_SOFTMAX else 0.0
    return ScoreDifference(worst, SCORE_SHARE.get(variant.name, QUANTIZED_SCORE_SHARE) * highest + step, highest)


def agrees(variant: Variant, found: Agreement) -> bool:
    """Say whether an artifact agrees with Keras as often as its variant promises.

    Fewer pictures than FULL_SAMPLE cannot show 99.9 %: there the whole 95 % interval has to lie below the promise.
    """
    if not found.total:
        return found.scores is None or found.scores.worst <= found.scores.allowed
    reached = found.share if found.total >= FULL_SAMPLE else wilson_interval(found.agree, found.total)[1]
    return reached >= variant.min_agreement


def describe(found: Agreement) -> str:
    """Return "answers 99 of 100 validation pictures as Keras does", and which were counted where not all were."""
    pictures = f"{found.total + found.undecided} validation pictures"
    if found.scores is None:
        counted = f" that Keras decides by {found.margin:g} and more" if found.undecided else ""
        of = f"the {found.total} of {pictures}{counted}" if counted else pictures
        return f"answers {found.agree} of {of} as Keras does"
    worst, allowed, highest = (f"{score:.2g}" for score in vars(found.scores).values())
    told = f"scores differ from Keras's by at most {worst}, allowed are {allowed} (its highest is {highest})"
    shows = ": which shows little" if found.scores.allowed > found.scores.highest / 2 else ""
    return f"Keras decides none of {pictures} by {found.margin:g}; {told}{shows}"


def check_agreement(variant: Variant, found: Agreement) -> None:
    """Raise CheckFailed where the artifact agrees with Keras less often than its variant promises."""
    if not agrees(variant, found):
        promised = f" ({100 * found.share:.2f} %), promised are {100 * variant.min_agreement:.1f} %" if found.total else ""
        raise CheckFailed(f"{variant.key}: {describe(found)}{promised}")


def check_types(path: Path, variant: Variant, float_nodes: Sequence[str] = ()) -> None:
    """Raise CheckFailed where the tensors in a file are not those that the variant promises."""
    defects = _onnx_defects if variant.format == "onnx" else _tflite_defects
    broken = defects(path, variant, float_nodes)
    if broken:
        raise CheckFailed(f"{variant.key}: promised is '{variant.promise}', but {'; '.join(broken[:3])}")


def _tflite_defects(path: Path, variant: Variant, float_nodes: Sequence[str]) -> list[str]:
    model = tflite_file.read_model(path.read_bytes())
    inputs, outputs = tflite_file.ends(model)
    expected = "UINT8" if variant.name == "int8" else "FLOAT32"
    defects = [f"{end.name} is {end.type}, expected {expected}" for end in (*inputs, *outputs) if end.type != expected]
    defects += [f"{end.name} has batch {end.shape[0]}" for end in (*inputs, *outputs) if end.shape[0] != 1]
    if variant.name == "int8":  # so that a device hands over its pixels as they are
        scales = [(end, end.scale, end.zero_point) for end in inputs if (end.scale, end.zero_point) != (1.0, 0)]
        defects += [f"{end.name} has scale {scale} and zero point {zero}, expected 1 and 0" for end, scale, zero in scales]
    if variant.name in ("dynamic_int8", "int8_mixed", "int16x8"):
        return defects + _operation_defects(tflite_file.heavy_operations(model), variant)
    if variant.name == "int8_fixed":
        return defects + _float_defects(tflite_file.heavy_operations(model), float_nodes)
    tensors = tflite_file.tensors(model)
    return defects + [f"{tensor.name} is {tensor.type}" for tensor in tensors if not _type_fits(tensor, variant)]


def _operation_defects(operations: Sequence[tflite_file.HeavyOperation], variant: Variant) -> list[str]:
    """Return what is wrong with the types that the heavy operations compute with."""
    if variant.name == "dynamic_int8":
        large = [operation for operation in operations if operation.weight_values >= DYNAMIC_RANGE_MIN_VALUES]
        return [f"the weights of {o.output} are {o.weight_type}" for o in large if o.weight_type != "INT8"]
    types = {"int8_mixed": ("INT8", "INT8"), "int16x8": ("INT16", "INT8")}[variant.name]
    quantized = operations[1:] if variant.name == "int8_mixed" else operations
    defects = [
        f"{operation.output} computes {operation.input_type} with {operation.weight_type}"
        for operation in quantized
        if (operation.input_type, operation.weight_type) != types
    ]
    if variant.name == "int8_mixed" and operations[0].weight_type != "FLOAT32":
        defects.append(f"the first convolution's weights are {operations[0].weight_type}")
    return defects


def _float_defects(operations: Sequence[tflite_file.HeavyOperation], float_nodes: Sequence[str]) -> list[str]:
    """Return the heavy operations that are float although the card does not name them."""
    floating = [operation for operation in operations if operation.weight_type != "INT8"]
    defects = [f"{one.output} is not quantized" for one in floating if one.output not in float_nodes]
    return defects if len(floating) < len(operations) else [*defects, "no convolution or dense layer is quantized"]


def _type_fits(tensor: tflite_file.Tensor, variant: Variant) -> bool:
    """Say whether a tensor's type may stand in a file of this variant. Shapes and axes are integers in all of them."""
    is_weight = tensor.constant and tensor.type not in ("INT32", "INT64", "BOOL")
    if variant.name == "float32":
        return tensor.type in ("FLOAT32", "INT32", "INT64", "BOOL")
    if variant.name == "float16":
        return tensor.type == "FLOAT16" if is_weight else tensor.type not in ("INT8", "UINT8", "INT16")
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
    if variant.name in ("int8", "int8_fixed"):
        heavy = [node for node in graph.node if node.op_type in HEAVY_OPERATIONS and node.name not in float_nodes]
        defects += [f"{node.name} is not quantized" for node in heavy if not _is_quantized(node, makers, types)]
        return defects if heavy else [*defects, "no Conv or Gemm is quantized"]
    floating = onnx.TensorProto.FLOAT16 if variant.name == "float16" else onnx.TensorProto.FLOAT
    allowed = {floating, onnx.TensorProto.INT64, onnx.TensorProto.INT32}
    return defects + [f"{name} is not {variant.name}" for name, kind in types.items() if kind not in allowed]


def _is_quantized(node: Any, makers: dict[str, Any], types: dict[str, int]) -> bool:
    """Say whether a node's activation and weight both come out of DequantizeLinear, the weight from int8."""
    import onnx

    sources = [makers[name] for name in node.input[:2] if name in makers]
    if [source.op_type for source in sources] != ["DequantizeLinear"] * 2:
        return False
    return types.get(sources[1].input[0]) == onnx.TensorProto.INT8
