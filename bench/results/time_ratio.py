"""The ratio of the times of two rows of one file of results: from the rounds in which both took turns, where they did."""

from collections.abc import Sequence

import numpy as np

from bench.results.row import ResultRow
from bench.results.samples import Samples
from bench.results.store import Results, latencies_ns
from bench.stats import intervals
from bench.stats.ratios import STATED_ERROR, Ratio, ratio
from bench.stats.turns import ProcessTurns, ratio_of_rounds
from common.interval import Interval


def time_ratio(results: Results, over: ResultRow, under: ResultRow) -> Ratio:
    """Return one row's time over the other's, with its 95 % interval.

    Rows of the same rounds are compared turn by turn, and one round is one sample: what the machine does over minutes is in
    both. Other rows are compared process by process, as independent samples.
    """
    both = (_turns(results, over), _turns(results, under))
    if same_rounds(over, under) and both[0] and both[1]:
        found = ratio_of_rounds(both[0], both[1], STATED_ERROR)
        if found is not None:
            return Ratio(found.value, found.low, found.high)
    return ratio(latencies_ns(results, over), latencies_ns(results, under))


def same_rounds(one: ResultRow, other: ResultRow) -> bool:
    """Say whether two rows may be compared round by round: rows of one model and one run took turns with each other."""
    same_model = one.subject.model_name == other.subject.model_name and one.subject.device == other.subject.device
    return one.run is not None and one.run == other.run and same_model


def ratio_of_processes(
    results: Results, rows: tuple[ResultRow, ResultRow], values: tuple[Sequence[float], Sequence[float]], error: float
) -> Interval | None:
    """Return the ratio of a figure of two rows, one value a process; None where a row has fewer than two.

    Processes of the same rounds are compared in pairs.
    """
    over, under = values
    if len(over) == len(under) >= 2 and same_rounds(*rows) and all(_turns(results, row) for row in rows):
        return intervals.of_log_differences(np.log(over) - np.log(under), error)
    return intervals.of_ratio(over, under, error)


def _turns(results: Results, row: ResultRow) -> list[ProcessTurns] | None:
    """Return the latencies of each turn by process; None where the row took none, or its samples have no turns any more."""
    if f"{row.key}/turn_queries" not in results.arrays:
        return None
    turns = Samples.from_arrays(results.arrays, row.key).turns_ns
    return None if turns is None else list(turns)
