"""Comparing two models on the same pictures: the interval of a paired difference, and the sample that would settle it."""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

Z = 1.959963984540054  # the 97.5 % point of the normal distribution: two-sided 95 %
Z_POWER = 0.8416212335729143  # its 80 % point: what a sample size is planned for
LEVEL = 0.05  # of tests, two-sided
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

    @property
    def mcnemar_p(self) -> float:
        """Return the two-sided p of McNemar's exact test that neither model is right more often.

        The pictures that only one answers rightly are coin tosses then (McNemar 1947, Psychometrika 12: 153; exact
        form: twice the binomial tail, at most 1).
        """
        from scipy.special import bdtr

        fewer, all_told = min(self.only_first, self.only_second), self.only_first + self.only_second
        return 1.0 if all_told == 0 else min(1.0, 2 * float(bdtr(fewer, all_told, 0.5)))

    @property
    def distinguishable(self) -> bool:
        """Tell whether the sample shows a difference: by the exact test and by the interval, both at 95 %."""
        low, high = self.interval()
        return self.mcnemar_p < LEVEL and not low <= 0 <= high

    def pictures_to_distinguish(self) -> int | None:
        """Return how many pictures would show this sample's difference with 80 % power, were it the true one.

        Connor 1987, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43: 207.
        None: the sample has no difference, so no number would.
        """
        if self.drop == 0:
            return None
        discordant = (self.only_first + self.only_second) / self.total
        root = Z * math.sqrt(discordant) + Z_POWER * math.sqrt(max(discordant - self.drop**2, 0.0))
        return math.ceil((root / self.drop) ** 2)

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
