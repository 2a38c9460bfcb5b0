"""Opening a written artifact and checking that it keeps what its variant promises."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from common.interval import Interval, of_share
from common.progress import task_progress
from common.verdict import Verdict, judge
from convert.formats import tflite_reader
from convert.formats.to_onnx import float32_constants
from convert.variants import INDICES, Types, Variant
from convert.verification.sample_size import FULL_SAMPLE
from device.card import Card
from device.errors import CheckFailed
from device.open_model import open_session
from device.runtimes import Session
from train.data.dataset import Pixels, batches

# TensorFlow's dynamic-range quantization leaves smaller weights as they are (tflite/tools/optimize/quantize_weights.h).
DYNAMIC_RANGE_MIN_VALUES = 1_024
ONE_STEP = 1 / 256  # of uint8 scores
MAX_SESSIONS = 4  # each holds the model and its tensors in memory
PICTURES_AT_A_TIME = 20  # of one session; so many are still answered after Ctrl-C
HEAVY_OPERATIONS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class ScoreDifference:
    """The largest absolute difference of any score from Keras's, the allowed difference, and Keras's highest score."""

    worst: float
    allowed: float
    highest: float


@dataclass(frozen=True)
class Agreement:
    """How many pictures a converted model answers as Keras does, of those that Keras decides by at least `margin`."""

    agree: int
    total: int  # decided pictures
    margin: float = 0.0  # 0: every picture counts
    undecided: int = 0
    scores: ScoreDifference | None = None  # compared instead if no picture is decided
    distance: float = 0.0  # the mean absolute difference of the scores, over all pictures and classes
    reference: str = "Keras"  # the framework of the float model

    @property
    def share(self) -> float:
        """Return the share of decided pictures, 0..1, that both answer alike; some picture must be decided."""
        return self.agree / self.total

    @property
    def differing(self) -> int:
        """Return how many of the decided pictures the model answers differently from Keras."""
        return self.total - self.agree

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and the margin and the scores where they were needed, for the card."""
        document: dict[str, Any] = {"agree": self.agree, "total": self.total}
        if self.margin:
            document |= {"margin": self.margin, "undecided": self.undecided}
        return document | ({"scores": vars(self.scores)} if self.scores else {})


def counted_margin(variant: Variant, trained_here: bool) -> float:
    """Return the least margin of a picture that counts for a variant's promise. For models trained here it is 0."""
    if trained_here:
        return 0.0
    return variant.answers.margin


