"""Ratios of processes that took turns: what they say of one round, and of several."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.stats import intervals
from bench.stats.percentiles import Nanoseconds
from common.interval import Interval

COMPARED = 0.25  # the quantile of a turn's queries: the time slices of a neighbour are in the slower ones

ProcessTurns = Sequence[Nanoseconds]  # the latencies of each turn of a process, (queries,)


def log_ratios(compared_ns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the log of each process's time over the geometric mean of all in the same turn, from (turns, processes).

    The median over the turns leaves out disturbed ones.
    """
    logs = np.log(compared_ns)
    ratios: npt.NDArray[np.float64] = np.median(logs - logs.mean(axis=1, keepdims=True), axis=0)
    return ratios


def ratio_of_rounds(over: Sequence[ProcessTurns], under: Sequence[ProcessTurns], error: float) -> Interval | None:
    """Return the ratio of two rows from their processes of the same rounds; None for fewer than two rounds.

    A row that has all its queries takes no further turns: only the turns that both took are compared.
    """
    logs = [_log_ratio(one, other) for one, other in zip(over, under, strict=False)]
    return intervals.of_log_differences(np.array(logs), error) if len(logs) >= 2 else None


def _log_ratio(over: ProcessTurns, under: ProcessTurns) -> float:
    common = min(len(over), len(under))
    compared_ns = [[max(1.0, float(np.quantile(turn, COMPARED))) for turn in side[:common]] for side in (over, under)]
    first, second = log_ratios(np.array(compared_ns).T)
    return float(first - second)
