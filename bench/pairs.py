"""Float against quantized, row by row: how much faster and smaller, and whether the answers are as good."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.evidence import Evidence
from bench.ratio import Ratio, ratio
from bench.results import Results, Row, has_no_time, latencies_ns
from convert.paired import Paired

BASELINE = "float32"
SAME = ("model", "name", "format", "runtime", "device", "accelerator", "threads")


@dataclass(frozen=True)
class Pair:
    """A row beside the float32 row of the same model, format, runtime, device and threads."""

    row: Row
    baseline: Row
    speed: Ratio  # the baseline's time over the row's: over 1 is faster
    accuracy: Paired | None  # the baseline first; None where what was kept does not tell

    @property
    def times_smaller(self) -> float:
        """Return the baseline's size over the row's."""
        return float(self.baseline["artifact"]["size_bytes"]) / float(self.row["artifact"]["size_bytes"])

    @property
    def trusted(self) -> bool:
        """Tell whether both latencies are valid."""
        return bool(self.row["latency"]["valid"] and self.baseline["latency"]["valid"])


def pairs(results: Results) -> list[Pair]:
    """Return a pair for each row that has a float32 row to be held against, in the rows' order."""
    found = []
    for row in results.rows:
        baseline = baseline_of(row, results.rows)
        if baseline is not None and not has_no_time(row):
            speed = ratio(latencies_ns(results, baseline), latencies_ns(results, row))
            found.append(Pair(row, baseline, speed, paired(results, baseline, row)))
    return found


def baseline_of(row: Row, rows: Sequence[Row]) -> Row | None:
    """Return the float32 row that differs from this one in nothing but the variant."""
    if row["variant"] == BASELINE:
        return None
    place = [row[name] for name in SAME]
    return next((other for other in rows if other["variant"] == BASELINE and [other[n] for n in SAME] == place), None)


def paired(results: Results, first: Row, second: Row) -> Paired | None:
    """Compare the answers of two rows on the pictures that both have seen; None where these are not known."""
    evidence, other = Evidence.of(results.arrays, first), Evidence.of(results.arrays, second)
    if evidence is None or other is None or evidence.prefix != other.prefix:
        return None
    one, two = (results.arrays[f"{row['samples']['key']}/predictions"] for row in (first, second))
    common = min(len(one), len(two))
    return Paired.of(one[:common], two[:common], evidence.truth[:common].astype(np.int64))
