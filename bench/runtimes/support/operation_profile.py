"""Time per operation: the result of a runtime's own profiler, as a table for people and JSON for programs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

WARM_UP_RUNS = 20
RUNS = 200
DURATION_NS = 5_000_000_000  # about the longest time; slow models do fewer runs, at least WARM_UP_RUNS
TRIMMED = 0.1  # of the executions at either end: an interruption, such as another process's turn, is no operation's time
COLUMNS = ("operation", "kind", "by", "mean µs", "share %")


@dataclass(frozen=True)
class Operation:
    """One operation of a graph: its mean time in an inference, without the fastest and the slowest executions."""

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
    """Return the operations of `runs` inferences, in the order of execution."""
    durations_us: dict[tuple[int, str, str, str], list[float]] = {}
    for event in events:
        durations_us.setdefault((event.place, event.name, event.kind, event.by), []).append(event.duration_us)
    ordered = sorted(durations_us.items(), key=lambda entry: entry[0][0])
    return [
        Operation(name, kind, by, trimmed_mean(us) * len(us) / runs, runs)  # it may be executed more than once in a run
        for (_, name, kind, by), us in ordered
    ]


def trimmed_mean(values: Sequence[float]) -> float:
    """Return the mean without TRIMMED of the values at either end.

    Not the median: LiteRT tells whole microseconds, and a mean has the parts between them.
    """
    left_out = int(TRIMMED * len(values))
    return float(np.mean(np.sort(values)[left_out : len(values) - left_out]))


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
