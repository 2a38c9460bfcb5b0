"""How many threads to use, in words: what the intervals of a sweep over threads show."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.results.row import ResultRow, Subject


def advice(rows: Sequence[ResultRow]) -> list[str]:
    """Return a sentence for each subject that was measured with several thread counts."""
    sweeps: dict[Subject, list[ResultRow]] = {}
    for row in rows:
        sweeps.setdefault(replace(row.subject, threads=1), []).append(row)
    return [_sentence(sorted(sweep, key=lambda row: row.subject.threads)) for sweep in sweeps.values() if len(sweep) > 1]


def best(sweep: Iterable[ResultRow]) -> ResultRow:
    """Return the row to use: more threads only where the whole interval of their p50 is below that of fewer threads.

    One thread a picture is the default: it leaves the other cores to other pictures and stays fast on a busy machine.
    A row that was disturbed is not chosen over fewer threads.
    """
    ordered = sorted(sweep, key=lambda row: row.subject.threads)
    chosen = ordered[0]
    for row in ordered[1:]:
        if row.latency.may_be_judged and row.latency.p50.ci95[1] < chosen.latency.p50.ci95[0]:
            chosen = row
    return chosen


def _sentence(sweep: Sequence[ResultRow]) -> str:
    first, chosen = sweep[0], best(sweep)
    subject = first.subject
    measured = ", ".join(_p50(row) for row in sweep)
    what = f"Threads, {subject.model_name} {subject.variant}.{subject.format} in {subject.runtime}: {measured}"
    if not all(row.latency.may_be_judged for row in sweep):
        return f"{what}. Not known how many to use: measure again on a quiet machine."
    if chosen is first:
        return f"{what}. Use {subject.threads}: more are not distinguishably faster."
    low = first.latency.p50.ci95[0] / chosen.latency.p50.ci95[1]
    ratio = first.latency.p50.ms / chosen.latency.p50.ms
    waste = chosen.subject.threads / subject.threads / ratio
    beside = f"; each picture then costs {waste:.1f} times the CPU time" if waste > 1.05 else ""
    return (
        f"{what}. Use {chosen.subject.threads} where a core is free: {ratio:.2f} times as fast, at least {low:.2f}{beside}."
    )


def _p50(row: ResultRow) -> str:
    low, high = row.latency.p50.ci95
    doubt = "" if row.latency.valid else " (not valid)"
    return f"{row.subject.threads}: {row.latency.p50.ms:.3g} ms [{low:.3g}, {high:.3g}]{doubt}"
