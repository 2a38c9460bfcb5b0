"""How many threads to use: what a sweep over threads says, in words, as far as its intervals carry it."""

from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]  # one measurement as JSON
SWEPT = ("model", "name", "variant", "format", "runtime", "device", "accelerator")


def advice(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each subject that was measured with several thread counts."""
    sweeps: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        sweeps.setdefault(tuple(row[name] for name in SWEPT), []).append(row)
    return [_sentence(sorted(sweep, key=lambda row: row["threads"])) for sweep in sweeps.values() if len(sweep) > 1]


def best(sweep: Iterable[Row]) -> Row:
    """Return the row to use: more threads only where the whole interval of their p50 lies below that of fewer.

    One thread a picture is the default: it leaves the other cores to other pictures and does not collapse on a busy machine.
    A row that is not valid proves nothing and is not chosen over fewer threads.
    """
    ordered = sorted(sweep, key=lambda row: row["threads"])
    chosen = ordered[0]
    for row in ordered[1:]:
        if row["latency"]["valid"] and row["latency"]["ci95_p50_ms"][1] < chosen["latency"]["ci95_p50_ms"][0]:
            chosen = row
    return chosen


def _sentence(sweep: Sequence[Row]) -> str:
    first, chosen = sweep[0], best(sweep)
    model = first["model"] + (f"@{first['name']}" if first["name"] else "")
    measured = ", ".join(_p50(row) for row in sweep)
    what = f"Threads, {model} {first['variant']}.{first['format']} in {first['runtime']}: {measured}"
    if chosen is first:
        return f"{what}. Use {first['threads']}: more are not distinguishably faster."
    low = first["latency"]["ci95_p50_ms"][0] / chosen["latency"]["ci95_p50_ms"][1]
    ratio = first["latency"]["p50_ms"] / chosen["latency"]["p50_ms"]
    waste = chosen["threads"] / first["threads"] / ratio
    beside = f"; each picture then costs {waste:.1f} times the CPU time" if waste > 1.05 else ""
    return f"{what}. Use {chosen['threads']} where a core is free: {ratio:.2f} times as fast, at least {low:.2f}{beside}."


def _p50(row: Row) -> str:
    low, high = row["latency"]["ci95_p50_ms"]
    doubt = "" if row["latency"]["valid"] else " (not valid)"
    return f"{row['threads']}: {row['latency']['p50_ms']:.3g} ms [{low:.3g}, {high:.3g}]{doubt}"
