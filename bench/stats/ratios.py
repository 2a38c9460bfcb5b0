"""Ratios of latencies for reports: of two rows, and over pairs of rows, with 95 % intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.stats import intervals
from bench.stats.percentiles import Nanoseconds

STATED_ERROR = 0.05  # of an interval in a report; verdicts use common.interval.ERROR

Processes = Sequence[Nanoseconds]  # the latencies of each process of a row


@dataclass(frozen=True)
class Ratio:
    """One time over another. `low` and `high` are the 95 % interval; None where the processes are too few for one."""

    value: float
    low: float | None
    high: float | None

    @property
    def inverse(self) -> "Ratio":
        """Return the inverse ratio."""
        if self.low is None or self.high is None:
            return Ratio(1 / self.value, None, None)
        return Ratio(1 / self.value, 1 / self.high, 1 / self.low)

    @property
    def distinguishable(self) -> bool:
        """Say whether the sample shows a difference."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def ratio(first: Processes, second: Processes) -> Ratio:
    """Return the first row's time over the second's: geometric means of their processes' medians."""
    return geometric_mean([(first, second)])


def geometric_mean(pairs: Sequence[tuple[Processes, Processes]]) -> Ratio:
    """Return the geometric mean of the ratios of pairs of rows.

    Rows are taken as independent samples, which rows of one run are not: the interval holds nothing of what moved them all.
    Raises ValueError for no pairs.
    """
    if not pairs:
        raise ValueError("no pairs of rows")
    medians = [(quantiles(first), quantiles(second)) for first, second in pairs]
    found = intervals.of_geometric_mean(medians, STATED_ERROR)
    if found is not None:
        return Ratio(found.value, found.low, found.high)
    logs = [float(np.log(first).mean() - np.log(second).mean()) for first, second in medians]
    return Ratio(math.exp(sum(logs) / len(logs)), None, None)


def quantile_ci95_ns(processes: Processes, percentile: float) -> tuple[float, float] | None:
    """Return the 95 % interval of a percentile of one row, in nanoseconds; None where the processes are too few."""
    found = intervals.of_processes(quantiles(processes, percentile), STATED_ERROR)
    return None if found is None else (found.low, found.high)


def quantiles(processes: Processes, percentile: float = 0.5) -> list[float]:
    """Return a percentile of each process, in nanoseconds above zero."""
    return [max(1.0, float(np.quantile(samples, percentile))) for samples in processes]
