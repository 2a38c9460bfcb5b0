"""A sustained load: inference without a pause, reported minute by minute, so that heat and throttling become visible."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.machine import conditions as watch
from bench.results.measurement import NS_PER_MS
from bench.results.validity import FREQUENCY_LIMIT
from bench.stats.histogram import Histogram
from common.json_record import Record
from device.timing import time_queries

MINUTE_NS = 60_000_000_000
SLOWER_LIMIT = 0.10  # of a minute's median over the first minute's
COLUMNS = ("minute", "queries", "p50 ms", "p90 ms", "p99 ms", "MHz", "°C", "others' CPU %", "throttled")


@dataclass(frozen=True)
class Minute(Record):
    """The result of one minute of inference; the last may be shorter.

    A percentile is None where there are too few queries for it; the others are exact to 0.1 %.
    """

    number: int
    seconds: float
    queries: int
    p50_ms: float
    p90_ms: float | None
    p99_ms: float | None
    min_ms: float
    conditions: watch.Conditions


def minutes(
    infer: Callable[[Any], Any], tensors: Sequence[Any], duration_ns: int, minute_ns: int = MINUTE_NS
) -> Iterator[Minute]:
    """Call `infer` for `duration_ns` and yield each minute as it ends; after Ctrl-C also the incomplete one.

    A minute's figures are of all its queries, which are counted in a histogram: there can be millions a minute for a
    small model.
    """
    end_ns = time.perf_counter_ns() + duration_ns
    number = 0
    while (left_ns := end_ns - time.perf_counter_ns()) > 0:
        number += 1
        before = watch.read()
        latencies = Histogram()
        interrupted = _collect(infer, tensors, min(minute_ns, left_ns), latencies)
        if len(latencies):
            yield _minute(number, latencies, before, watch.read())
        if interrupted:
            return


def _collect(infer: Callable[[Any], Any], tensors: Sequence[Any], duration_ns: int, latencies: Histogram) -> bool:
    """Count latencies, a second at a time, so that an interruption loses no more; return whether there was one."""
    end_ns = time.perf_counter_ns() + duration_ns
    try:
        while (left_ns := end_ns - time.perf_counter_ns()) > 0:
            latencies.add(time_queries(infer, tensors, 1, min(1_000_000_000, left_ns)))
    except KeyboardInterrupt:
        return True
    return False


def _minute(number: int, latencies: Histogram, before: watch.Reading, after: watch.Reading) -> Minute:
    p90_ns, p99_ns = (latencies.early_stopping_percentile_ns(share) for share in (0.90, 0.99))
    return Minute(
        number=number,
        seconds=(after.clock_ns - before.clock_ns) / 1e9,
        queries=len(latencies),
        p50_ms=latencies.median_ns() / NS_PER_MS,
        p90_ms=None if p90_ns is None else p90_ns / NS_PER_MS,
        p99_ms=None if p99_ns is None else p99_ns / NS_PER_MS,
        min_ms=latencies.min_ns / NS_PER_MS,
        conditions=watch.between(before, after),
    )


def verdict(minutes: Sequence[Minute]) -> str:
    """Say in a sentence whether the processor was throttled, and whether inference became slower."""
    if not minutes:
        return "nothing was measured"
    slowest = max(minutes, key=lambda minute: minute.p50_ms)
    rise = slowest.p50_ms / minutes[0].p50_ms - 1
    rose = f"p50 rose by {100 * rise:.0f} % until minute {slowest.number}"
    pace = rose if rise > SLOWER_LIMIT else f"p50 rose by no more than {100 * SLOWER_LIMIT:.0f} %"
    if len(minutes) == 1:
        pace = "one minute shows no change over time: a longer time does, as `--sustain 10m`"
    others = max((minute.conditions.elsewhere or 0.0 for minute in minutes), default=0.0)
    beside = f"; other processes used up to {100 * others:.0f} % of the machine" if others > SLOWER_LIMIT else ""
    return f"{_throttling(minutes)}; {pace}{beside}"


def _throttling(minutes: Sequence[Minute]) -> str:
    first = next((minute.number for minute in minutes if minute.conditions.throttled), None)
    if first is not None:
        return f"throttled from minute {first} on"
    clocks = [mhz for minute in minutes for mhz in minute.conditions.frequency_mhz or ()]
    if clocks and max(clocks) > min(clocks) * (1 + FREQUENCY_LIMIT):
        return f"clock fell to {min(clocks):,.0f} of {max(clocks):,.0f} MHz"
    if all(minute.conditions.throttled is False for minute in minutes):
        return "not throttled"
    return "throttling unknown: this machine reports neither throttling nor its cooling state"


def cells(minute: Minute) -> list[str]:
    """Return a minute's cells under COLUMNS; an unknown figure is a dash."""
    seen = minute.conditions
    return [
        f"{minute.number}" + ("" if minute.seconds > 59 else f" ({minute.seconds:.0f} s)"),
        f"{minute.queries:,}",
        *(_or_dash(ms, ".4g") for ms in (minute.p50_ms, minute.p90_ms, minute.p99_ms)),
        _or_dash(seen.frequency_mhz and seen.frequency_mhz[1], ",.0f"),
        _or_dash(seen.temperature_c, ".0f"),
        _or_dash(None if seen.elsewhere is None else 100 * seen.elsewhere, ".0f"),
        "–" if seen.throttled is None else "yes" if seen.throttled else "no",
    ]


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def line(minute: Minute) -> str:
    """Return a minute as a line of the table."""
    return "  " + "  ".join(cell.rjust(len(name)) for cell, name in zip(cells(minute), COLUMNS, strict=True))
