"""Ratios of latencies with their uncertainty: a two-level bootstrap, processes first, then queries within each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.stats import CI_TAIL, Nanoseconds

RESAMPLES = 4_000
Z = 1.959963984540054
LEAST_PROCESSES = 2  # one process says nothing of how processes differ

Draws = npt.NDArray[np.float64]  # (RESAMPLES,)


@dataclass(frozen=True)
class Ratio:
    """One time over another. `low` and `high` are the 95 % interval; None where the processes are too few for one."""

    value: float
    low: float | None
    high: float | None

    @property
    def inverse(self) -> "Ratio":
        """Return the ratio the other way round."""
        if self.low is None or self.high is None:
            return Ratio(1 / self.value, None, None)
        return Ratio(1 / self.value, 1 / self.high, 1 / self.low)

    @property
    def distinguishable(self) -> bool:
        """Tell whether the sample shows a difference at all."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def ratio(first: Sequence[Nanoseconds], second: Sequence[Nanoseconds], seed: int = 0) -> Ratio:
    """Return the first row's time over the second's: geometric means of their processes' medians."""
    return geometric_mean([(first, second)], seed)


def geometric_mean(pairs: Sequence[tuple[Sequence[Nanoseconds], Sequence[Nanoseconds]]], seed: int = 0) -> Ratio:
    """Return the geometric mean of the ratios of pairs of rows, each row the latencies of its processes.

    Rows are resampled independently. Resampling k processes draws too narrow an interval, by √((k-1)/k) and by Student's t
    over the normal distribution; the draws are expanded by both (Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69: 371). Raises ValueError for no pairs.
    """
    if not pairs:
        raise ValueError("no pairs of rows")
    random = np.random.default_rng(seed)
    value = math.exp(sum(_typical(first) - _typical(second) for first, second in pairs) / len(pairs))
    if any(len(side) < LEAST_PROCESSES for pair in pairs for side in pair):
        return Ratio(value, None, None)
    draws = sum(_expanded_difference(first, second, random) for first, second in pairs) / len(pairs)
    low, high = np.quantile(draws, [CI_TAIL, 1 - CI_TAIL])
    return Ratio(value, min(value, value * math.exp(float(low))), max(value, value * math.exp(float(high))))


def quantile_ci95_ns(processes: Sequence[Nanoseconds], percentile: float, seed: int = 0) -> tuple[float, float] | None:
    """Return the 95 % interval of a percentile of one row, in nanoseconds; None where the processes are too few."""
    if len(processes) < LEAST_PROCESSES:
        return None
    deviation, _ = _deviations(processes, np.random.default_rng(seed), percentile)
    deviation = deviation * _t_over_normal(len(processes) - 1)
    low, high = np.exp(_typical(processes, percentile) + np.quantile(deviation, [CI_TAIL, 1 - CI_TAIL]))
    return float(low), float(high)


def _typical(processes: Sequence[Nanoseconds], percentile: float = 0.5) -> float:
    """Return the mean over processes of the logarithm of each one's percentile."""
    return float(np.mean([math.log(max(1.0, float(np.quantile(samples, percentile)))) for samples in processes]))


def _expanded_difference(first: Sequence[Nanoseconds], second: Sequence[Nanoseconds], random: np.random.Generator) -> Draws:
    """Return draws of the logarithm of a ratio around zero, as wide as Student's t with Welch's degrees of freedom."""
    one, one_variance = _deviations(first, random)
    other, other_variance = _deviations(second, random)
    shares = (one_variance**2 / (len(first) - 1), other_variance**2 / (len(second) - 1))
    freedom = (one_variance + other_variance) ** 2 / sum(shares) if sum(shares) > 0 else len(first) + len(second) - 2.0
    return (one - other) * _t_over_normal(freedom)


def _deviations(
    processes: Sequence[Nanoseconds], random: np.random.Generator, percentile: float = 0.5
) -> tuple[Draws, float]:
    """Return draws of a row's typical logarithm around its own, and the variance of these.

    A resampled percentile p of n queries is the order statistic at a Beta(p (n + 1), (1 - p) (n + 1)) share of the sorted
    sample, which draws it without resampling n values.
    """
    count = len(processes)
    picked = random.integers(count, size=(RESAMPLES, count))
    drawn = np.empty(picked.shape)
    for number, samples in enumerate(processes):
        here = picked == number
        ordered = np.sort(samples)
        share = random.beta(percentile * (len(samples) + 1), (1 - percentile) * (len(samples) + 1), size=int(here.sum()))
        drawn[here] = np.log(np.maximum(ordered[np.minimum((share * len(samples)).astype(np.int64), len(samples) - 1)], 1))
    deviation = drawn.mean(axis=1) - _typical(processes, percentile)
    expanded: Draws = deviation * math.sqrt(count / (count - 1))
    return expanded, float(expanded.var())


def _t_over_normal(freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - CI_TAIL)) / Z
