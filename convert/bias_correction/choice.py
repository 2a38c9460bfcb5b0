"""Correcting a converted model. The correction is kept only if it helps on the validation pictures."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.bias_correction.arithmetic import Correction, Uncorrectable
from convert.bias_correction.onnx_bias import correct_onnx
from convert.bias_correction.tflite_bias import correct_tflite
from convert.trained_model import TrainedModel
from convert.variants import Variant
from convert.verification import verify
from convert.verification.verify import Agreement
from device.card import Card
from train.data.dataset import Pixels


@dataclass(frozen=True)
class Choice:
    """The model with or without corrected biases, how it agrees with float, and why it was chosen.

    Without `before` and `after` nothing was compared, and `reason` says why.
    """

    data: bytes
    kept: bool
    reason: str = ""
    layers: int = 0
    left_out: tuple[str, ...] = ()
    pictures: int = 0  # calibration pictures that the correction was measured with
    before: Agreement | None = None
    after: Agreement | None = None

    @property
    def agreement(self) -> Agreement | None:
        """Return how the chosen model agrees with float on the validation pictures, or None if that was not measured."""
        return self.after if self.kept else self.before

    def to_json(self) -> dict[str, Any]:
        """Return the card's field `bias_correction`."""
        document: dict[str, Any] = {"kept": self.kept, "layers": self.layers, "left_out": list(self.left_out)}
        if self.before is None or self.after is None:
            return document | {"reason": self.reason}
        compared = {
            "validation_pictures": self.before.total,
            "otherwise_before": self.before.differing,
            "otherwise_after": self.after.differing,
            "score_difference_before": round(self.before.distance, 7),
            "score_difference_after": round(self.after.distance, 7),
        }
        return document | {"calibration_pictures": self.pictures} | compared


def correct(trained: TrainedModel, variant: Variant, data: bytes, pixels: Pixels) -> Correction:
    """Correct a converted model's biases with training pictures (N, H, W, C). Raises Uncorrectable."""
    if variant.format == "onnx":
        return correct_onnx(trained.folded_onnx, data, pixels)
    return correct_tflite(trained.tflite_source.float32, data, pixels)


def reason_for_none(correction: Correction) -> str:
    """Say why no layer was corrected."""
    return "; ".join(correction.left_out) or "no convolution or dense layer has an int8 weight and its own bias"


def choose(trained: TrainedModel, variant: Variant, data: bytes, own: Mapping[str, Any]) -> Choice:
    """Correct a converted model and compare both on the validation pictures; `own` is the artifact's part of the card.

    The model that answers fewer pictures differently from float is kept. If the numbers are equal, the model whose scores
    are nearer to float's is kept.
    """
    try:
        correction = correct(trained, variant, data, trained.calibration.pixels)
    except Uncorrectable as error:
        return Choice(data, False, str(error))
    if not correction.layers:
        return Choice(data, False, reason_for_none(correction))
    before = _agreement(trained, variant, data, own)
    if not before.total:
        return Choice(
            data, False, f"{trained.reference} decides none of the validation pictures, so they cannot show whether it helps"
        )
    after = _agreement(trained, variant, correction.data, own)
    kept = (after.differing, after.distance) < (before.differing, before.distance)
    return Choice(
        correction.data if kept else data,
        kept,
        layers=len(correction.layers),
        left_out=correction.left_out,
        pictures=len(trained.calibration.pixels),
        before=before,
        after=after,
    )


def describe(choice: Choice) -> str:
    """Return a line that says what was done and why."""
    left_out = f" ({'; '.join(choice.left_out)})" if choice.left_out else ""
    if choice.before is None or choice.after is None:
        return f"no bias correction: {choice.reason}"
    without, corrected = choice.before.differing, choice.after.differing
    if choice.kept:
        change = f"{without} before it" if without != corrected else "as many before, with scores further from float's"
        layers = f"{choice.layers} layer{'s' if choice.layers > 1 else ''}"
        return f"bias correction of {layers}{left_out}: {change}"
    change = f"{corrected} with it" if without != corrected else "as many with it, and scores no nearer to float's"
    return f"bias correction not kept: {change}"


def _agreement(trained: TrainedModel, variant: Variant, data: bytes, own: Mapping[str, Any]) -> Agreement:
    """Answer the validation pictures with a model that is not written yet."""
    card = Card.from_json({**trained.common, **own, "variant": variant.name})
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
        path = Path(folder) / f"model.{variant.format}"
        path.write_bytes(data)
        found = trained.validation
        margin = verify.counted_margin(variant, trained.trained_here)
        sessions = verify.open_sessions(path, card)
        return verify.agreement(sessions, found.pixels, found.probabilities, variant, margin)
