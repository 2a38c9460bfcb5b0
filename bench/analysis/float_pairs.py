"""Quantized rows compared with their float rows: how much faster and smaller, and whether the answers are as good."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.results.evaluation_set import paired_answers
from bench.results.row import ResultRow
from bench.results.store import Results
from bench.results.time_ratio import time_ratio
from bench.stats.ratios import Ratio
from common.paired_accuracy import Paired

BASELINE = "float32"


@dataclass(frozen=True)
class Pair:
    """A row beside the float32 row of the same model, format, runtime, device and threads."""

    row: ResultRow
    baseline: ResultRow
    speed: Ratio  # the baseline's time over the row's: over 1 is faster
    accuracy: Paired | None  # the baseline first; None where the answers are not kept
    otherwise: int | None = None  # pictures of `accuracy` that the two answer differently

    @property
    def times_smaller(self) -> float:
        """Return the baseline's size over the row's."""
        return self.baseline.artifact.size_bytes / self.row.artifact.size_bytes

    @property
    def trusted(self) -> bool:
        """Say whether nothing disturbed either latency that the interval of their ratio does not show."""
        return all(latency.may_be_judged for latency in (self.row.latency, self.baseline.latency))


def pairs(results: Results) -> list[Pair]:
    """Return a pair for each row that has a float32 row to compare with, in the rows' order."""
    found = []
    for row in results.rows:
        baseline = baseline_of(row, results.rows)
        if baseline is not None and row.why_no_latency is None:
            speed = time_ratio(results, baseline, row)
            accuracy = paired_answers(results.arrays, baseline, row)
            found.append(
                Pair(row, baseline, speed, accuracy, None if accuracy is None else otherwise(results, baseline, row))
            )
    return found


def baseline_of(row: ResultRow, rows: Sequence[ResultRow]) -> ResultRow | None:
    """Return the float32 row that differs from this one only in the variant."""
    if row.subject.variant == BASELINE:
        return None
    wanted = replace(row.subject, variant=BASELINE)
    return next((other for other in rows if other.subject == wanted), None)


def otherwise(results: Results, first: ResultRow, second: ResultRow) -> int:
    """Count the pictures that two rows answer differently, of those that both have answered."""
    one, two = (results.arrays[f"{row.key}/predictions"] for row in (first, second))
    common = min(len(one), len(two))
    return int((one[:common] != two[:common]).sum())
