"""Comparing two models on the same pictures: the interval of a paired difference, and the sample size that decides."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.interval import ERROR, Interval, normal_point
from common.verdict import Verdict, judge
from device.scoring import Z

Z_POWER = 0.8416212335729143  # its 80 % point: the power for which a sample size is planned
MAX_PICTURES = 10**9  # a larger sample size is not reported


@dataclass(frozen=True)
class Paired:
    """Two models on the same pictures: how many only the first, only the second answers rightly, and their number."""

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
        recommend; unlike Wald's it is valid where the two models differ in no picture.
        """
        return self._border(-1.0, self.drop, z), self._border(self.drop, 1.0, -z)

    @property
    def mcnemar_p(self) -> float:
        """Return the two-sided p of McNemar's test that neither model is right more often.

        It is the asymptotic form, Tango's statistic at no difference: so p is below an error exactly when the interval at
        that error excludes 0. Fagerland, Lydersen and Laake 2013 (BMC Med. Res. Methodol. 13: 91) prefer it to the exact
        conditional test. McNemar 1947, Psychometrika 12: 153.
        """
        if self.only_first + self.only_second == 0:
            return 1.0
        return math.erfc(abs(self._score(0.0)) / math.sqrt(2))

    @property
    def distinguishable(self) -> bool:
        """Say whether the sample shows a difference: whether the interval of a verdict excludes 0."""
        judged = self.judged_drop()
        return not judged.low <= 0 <= judged.high

    def pictures_to_distinguish(self) -> int | None:
        """Return how many pictures would show this sample's difference with 80 % power, if it is the true difference.

        Connor 1987, "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43: 207.
        None: the sample has no difference, so no number of pictures would.
        """
        if self.drop == 0:
            return None
        discordant = (self.only_first + self.only_second) / self.total
        root = normal_point() * math.sqrt(discordant) + Z_POWER * math.sqrt(max(discordant - self.drop**2, 0.0))
        return math.ceil((root / self.drop) ** 2)

    def judged_drop(self, error: float = ERROR) -> Interval:
        """Return the drop with its interval for a verdict: 99 % by default."""
        return Interval(self.drop, *self.interval(normal_point(error)))

    def verdict(self, max_drop: float) -> Verdict:
        """Judge the drop: PASS where it is shown to be within `max_drop`, FAIL where it is shown to exceed it."""
        return judge(self.judged_drop(), max_drop, at_most=True)

    def pictures_needed(self, max_drop: float) -> int | None:
        """Return how many pictures would give a PASS for `max_drop` if both models continue as in this sample.

        None: no number would, since the drop of this sample is not below `max_drop`.
        """
        if self.drop >= max_drop:
            return None
        enough, few = math.ceil(self.total), 0
        while self._grown(enough).verdict(max_drop) is not Verdict.PASS:
            few, enough = enough, enough * 2
            if enough > MAX_PICTURES:
                return None
        while enough - few > 1:
            middle = (enough + few) // 2
            few, enough = (few, middle) if self._grown(middle).verdict(max_drop) is Verdict.PASS else (middle, enough)
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
        )  # the maximum likelihood estimate for `only_second`
        variance = n * (2 * share + difference * (1 - difference))
        distance = b - c - n * difference
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)

    def _border(self, low: float, high: float, wanted: float) -> float:
        """Return where the statistic equals `wanted` between `low` and `high`; it falls as the difference grows."""
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._score(middle) > wanted else (low, middle)
        return (low + high) / 2
