"""Statistics of latency samples, only those for which the sample is large enough."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench.stats import intervals

Nanoseconds = npt.NDArray[np.int64]  # (queries,)

EARLY_STOPPING_ERROR = 0.01  # one minus MLPerf's confidence of 99 %
MIN_P99 = 662  # queries: the fewest for which `discarded` allows a p99
CI_TAIL = 0.025  # of each side of a 95 % interval


@lru_cache(maxsize=256)
def discarded(queries: int, percentile: float) -> int | None:
    """Return how many of the slowest queries MLPerf's early stopping discards; None: too few queries for this percentile.

    It is t - 1 for the largest t with I(p; q - t, t + 1) ≤ 0.01, where I is the regularized incomplete beta function
    (MLPerf inference rules, appendix "Early stopping criterion"; tolerance 0). The probability
    grows with t, so the border is found by bisection.
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
    """Return MLPerf's estimate of a latency percentile in nanoseconds, or None where the sample is too small."""
    drop = discarded(len(samples), percentile)
    if drop is None:
        return None
    place = len(samples) - 1 - drop
    return int(np.partition(samples, place)[place])


def median_ci95_ns(processes: Sequence[Nanoseconds]) -> tuple[float, float]:
    """Return the 95 % interval of the median over both levels, processes and queries, in nanoseconds.

    One process is one sample: the differences from process to process (such as memory addresses) are larger than
    the scatter of one process's queries. So the interval is Student's t on the logarithms of the processes' medians, which
    contain both. It is never narrower than the order-statistic interval over all queries, and always contains their median.
    An earlier version, a bootstrap over three clusters, contained the true median in 77 % of cases, not in 95 %
    (tests/bench/stats/test_interval_coverage.py). With a single process the interval is about that process only.
    """
    pooled = np.sort(np.concatenate(processes))
    low, high = _order_statistics_ci95(pooled)
    medians_ns = [max(1.0, float(np.median(samples))) for samples in processes]  # 0 has no logarithm
    if between := intervals.of_processes(medians_ns, 2 * CI_TAIL):
        low, high = min(low, between.low), max(high, between.high)
    middle = float(np.median(pooled))
    return min(low, middle), max(high, middle)


def _order_statistics_ci95(ordered: Nanoseconds) -> tuple[float, float]:
    """Return the distribution-free 95 % interval of the median of a sorted sample: two of its values, by the binomial."""
    from scipy.special import bdtrik

    count = len(ordered)
    below = max(0, int(np.ceil(bdtrik(CI_TAIL, count, 0.5))) - 1)
    return float(ordered[below]), float(ordered[count - 1 - below])
