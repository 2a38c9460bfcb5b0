"""The figures of one row that a budget may limit: a function for each, from a case to the measured value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bench.results.measurement import NS_PER_MS
from bench.results.row import ResultRow
from bench.results.samples import Samples
from bench.results.store import Results
from bench.stats import intervals, percentiles
from common.counts import counted
from common.interval import Interval, of_share
from common.micro_figures import DEVICE, MicroFigures

PERCENTILES: Mapping[str, float] = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
MEASURE_LONGER = "measure longer: `edgeproof bench check --measure`"


@dataclass(frozen=True)
class OtherVariant:
    """A relative limit: a percentile of the latency, divided by that of another variant."""

    percentile: str  # a key of PERCENTILES
    variant: str


@dataclass(frozen=True)
class Case:
    """A row whose figure is needed, and the results with which it may be compared."""

    row: ResultRow
    results: Results
    error: float  # of the interval, two-sided
    other: OtherVariant | None = None  # of a relative limit


@dataclass(frozen=True)
class Measured:
    """A measured figure: an interval, or the reason why there is none."""

    interval: Interval | None = None
    samples: str = ""
    reason: str = ""
    advice: str = ""
    skipped: bool = False  # no such figure was measured at all
    pictures_needed: Callable[[float], int | None] | None = None  # number of pictures that would show that a limit is kept


Figure = Callable[[Case], Measured]

NO_MICROCONTROLLER = Measured(reason=f"its file was not measured with --device {DEVICE}", skipped=True)
NO_BROWSER = Measured(reason="it was not measured in a browser, which downloads its runtime", skipped=True)
NO_ACCURACY = Measured(reason="accuracy was not measured", advice="measure with labelled pictures")


def no_time(row: ResultRow) -> str:
    """Say why a row's times may not be judged; "" where they may."""
    return row.why_no_latency or ""


def processes_ms(row: ResultRow, results: Results, percentile: str) -> list[float] | None:
    """Return a latency percentile of each process in milliseconds; None where a process has too few queries for it.

    Means of blocks of calls, as a browser's clock makes them necessary for small models, show only p50.
    """
    if percentile != "p50" and in_blocks(row):
        return None
    latency_ns = Samples.from_arrays(results.arrays, row.key).latency_ns
    if percentile == "p50":
        return [float(np.median(process)) / NS_PER_MS for process in latency_ns]
    estimates = [percentiles.early_stopping_percentile_ns(process, PERCENTILES[percentile]) for process in latency_ns]
    return [ns / NS_PER_MS for ns in estimates if ns is not None] if None not in estimates else None


def in_blocks(row: ResultRow) -> bool:
    """Say whether a row's samples are means of several calls."""
    return row.browser is not None and row.browser.block > 1


def latency(percentile: str) -> Figure:
    """Return the figure of a percentile in milliseconds: Student's t over the processes."""

    def measure(case: Case) -> Measured:
        figures = case.row.latency
        values = processes_ms(case.row, case.results, percentile)
        samples = f"{processes(figures.processes)}, {counted(figures.queries, 'query', 'queries')}"
        if values is None and in_blocks(case.row):
            reason = f"timed in blocks of calls, as the browser's clock is coarse: they show no {percentile}"
            return Measured(None, samples, reason, "limit its p50")
        if values is None:
            reason = f"a process has too few queries for its {percentile}"
            return Measured(None, samples, reason, "measure with --mode normal")
        found = intervals.of_processes(values, case.error)
        if not figures.may_be_judged:
            return _not_valid(case.row, found, samples)
        if found is None:
            return Measured(None, samples, "one process does not show how processes differ", MEASURE_LONGER)
        return Measured(found, samples)

    return measure


def _not_valid(row: ResultRow, found: Interval | None, samples: str) -> Measured:
    """Return a time of a row that something disturbed: it decides nothing."""
    return Measured(found, samples, f"not valid: {row.latency.why_invalid}", "measure on a quiet machine")


def startup(name: str) -> Figure:
    """Return the figure of a part of the start-up in milliseconds: Student's t over the processes.

    What disturbed a row's latency disturbed the start of the same processes too.
    """
    place = ("import_ms", "load_ms", "first_inference_ms").index(name)

    def measure(case: Case) -> Measured:
        times_ms = case.row.startup.processes_ms
        found = intervals.of_processes([process[place] for process in times_ms], case.error)
        if found is None:
            return Measured(None, "", "these results do not hold the start-up of each process", "measure again")
        if not case.row.latency.may_be_judged:
            return _not_valid(case.row, found, processes(len(times_ms)))
        return Measured(found, processes(len(times_ms)))

    return measure


def peak_rss_mb(case: Case) -> Measured:
    """Return the peak resident memory in 1,000,000 bytes."""
    if case.row.microcontroller is not None:
        return Measured(
            reason="the memory of a host's process, not a microcontroller's: max_arena_kb limits that", skipped=True
        )
    samples = f"largest of {processes(case.row.latency.processes)}"
    peak_bytes = case.row.memory.peak_rss_bytes
    if not peak_bytes:
        return Measured(
            None, samples, "the system there does not say it (no VmHWM in /proc/self/status)", "measure on another system"
        )
    return Measured(Interval.exact(peak_bytes / 1e6), samples)


def size_kb(case: Case) -> Measured:
    """Return the size of the file in 1,000 bytes."""
    return Measured(Interval.exact(case.row.artifact.size_bytes / 1e3), "the file")


def download_kb(case: Case) -> Measured:
    """Return what a page downloads before it can answer, compressed, in 1,000 bytes."""
    found = case.row.browser
    return NO_BROWSER if found is None else Measured(Interval.exact(found.download_gzip_bytes / 1e3), "gzip of each file")


def arena_kb(case: Case) -> Measured:
    """Return the least arena of a microcontroller's interpreter in 1,000 bytes, on a 64-bit host."""
    found = _micro_figures(case)
    return NO_MICROCONTROLLER if found is None else Measured(Interval.exact(found.arena_bytes / 1e3), found.interpreter)


def flash_kb(case: Case) -> Measured:
    """Return the model's own bytes, which go to a microcontroller's flash, in 1,000 bytes."""
    found = _micro_figures(case)
    return NO_MICROCONTROLLER if found is None else Measured(Interval.exact(found.flash_bytes / 1e3), "without its card")


def _micro_figures(case: Case) -> MicroFigures | None:
    """Return what a microcontroller needs of a row's file: measured once for the file, whatever runs it elsewhere."""
    rows = (row for row in (case.row, *case.results.rows) if row.artifact.sha256 == case.row.artifact.sha256)
    return next((row.microcontroller for row in rows if row.microcontroller is not None), None)


def instructions_m(case: Case) -> Measured:
    """Return the counted instructions of a steady inference, in millions."""
    count = case.row.instructions
    if count is None:
        return Measured(reason="no instruction count in this row", skipped=True)
    return Measured(Interval.exact(count.steady_inference / 1e6), f"a count on {count.core}")


def top1(case: Case) -> Measured:
    """Return the share of test pictures that are answered correctly."""
    accuracy = case.row.accuracy
    if accuracy is None:
        return NO_ACCURACY
    return Measured(of_share(accuracy.correct, accuracy.total, case.error), pictures(accuracy.total))


def pictures(count: int) -> str:
    """Return "2,000 pictures"."""
    return counted(count, "picture")


def processes(count: int) -> str:
    """Return "5 processes"."""
    return counted(count, "process", "processes")
