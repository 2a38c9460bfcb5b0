"""The representative data set for quantization: from training pictures only, class-balanced, seeded, hashed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from device.card import Step
from device.errors import EdgeproofError
from train.data.calibration import MIN_TO_CALIBRATE
from train.data.dataset import Labels, Pixels, Split

CALIBRATION_COUNT = 300
CALIBRATION_SEED = 0


@dataclass(frozen=True)
class Calibration:
    """Prepared training pictures (N, H, W, C), uint8, 0..255, and how they were chosen."""

    pixels: Pixels
    labels: Labels
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return the number of pictures, in all and a class, the seed and the pixels' hash, for the card."""
        return {
            "count": len(self.pixels),
            "classes": np.bincount(self.labels).tolist() if (self.labels >= 0).all() else None,  # None: not known
            "seed": self.seed,
            "sha256": hashlib.sha256(self.pixels.tobytes()).hexdigest(),
        }


def balanced_choice(labels: Labels, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Choose `count` indices (or all, if fewer) with all classes equally often, by a seed.

    One index of each class is taken in turn, so other classes replace a class that runs out.
    """
    random = np.random.default_rng(seed)
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        turn[members] = np.arange(len(members))
    chosen: npt.NDArray[np.int64] = np.lexsort((labels, turn))[:count]
    return chosen


def choose(train: Split, steps: Sequence[Step], count: int = CALIBRATION_COUNT, seed: int = CALIBRATION_SEED) -> Calibration:
    """Choose and prepare calibration pictures from the training part."""
    chosen = balanced_choice(train.labels, count, seed)
    return Calibration(train.prepared(steps, chosen), train.labels[chosen], seed)


def check(calibration: Calibration, labels: Sequence[str], where: str) -> None:
    """Raise EdgeproofError for unsuitable pictures: too few, of only one class (if known), or without contrast."""
    count = len(calibration.pixels)
    if count < MIN_TO_CALIBRATE:
        raise EdgeproofError(
            f"{where}: found {count} pictures to calibrate with, expected at least {MIN_TO_CALIBRATE}, better "
            f"{CALIBRATION_COUNT}, of every class: values that do not occur in them are clipped: add pictures"
        )
    classes = np.unique(calibration.labels)
    if len(classes) == 1 and classes[0] >= 0 and len(labels) > 1:
        raise EdgeproofError(
            f"{where}: found {count} calibration pictures of class {labels[int(classes[0])]!r} only, expected pictures of "
            f"all {len(labels)} classes: the values of the others would be clipped: add pictures of them"
        )
    if (calibration.pixels.max(axis=(1, 2, 3)) == calibration.pixels.min(axis=(1, 2, 3))).all():
        raise EdgeproofError(
            f"{where}: found {count} calibration pictures without contrast, each of a single grey or colour, expected "
            "photographs or drawings as the model will get them: use others"
        )
