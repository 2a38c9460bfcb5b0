"""The output of a run: the table of its rows, and each kind of note once. The report has the rest."""

from collections.abc import Sequence

from bench.analysis.thread_count import advice
from bench.report.devices import COLUMNS as DEVICES, LEFT_OUT_FIRST as DEVICES_LEAST, devices_table
from bench.report.markdown import COLUMNS, table
from bench.report.microcontroller import COLUMNS as NEEDS, LEFT_OUT_FIRST as NEEDS_LEAST, microcontroller_table
from bench.report.section import Section
from bench.results.row import ANY, ResultRow, Skipped
from bench.results.store import Results
from bench.results.validity import BETWEEN_REASONS
from common.counts import counted
from common.tables import table_lines
from device.safe_text import printable

LEFT_OUT_FIRST = ("M instr.", "first ms", "load ms", "p90 ms", "peak MB", "as Keras %", "size kB")


def console_lines(results: Results, sections: Sequence[Section] = ()) -> list[str]:
    """Return the lines about the rows that this process measured, or about all rows and the sections if it measured none."""
    of_this_run = bool(results.new_keys or results.new_skipped)
    rows = [row for row in results.rows if row.key in results.new_keys] if of_this_run else results.rows
    skipped = results.new_skipped if of_this_run else results.skipped
    notes = [*advice(rows), *_doubts(rows), *_skipped(skipped)]
    devices, needs = devices_table(_with_others_of_their_files(results.rows, rows)), microcontroller_table(rows)
    return [
        *(table_lines(COLUMNS, table(rows), LEFT_OUT_FIRST) if rows else []),
        *(["", "Devices", *table_lines(DEVICES, devices, DEVICES_LEAST)] if devices else []),
        *(["", *table_lines(NEEDS, needs, NEEDS_LEAST)] if needs else []),
        *map(printable, notes),
        *(printable(line) for section in ([] if of_this_run else sections) for line in section.console()),
    ]


def _with_others_of_their_files(every: Sequence[ResultRow], rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Return the rows, and those of the same files elsewhere: devices are often measured in runs of their own."""
    files = {row.artifact.sha256 for row in rows}
    return [row for row in every if row.artifact.sha256 in files]


def _doubts(rows: Sequence[ResultRow]) -> list[str]:
    """Say once for each reason how many rows have an invalid timing, with the reason of the first one."""
    kinds: dict[str, list[str]] = {}
    for row in rows:
        if not row.latency.valid and row.why_no_latency is None:
            for reason in (row.latency.why_invalid or "").split(BETWEEN_REASONS):
                kinds.setdefault(reason.partition(":")[0], []).append(reason)
    return [f"! {counted(len(reasons), 'row')}: {_such_as(reasons)}" for reasons in kinds.values()]


def _skipped(skipped: Sequence[Skipped]) -> list[str]:
    """Say once for each reason which rows were skipped; runtimes that were skipped as a whole share a line."""
    kinds: dict[tuple[str, str, str], list[Skipped]] = {}
    for row in skipped:
        runtime = "" if row.subject.model == ANY else row.subject.runtime
        kinds.setdefault((runtime, row.subject.device, row.reason), []).append(row)
    return [
        f"skipped: {_files(rows)} in {_runtimes(rows)}{'' if device == 'host' else f' on {device}'}: {reason}"
        for (_, device, reason), rows in kinds.items()
    ]


def _runtimes(rows: Sequence[Skipped]) -> str:
    return ", ".join(dict.fromkeys(row.subject.runtime for row in rows))


def _files(rows: Sequence[Skipped]) -> str:
    if rows[0].subject.model == ANY:
        return "everything"
    names = [f"{row.subject.model} {row.subject.variant}.{row.subject.format}" for row in rows]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _such_as(reasons: Sequence[str]) -> str:
    return reasons[0] if len(set(reasons)) == 1 else f"{reasons[0]}, and similar reasons"
