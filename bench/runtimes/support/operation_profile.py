"""Time per operation: the result of a runtime's own profiler, as a table for people and JSON for programs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

WARM_UP_RUNS = 20
RUNS = 200
DURATION_NS = 5_000_000_000  # about the longest time; slow models do fewer runs, at least WARM_UP_RUNS
COLUMNS = ("operation", "kind", "by", "mean µs", "share %")


@dataclass(frozen=True)
class Operation:
    """One operation of a graph: mean time of one inference."""

    name: str
    kind: str  # of the model's operation or of the kernel, as the runtime calls it
    by: str  # what computes it: a delegate, a provider, or the runtime's own kernels
    mean_us: float
    runs: int


@dataclass(frozen=True)
class Event:
    """One execution of an operation."""

    place: int  # in the order of execution
    name: str
    kind: str
    by: str
    duration_us: float


def operations(events: Iterable[Event], runs: int) -> list[Operation]:
    """Sum the events of each operation, in the order of execution: the time of all `runs` divided by their number."""
    sums: dict[tuple[int, str, str, str], list[float]] = {}
    for event in events:
        sums.setdefault((event.place, event.name, event.kind, event.by), []).append(event.duration_us)
    ordered = sorted(sums.items(), key=lambda entry: entry[0][0])
    return [Operation(name, kind, by, float(np.sum(us)) / runs, runs) for (_, name, kind, by), us in ordered]


def to_json(operations: Sequence[Operation]) -> list[dict[str, Any]]:
    """Return operations as JSON, in the order of execution."""
    return [asdict(operation) for operation in operations]


def table(operations: Sequence[Operation]) -> list[list[str]]:
    """Return the cells under COLUMNS, the slowest first, and a last row with the sum."""
    total = sum(operation.mean_us for operation in operations)
    ordered = sorted(operations, key=lambda operation: -operation.mean_us)
    rows = [
        [each.name, each.kind, each.by, f"{each.mean_us:,.1f}", f"{100 * each.mean_us / total if total else 0:.1f}"]
        for each in ordered
    ]
    return [*rows, [f"sum of {len(ordered)} operations", "", "", f"{total:,.1f}", "100.0" if total else "–"]]


def text(operations: Sequence[Operation]) -> list[str]:
    """Return the table as aligned lines."""
    rows = [list(COLUMNS), *table(operations)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    aligned = (str.ljust, str.ljust, str.ljust, str.rjust, str.rjust)
    return [
        "  " + "  ".join(align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)) for row in rows
    ]