def margins(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the difference of the two highest scores (N,) of each row of (N, classes)."""
    highest = np.partition(probabilities, -2, axis=1)
    difference: npt.NDArray[np.float32] = highest[:, -1] - highest[:, -2]
    return difference


def open_sessions(path: Path, card: Card) -> list[Session]:
    """Open an artifact once for each core: a session answers one picture at a time, on one core, as on a device."""
    return [open_session(path, card) for _ in range(min(len(os.sched_getaffinity(0)), MAX_SESSIONS))]


def agreement(
    sessions: Sequence[Session], pixels: Pixels, reference: npt.NDArray[np.float32], variant: Variant, margin: float = 0.0
) -> Agreement:
    """Run an artifact on prepared pictures (N, H, W, C), as a device does, and compare with Keras's scores (N, classes).

    The sessions share the work; their number does not change the result. Only pictures that Keras decides by at least
    `margin` count. If there is none, the scores are compared. Scores that are not numbers agree with nothing.
    """
    scores = _answers(sessions, pixels, f"{variant.key}: comparing with Keras")
    decided = margins(reference) >= margin
    alike = (scores.argmax(1) == reference.argmax(1)) & np.isfinite(scores).all(1)  # argmax takes a NaN for the highest
    agree, total = int((decided & alike).sum()), int(decided.sum())
    difference = np.abs(scores - reference)
    differing = None if total else _score_difference(float(difference.max()), float(reference.max()), variant)
    distance = float(difference.mean(axis=1, dtype=np.float64).mean())
    return Agreement(agree, total, margin, len(pixels) - total, differing, distance)


def _answers(sessions: Sequence[Session], pixels: Pixels, what: str) -> npt.NDArray[np.float32]:
    """Return the scores (N, classes) of pictures (N, H, W, C). Each session works in a thread of its own."""
    free: SimpleQueue[Session] = SimpleQueue()
    for session in sessions:
        free.put(session)

    def answer(part: slice) -> list[npt.NDArray[np.float32]]:
        session = free.get()
        try:
            return [session.scores(session.infer(session.tensor(picture))) for picture in pixels[part]]
        finally:
            free.put(session)

    parts = list(batches(len(pixels), PICTURES_AT_A_TIME))
    found: list[npt.NDArray[np.float32]] = []
    with task_progress(what, len(pixels)) as advance, ThreadPoolExecutor(len(sessions)) as threads:
        for scores in threads.map(answer, parts):
            found += scores
            advance(len(scores))
    return np.stack(found)


def _score_difference(worst: float, highest: float, variant: Variant) -> ScoreDifference:
    step = ONE_STEP if variant.types.integer_softmax else 0.0
    return ScoreDifference(worst, variant.answers.score_share * highest + step, highest)


def judged_share(found: Agreement) -> Interval:
    """Return the share of pictures with the same answer, as the interval that a promise is judged by. `total` is above 0.

    With at least FULL_SAMPLE pictures the interval is the share itself. Fewer pictures cannot show 99.9 %, so it is their
    99 % interval.
    """
    return Interval.exact(found.share) if found.total >= FULL_SAMPLE else of_share(found.agree, found.total)


def agrees(variant: Variant, found: Agreement) -> bool:
    """Return False only if it is shown that an artifact agrees with Keras less often than its variant promises."""
    if not found.total:
        return found.scores is None or found.scores.worst <= found.scores.allowed
    return judge(judged_share(found), variant.min_agreement, at_most=False) is not Verdict.FAIL


def describe(found: Agreement) -> str:
    """Return "answers 1 of 100 validation pictures differently from float", and which pictures count if not all do."""
    pictures = f"{found.total + found.undecided:,} validation pictures"
    if found.scores is None:
        counted = f" that {found.reference} decides by at least {found.margin:g}" if found.undecided else ""
        of = f"the {found.total:,} of {pictures}{counted}" if counted else pictures
        return f"answers {found.differing:,} of {of} differently from float"
    worst, allowed, highest = (f"{score:.2g}" for score in vars(found.scores).values())
    text = f"scores differ from {found.reference}'s by at most {worst}, allowed is {allowed} (its highest is {highest})"
    shows = ": such a wide limit shows little" if found.scores.allowed > found.scores.highest / 2 else ""
    return f"{found.reference} decides none of {pictures} by {found.margin:g}; {text}{shows}"


def check_agreement(variant: Variant, found: Agreement) -> None:
    """Raise CheckFailed if the artifact agrees with Keras less often than its variant promises."""
    if not agrees(variant, found):
        promised = (
            f" ({100 * found.share:.2f} % as float, promised are {100 * variant.min_agreement:.1f} %)" if found.total else ""
        )
        advice = ": `edgeproof convert doctor MODEL --fix` finds the cause" if variant.calibrated else ""
        raise CheckFailed(f"{variant.key}: {describe(found)}{promised}{advice}")


def check_types(path: Path, variant: Variant, float_nodes: Sequence[str] = (), batch: int | None = None) -> None:
    """Raise CheckFailed if the types of the tensors in a file are not those that the variant promises.

    `batch` is the batch of a model whose graph works with no other: an ONNX file may have this fixed batch.
    """
    if variant.format == "onnx":
        broken = _onnx_defects(path, variant, float_nodes, batch)
    else:
        broken = _tflite_defects(path, variant, float_nodes)
    if broken:
        raise CheckFailed(f"{variant.key}: the variant promises '{variant.promise}', but {'; '.join(broken[:3])}")


def _tflite_defects(path: Path, variant: Variant, float_nodes: Sequence[str]) -> list[str]:
    model = tflite_reader.read_model(path.read_bytes())
    inputs, outputs = tflite_reader.ends(model)
    expected = variant.types.ends
    defects = [f"{end.name} is {end.type}, expected {expected}" for end in (*inputs, *outputs) if end.type != expected]
    defects += [f"{end.name} has batch {end.shape[0]}" for end in (*inputs, *outputs) if end.shape[0] != 1]
    if expected == "UINT8":  # a device passes its pixels without scaling them
        scales = [(end, end.scale, end.zero_point) for end in inputs if (end.scale, end.zero_point) != (1.0, 0)]
        defects += [f"{end.name} has scale {scale} and zero point {zero}, expected 1 and 0" for end, scale, zero in scales]
    if variant.types.heavy is not None:
        operations = tflite_reader.heavy_operations(model)
        named = variant.types.float_heavy == "named"
        defects += _float_defects(operations, float_nodes) if named else _operation_defects(operations, variant.types)
    tensors = tflite_reader.tensors(model)
    return defects + [f"{tensor.name} is {tensor.type}" for tensor in tensors if not _type_fits(tensor, variant.types)]


def _operation_defects(operations: Sequence[tflite_reader.HeavyOperation], types: Types) -> list[str]:
    """Return a text for each heavy operation that computes with a wrong type."""
    assert types.heavy is not None
    defects, quantized = [], list(operations)
    if types.float_heavy == "small":
        quantized = [operation for operation in operations if operation.weight_values >= DYNAMIC_RANGE_MIN_VALUES]
    elif types.float_heavy == "first":
        quantized = list(operations[1:])
        if operations[0].weight_type != "FLOAT32":
            defects.append(f"the first convolution's weights are {operations[0].weight_type}")
    for operation in quantized:
        expected = (types.heavy[0] or operation.input_type, types.heavy[1])
        if (operation.input_type, operation.weight_type) != expected:
            defects.append(f"{operation.output} computes {operation.input_type} with {operation.weight_type}")
    return defects


def _float_defects(operations: Sequence[tflite_reader.HeavyOperation], float_nodes: Sequence[str]) -> list[str]:
    """Return a text for each heavy operation that is float although the card does not name it."""
    floating = [operation for operation in operations if operation.weight_type != "INT8"]
    defects = [f"{one.output} is not quantized" for one in floating if one.output not in float_nodes]
    return defects if len(floating) < len(operations) else [*defects, "no convolution or dense layer is quantized"]


def _type_fits(tensor: tflite_reader.Tensor, types: Types) -> bool:
    """Say whether a file of these types may have a tensor of this type. Shapes and axes are integers in every file."""
    is_weight = tensor.constant and tensor.type not in INDICES
    allowed = types.weights if is_weight else types.others
    return allowed is None or tensor.type in allowed


def _onnx_defects(path: Path, variant: Variant, float_nodes: Sequence[str], batch: int | None) -> list[str]:
    import onnx

    model = onnx.load(str(path))
    onnx.checker.check_model(model)
    graph = model.graph
    defects = [
        f"{end.name} has the fixed batch {end.type.tensor_type.shape.dim[0].dim_value}"
        for end in (*graph.input, *graph.output)
        if not end.type.tensor_type.shape.dim[0].dim_param and end.type.tensor_type.shape.dim[0].dim_value != batch
    ]
    defects += [
        f"{end.name} is {onnx.TensorProto.DataType.Name(end.type.tensor_type.elem_type)}"
        for end in (*graph.input, *graph.output)
        if end.type.tensor_type.elem_type != onnx.TensorProto.FLOAT
    ]
    makers = {output: node for node in graph.node for output in node.output}
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    if variant.types.heavy is not None:
        weighted = [node for node in graph.node if node.op_type in HEAVY_OPERATIONS and _has_weight(node, makers, types)]
        heavy = [node for node in weighted if node.name not in float_nodes]
        defects += [f"{node.name} is not quantized" for node in heavy if not _is_quantized(node, makers, types)]
        return defects if heavy else [*defects, "no Conv or Gemm is quantized"]
    if variant.types.weights is None:
        return defects
    names = {name.replace("FLOAT32", "FLOAT") for name in variant.types.weights} | {"INT64", "INT32"}
    allowed = {onnx.TensorProto.DataType.Value(name) for name in names}
    kept = float32_constants(graph) if variant.name == "float16" else frozenset()
    return defects + [
        f"{name} is not {variant.name}" for name, kind in types.items() if kind not in allowed and name not in kept
    ]


def _has_weight(node: Any, makers: dict[str, Any], types: dict[str, int]) -> bool:
    """Say whether a node computes with a constant. The MatMul of an attention layer multiplies two activations."""
    sources = [name for one in node.input[:2] for name in (makers[one].input[:1] if one in makers else [one])]
    return any(source in types for source in sources)


def _is_quantized(node: Any, makers: dict[str, Any], types: dict[str, int]) -> bool:
    """Say whether a node's activation and weight both come from DequantizeLinear, the weight from int8."""
    import onnx

    sources = [makers[name] for name in node.input[:2] if name in makers]
    if [source.op_type for source in sources] != ["DequantizeLinear"] * 2:
        return False
    return types.get(sources[1].input[0]) == onnx.TensorProto.INT8
