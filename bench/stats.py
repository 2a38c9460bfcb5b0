"""Statistics of latency samples: what a sample can carry, and nothing else."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]  # (queries,)

EARLY_STOPPING_ERROR = 0.01  # one minus MLPerf's confidence of 99 %
BOOTSTRAP_RESAMPLES = 2_000
CI_TAIL = 0.025  # of each side of a 95 % interval


@lru_cache(maxsize=256)
def discarded(queries: int, percentile: float) -> int | None:
    """Return how many of the slowest queries MLPerf's early stopping discards; None: too few queries for this one.

    The largest t with I(p; q - t, t + 1) ≤ 0.01 is sought, I being the regularized incomplete beta function, and the
    t - 1 slowest are discarded (MLPerf inference rules, appendix "Early stopping criterion"; tolerance 0). The probability
    grows with t, so the border is found by halving.
    """
    from scipy.special import betainc

    def carried(t: int) -> bool:
        return bool(betainc(queries - t, t + 1, percentile) <= EARLY_STOPPING_ERROR)

    if queries < 2 or not carried(1):
        return None
    low, high = 1, queries - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if carried(middle) else (low, middle - 1)
    return low - 1


def early_stopping_percentile_ns(samples: Nanoseconds, percentile: float) -> int | None:
    """Return MLPerf's estimate of a latency percentile in nanoseconds, or None where the sample cannot carry it."""
    drop = discarded(len(samples), percentile)
    if drop is None:
        return None
    place = len(samples) - 1 - drop
    return int(np.partition(samples, place)[place])


def median_ci95_ns(processes: Sequence[Nanoseconds], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the median over both levels: processes, then queries within each.

    A resampled median of n queries is the order statistic at a Beta((n + 1) / 2, (n + 1) / 2) share of the sorted sample,
    which draws it without resampling n values.
    """
    random = np.random.default_rng(seed)
    picked = random.integers(len(processes), size=(BOOTSTRAP_RESAMPLES, len(processes)))
    medians = np.empty(picked.shape)
    for number, samples in enumerate(processes):
        ordered, here = np.sort(samples), picked == number
        half = (len(samples) + 1) / 2
        share = random.beta(half, half, size=int(here.sum()))
        medians[here] = ordered[np.minimum((share * len(samples)).astype(np.int64), len(samples) - 1)]
    low, high = np.quantile(np.median(medians, axis=1), [CI_TAIL, 1 - CI_TAIL])
    middle = float(np.median(np.concatenate(processes)))
    return min(float(low), middle), max(float(high), middle)


def drift(samples: Nanoseconds, blocks: int = 8) -> float:
    """Return how far block medians lie apart, as a fraction of their median: 0.1 means 10 %."""
    medians = [float(np.median(block)) for block in np.array_split(samples, blocks)]
    return (max(medians) - min(medians)) / float(np.median(medians))
