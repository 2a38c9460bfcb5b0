"""Accuracy beyond one figure, from the kept predictions: classes, confusions, calibration, flips."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from device.scoring import wilson_interval

Answers = npt.NDArray[Any]  # integers, (n,), indices of classes
CALIBRATION_BINS = 15
MIN_SCORES = 60  # points of a curve, at most


@dataclass(frozen=True)
class ClassFigures:
    """How one class is answered."""

    name: str
    pictures: int
    right: int
    answered: int  # how many pictures of any class got this answer

    @property
    def recall(self) -> float | None:
        """Return the share of the class's pictures that are answered correctly; None without pictures."""
        return self.right / self.pictures if self.pictures else None

    @property
    def recall_ci95(self) -> tuple[float, float] | None:
        """Return its 95 % Wilson interval."""
        return wilson_interval(self.right, self.pictures) if self.pictures else None

    @property
    def precision(self) -> float | None:
        """Return the share of these answers that are right; None where there is no such answer."""
        return self.right / self.answered if self.answered else None


@dataclass(frozen=True)
class Bin:
    """The pictures whose top score is in one part of 0..1."""

    pictures: int
    score: float  # mean
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far scores differ from probabilities."""

    error: float  # expected calibration error, a fraction of one
    bins: tuple[Bin, ...]  # those with pictures


@dataclass(frozen=True)
class LeastScore:
    """What is "unsure" if answers below a score are: shares of the right and of the wrong answers, 0..1."""

    score: float
    right_unsure: float
    wrong_unsure: float


def confusion(truth: Answers, answers: Answers, classes: int) -> npt.NDArray[np.int64]:
    """Count pictures by class and answer: (classes, classes + 1), a row a class, the last column those not answered.

    Pictures without a class (-1) are left out. A device that cannot read a picture answers none of the classes.
    """
    known = truth >= 0
    table = np.zeros((classes, classes + 1), np.int64)
    np.add.at(table, (truth[known], np.minimum(answers[known].astype(np.int64), classes)), 1)
    return table


def by_class(table: npt.NDArray[np.int64], names: tuple[str, ...]) -> list[ClassFigures]:
    """Return the figures of each class from a confusion table (classes, classes + 1); what is not answered is wrong."""
    pictures, answered = table.sum(axis=1), table.sum(axis=0)
    return [ClassFigures(name, int(pictures[i]), int(table[i, i]), int(answered[i])) for i, name in enumerate(names)]


def calibration(top_scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> Calibration | None:
    """Return the expected calibration error over 15 bins of equal width, or None for scores that are no probabilities.

    Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", ICML, after Naeini et al. 2015: the mean
    distance between accuracy and mean top score of a bin, weighted by its pictures. It is biased upwards by chance.
    """
    if len(right) == 0 or not bool(((top_scores >= 0) & (top_scores <= 1 + 1e-4)).all()):
        return None
    places = np.minimum((top_scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    bins = []
    for number in np.unique(places):
        inside = places == number
        bins.append(Bin(int(inside.sum()), float(top_scores[inside].mean()), float(right[inside].mean())))
    error = sum(part.pictures * abs(part.accuracy - part.score) for part in bins) / len(right)
    return Calibration(error, tuple(bins))


def least_scores(top_scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> tuple[LeastScore, ...]:
    """Return what each least score costs and saves, from none to one above all wrong answers.

    () where nothing is wrong, or nothing right, or a score is not finite. top_scores: (N,), float32; right: (N,), bool.

    A threshold just above a wrong answer is the best of those that catch as many wrong ones: only these are returned.
    """
    wrong, others = np.sort(top_scores[~right]), np.sort(top_scores[right])
    if not len(wrong) or not len(others) or not np.isfinite(top_scores).all():
        return ()
    caught = np.unique(np.linspace(1, len(wrong), min(len(wrong), MIN_SCORES)).round().astype(int))
    points = [LeastScore(0.0, 0.0, 0.0)]
    for count in caught:
        score = float(np.nextafter(wrong[count - 1], np.float32(np.inf)))
        below = [int(np.searchsorted(scores, score)) / len(scores) for scores in (others, wrong)]
        points.append(LeastScore(score, *below))
    return tuple(points)


def flipped(first: Answers, second: Answers) -> npt.NDArray[np.int64]:
    """Return the indices (n,) of pictures that two models answer differently, of those that both have answered."""
    common = min(len(first), len(second))
    return np.flatnonzero(first[:common] != second[:common])
