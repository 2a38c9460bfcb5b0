"""The result of a training: its answers to the test pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from device.card import Step
from device.scoring import wilson_interval
from train.data.dataset import Dataset
from train.fitting.predict import probabilities

SAMPLES_SHOWN = 8


@dataclass(frozen=True)
class Sample:
    """One test picture's label, the model's answer and its score."""

    truth: str
    answer: str
    score: float


@dataclass(frozen=True)
class Outcome:
    """The result of a run: its figures on the test part, its files, and a few of its answers."""

    folder: Path
    correct: int
    total: int
    samples: Sequence[Sample]
    skipped: Sequence[str] = ()  # unreadable pictures that were left out

    @property
    def top1(self) -> float:
        """Return the accuracy on the test part, 0..1."""
        return self.correct / self.total

    @property
    def ci95(self) -> tuple[float, float]:
        """Return the 95 % interval of the accuracy: its lower and its upper end, 0..1."""
        return wilson_interval(self.correct, self.total)


def evaluated(network: Any, dataset: Dataset, steps: Sequence[Step], folder: Path) -> Outcome:
    """Answer every test picture once, and return how that went."""
    truth = dataset.test.labels
    scores = probabilities(network, dataset.test.prepared(steps))
    answers = scores.argmax(axis=1)
    shown = np.linspace(0, len(truth) - 1, min(SAMPLES_SHOWN, len(truth))).astype(int)
    samples = [Sample(dataset.labels[truth[i]], dataset.labels[answers[i]], float(scores[i, answers[i]])) for i in shown]
    skipped = dataset.reference.skipped
    return Outcome(folder, int((answers == truth).sum()), len(truth), samples, skipped)
