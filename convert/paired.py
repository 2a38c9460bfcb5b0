"""Comparing two models on the same pictures: the interval of a paired difference, and the sample that would settle it."""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

Z = 1.959963984540054  # the 97.5 % point of the normal distribution: two-sided 95 %
MOST_PICTURES = 10**9  # beyond this a sample is not worth naming


class Verdict(Enum):
    """What a sample says of a drop: three values, since a gate that guesses is worse than none."""

    WITHIN = "within"
    EXCEEDS = "exceeds"
    NOT_DISTINGUISHABLE = "not distinguishable"


@dataclass(frozen=True)
class Paired:
    """Two models on the same pictures: how many only the first, only the second answers rightly, of how many in all."""

    only_first: float
    only_second: float
    total: float

    @staticmethod
    def of(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> "Paired":
        """Count from the answers of both models and the labels, each (N,)."""
        right, other = first == truth, second == truth
        return Paired(int((right & ~other).sum()), int((other & ~right).sum()), len(truth))

    @property
    def drop(self) -> float:
        """Return the first's accuracy less the second's, as a fraction of one."""
        return (self.only_first - self.only_second) / self.total

    def interval(self, z: float = Z) -> tuple[float, float]:
        """Return the interval of the drop by Tango's score, 95 % unless `z` is another point of the normal distribution.

        Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
        design", Stat. Med. 17: 891, one of the three that Fagerland, Lydersen and Laake 2014 (Stat. Med. 33: 2850)
        recommend; unlike Wald's it holds where the two models differ in no picture at all.
        """
        return self._border(-1.0, self.drop, z), self._border(self.drop, 1.0, -z)

    def verdict(self, max_drop: float) -> Verdict:
        """Hold the interval of the drop against the drop that is allowed."""
        low, high = self.interval()
        if high <= max_drop:
            return Verdict.WITHIN
        return Verdict.EXCEEDS if low > max_drop else Verdict.NOT_DISTINGUISHABLE

    def pictures_needed(self, max_drop: float) -> int | None:
        """Return how many pictures would show a drop within `max_drop` if both models went on as in this sample.

        None: no number would, since the drop of this sample itself is not below it.
        """
        if self.drop >= max_drop:
            return None
        enough, few = math.ceil(self.total), 0
        while self._grown(enough).interval()[1] > max_drop:
            few, enough = enough, enough * 2
            if enough > MOST_PICTURES:
                return None
        while enough - few > 1:
            middle = (enough + few) // 2
            few, enough = (few, middle) if self._grown(middle).interval()[1] <= max_drop else (middle, enough)
        return enough

    def _grown(self, total: int) -> "Paired":
        factor = total / self.total
        return Paired(self.only_first * factor, self.only_second * factor, total)

    def _score(self, difference: float) -> float:
        """Return Tango's statistic for the hypothesis that the drop is `difference`."""
        n, b, c = self.total, self.only_first, self.only_second
        linear = -b - c + (2 * n - b + c) * difference
        constant = -c * difference * (1 - difference)
        share = (math.sqrt(max(linear * linear - 8 * n * constant, 0.0)) - linear) / (
            4 * n
        )  # of `only_second`, at its likeliest
        variance = n * (2 * share + difference * (1 - difference))
        distance = b - c - n * difference
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)

    def _border(self, low: float, high: float, wanted: float) -> float:
        """Return where the statistic, which falls with the difference, passes `wanted` between `low` and `high`."""
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._score(middle) > wanted else (low, middle)
        return (low + high) / 2
