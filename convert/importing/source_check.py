"""Proof that the model put around a source answers as the source itself does, before anything is made of it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.importing.sources import Scores, Source, Wrapped, Wrapping
from device.errors import CheckFailed, EdgeproofError
from train.data.dataset import Pixels

# The largest difference of a probability: both compute in float32, in another order; a float16 source rounds each layer
ALLOWED, ALLOWED_OF_HALF = 1e-3, 0.02


@dataclass(frozen=True)
class SourceAgreement:
    """How the wrapped model answers the pictures that the source answered in its own framework."""

    framework: str
    pictures: int
    agree: int  # same highest score
    worst: float  # largest absolute difference of a probability
    allowed: float

    def to_json(self) -> dict[str, Any]:
        """Return all fields, for the card."""
        return asdict(self)


def check_numbers(path: Path, answers: Scores) -> None:
    """Raise EdgeproofError where answers (N, classes) to pictures are no numbers: with all of them no range is the cause."""
    bad = int((~np.isfinite(answers)).any(axis=1).sum())
    if bad == len(answers):
        raise EdgeproofError(
            f"{path}: answers each of {bad} pictures with scores that are no numbers (NaN or infinite), expected numbers: "
            "its weights are damaged, or its training diverged: save it again from an earlier state"
        )
    if bad:
        raise EdgeproofError(
            f"{path}: answers {bad} of {len(answers)} pictures with scores that are no numbers (NaN or infinite), expected "
            "numbers: its values become too large: look at --input-range, or train it again"
        )


def check_against_source(source: Source, model: Wrapped, wrapping: Wrapping, pixels: Pixels) -> SourceAgreement:
    """Answer prepared pictures (N, H, W, C) with both. Raises CheckFailed where a probability differs by too much."""
    values = np.stack([wrapping.input_range.values(picture) for picture in pixels])
    expected, found = _probabilities(source.answers(values), wrapping), model.scores(pixels)
    in_half = source.understood.in_half or source.understood.dtype.value == "float16"
    allowed = ALLOWED_OF_HALF if in_half else ALLOWED
    worst = float(np.abs(found - expected).max())
    same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    agreement = SourceAgreement(source.understood.framework, len(pixels), same, worst, allowed)
    if not worst <= allowed:
        raise CheckFailed(
            f"{source.understood.path}: with what is put around it {same} of {len(pixels)} pictures are answered as in "
            f"{agreement.framework}, and scores differ by up to {worst:.2g}, allowed are {allowed:g}: not taken in"
        )
    return agreement


def _probabilities(answers: Scores, wrapping: Wrapping) -> Scores:
    """Return what the source's answers (N, classes) mean."""
    if answers.shape[1] == 1:
        second = 1 / (1 + np.exp(-answers)) if wrapping.activation == "logits" else answers
        return np.concatenate([1 - second, second], axis=1)
    if wrapping.activation == "logits":
        raised = np.exp(answers - answers.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)
    return answers
