"""Statistics of latency samples: what a sample can carry, and nothing else."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench import interval

Nanoseconds = npt.NDArray[np.int64]  # (queries,)

EARLY_STOPPING_ERROR = 0.01  # one minus MLPerf's confidence of 99 %
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


def median_ci95_ns(processes: Sequence[Nanoseconds]) -> tuple[float, float]:
    """Return the 95 % interval of the median over both levels, processes and queries, in nanoseconds.

    One process is one sample: what moves the median from process to process (where its memory lies, say) is larger than
    what the queries of one can show. So the interval is Student's t on the logarithms of the processes' medians, which
    scatter by both; it is never narrower than the order-statistic interval over all queries, and always holds their median.
    A bootstrap over three clusters, which this was before, holds the true median in 77 % of cases, not in 95 %
    (test_bench_coverage.py). A single process shows nothing of the others: its interval is about itself alone.
    """
    pooled = np.sort(np.concatenate(processes))
    low, high = _order_statistics_ci95(pooled)
    if between := interval.of_processes([float(np.median(samples)) for samples in processes], 2 * CI_TAIL):
        low, high = min(low, between.low), max(high, between.high)
    middle = float(np.median(pooled))
    return min(low, middle), max(high, middle)


def _order_statistics_ci95(ordered: Nanoseconds) -> tuple[float, float]:
    """Return the distribution-free 95 % interval of the median of a sorted sample: two of its values, by the binomial."""
    from scipy.special import bdtrik

    count = len(ordered)
    below = max(0, int(np.ceil(bdtrik(CI_TAIL, count, 0.5))) - 1)
    return float(ordered[below]), float(ordered[count - 1 - below])


def drift(samples: Nanoseconds, blocks: int = 8) -> float:
    """Return how far block medians lie apart, as a fraction of their median: 0.1 means 10 %."""
    medians = [float(np.median(block)) for block in np.array_split(samples, min(blocks, len(samples)))]
    return (max(medians) - min(medians)) / float(np.median(medians))
