"""A histogram of latencies: any number of them in constant memory, for a long load."""

import math

import numpy as np
import numpy.typing as npt

from bench.stats.percentiles import Nanoseconds, discarded

PRECISION = 1e-3  # relative width of a bin, as HdrHistogram's three significant digits (hdrhistogram.org)
SMALLEST_NS, LARGEST_NS = 1, 10**12  # values beyond are counted in the last bin
BINS = math.ceil(math.log(LARGEST_NS / SMALLEST_NS) / math.log1p(PRECISION)) + 1


class Histogram:
    """Counts latencies in bins that are 0.1 % wide. Percentiles are as precise, minimum and maximum are exact."""

    def __init__(self) -> None:
        self._counts: npt.NDArray[np.int64] = np.zeros(BINS, np.int64)
        self._lowest_ns, self._highest_ns = math.inf, 0.0

    def __len__(self) -> int:
        return int(self._counts.sum())

    @property
    def min_ns(self) -> float:
        """Return the smallest latency; infinite if there is none."""
        return self._lowest_ns

    def add(self, samples: Nanoseconds) -> None:
        """Count latencies (queries,), int64."""
        if not len(samples):
            return
        places = np.log(np.maximum(samples, SMALLEST_NS) / SMALLEST_NS) / math.log1p(PRECISION)
        self._counts += np.bincount(np.minimum(places.astype(np.int64), BINS - 1), minlength=BINS)
        self._lowest_ns = min(self._lowest_ns, float(samples.min()))
        self._highest_ns = max(self._highest_ns, float(samples.max()))

    def at_rank_ns(self, rank: int) -> float:
        """Return the latency with `rank` (from 0) smaller ones, in nanoseconds: the middle of its bin."""
        place = int(np.searchsorted(np.cumsum(self._counts), rank, side="right"))
        middle = SMALLEST_NS * math.exp((place + 0.5) * math.log1p(PRECISION))
        return min(max(middle, self._lowest_ns), self._highest_ns)

    def median_ns(self) -> float:
        """Return the median (for an even number the mean of the middle two), in nanoseconds."""
        count = len(self)
        return (self.at_rank_ns((count - 1) // 2) + self.at_rank_ns(count // 2)) / 2

    def early_stopping_percentile_ns(self, percentile: float) -> float | None:
        """Return MLPerf's estimate of a percentile (percentiles.discarded) in nanoseconds; None where there are too few."""
        count = len(self)
        drop = discarded(count, percentile)
        return None if drop is None else self.at_rank_ns(count - 1 - drop)
