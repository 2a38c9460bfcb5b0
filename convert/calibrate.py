"""The representative data set for quantization: from training pictures only, class-balanced, seeded, hashed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from device.classify import Step
from train.data import Labels, Pixels, Split

CALIBRATION_COUNT = 300
CALIBRATION_SEED = 0


@dataclass(frozen=True)
class Calibration:
    """Prepared training pictures (N, H, W, C), uint8, 0..255, and how they were chosen."""

    pixels: Pixels
    labels: Labels
    seed: int

    def to_json(self) -> dict[str, Any]:
        return {
            "count": len(self.pixels),
            "classes": np.bincount(self.labels).tolist() if (self.labels >= 0).all() else None,  # None: not known
            "seed": self.seed,
            "sha256": hashlib.sha256(self.pixels.tobytes()).hexdigest(),
        }


def balanced_choice(labels: Labels, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Choose `count` indices (fewer where there are not so many) with each class as often as the others, seeded.

    Classes take turns, so that a class that runs out leaves its places to the others.
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
