"""Whether a row's latency can be trusted: flags with reasons, and the flags that are unknown on this machine.

A latency is valid where the interval over its processes shows it to be known within 5 %. What disturbs all
processes alike does not widen that interval, so it is a flag where the typical process, by the median, was disturbed; slowed
turns are left out, so it is enough that two processes had few of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.machine.conditions import Conditions
from bench.results.row import IMPRECISE

MIN_QUERIES = 64  # the fewest for a p90
KNOWN_WITHIN = 0.05  # of p50: how far either end of its 95 % interval may be
MIN_PROCESSES = 2  # one process does not show how processes differ
SLOWED_LIMIT = 0.4  # of a process's turns: where it is more, those that are left were often slowed too (docs/measure.md)
QUIET_PROCESSES = 2  # that must be below it: where the others agree with these, their turns that are left are right
WAITED_LIMIT = 0.05  # of a process's turns
ELSEWHERE_LIMIT = 0.10  # of all cores' time
BETWEEN_REASONS = "; "  # of a row; no reason holds it
FREQUENCY_LIMIT = 0.05  # between the lowest and the highest clock


@dataclass(frozen=True)
class Flag:
    """One reason not to trust a latency: a name for programs, a sentence for people."""

    name: str
    reason: str


def flags(
    latency_ns: Sequence[npt.NDArray[np.int64]], conditions: Sequence[Conditions], ci95_ns: tuple[float, float]
) -> list[Flag]:
    """Return every reason not to trust a row; none: it is valid.

    From its samples (queries,) and conditions by process, and the 95 % interval of its p50.
    """
    found = [
        _too_few(latency_ns),
        _imprecise(latency_ns, ci95_ns),
        _not_steady(conditions),
        _slowed(conditions),
        _waited(conditions),
        _load_elsewhere(conditions),
        _frequency_changed(conditions),
        _throttled(conditions),
    ]
    return [flag for flag in found if flag is not None]


def unknown(conditions: Sequence[Conditions]) -> list[str]:
    """Return the names of the flags that could not be checked on this machine."""
    looked_at: dict[str, list[Any]] = {
        "waited": [process.waited for process in conditions],
        "load_elsewhere": [process.elsewhere for process in conditions],
        "frequency_changed": [process.frequency_mhz for process in conditions],
        "throttled": [process.throttled for process in conditions],
    }
    return [name for name, seen in looked_at.items() if not seen or None in seen]


def _too_few(latency_ns: Sequence[npt.NDArray[np.int64]]) -> Flag | None:
    queries = sum(len(process) for process in latency_ns)
    if queries >= MIN_QUERIES:
        return None
    return Flag("too_few_queries", f"too few queries: {queries}, at least {MIN_QUERIES} are needed")


def known_within(latency_ns: Sequence[npt.NDArray[np.int64]], ci95_ns: tuple[float, float]) -> float:
    """Return how far the farther end of the 95 % interval is from the p50 of samples by process, as a part of it."""
    p50_ns = float(np.median(np.concatenate(latency_ns)))
    return max(ci95_ns[1] - p50_ns, p50_ns - ci95_ns[0]) / max(1.0, p50_ns)


def _imprecise(latency_ns: Sequence[npt.NDArray[np.int64]], ci95_ns: tuple[float, float]) -> Flag | None:
    if len(latency_ns) < MIN_PROCESSES:
        return Flag(IMPRECISE, "imprecise: one process does not show how processes differ")
    reach = known_within(latency_ns, ci95_ns)
    if reach <= KNOWN_WITHIN:
        return None
    found = f"p50 is known only within {100 * reach:.1f} %, over {100 * KNOWN_WITHIN:.0f} %"
    return Flag(IMPRECISE, f"imprecise: {found}: measure longer, or on a quieter machine")


def _not_steady(conditions: Sequence[Conditions]) -> Flag | None:
    if all(process.steady for process in conditions):
        return None
    return Flag("not_steady", "not steady: the warm-up reached its limit while calls still became faster")


def slowed_at_best(shares: Sequence[float]) -> float:
    """Return the share of slowed turns in the second quietest process (in the only one if there is one), by all shares."""
    return sorted(shares)[min(QUIET_PROCESSES, len(shares)) - 1]


def _slowed(conditions: Sequence[Conditions]) -> Flag | None:
    known = [process.slowed for process in conditions if process.slowed is not None]
    if not known or slowed_at_best(known) <= SLOWED_LIMIT:
        return None
    found = f"even in its two quietest processes something slowed the rows in up to {100 * slowed_at_best(known):.1f} %"
    return Flag("slowed", f"slowed: {found} of the turns, over {100 * SLOWED_LIMIT:.0f} %")


def _waited(conditions: Sequence[Conditions]) -> Flag | None:
    found = "waited: its processes waited {share} of their time for a core"
    return _over(WAITED_LIMIT, [process.waited for process in conditions], "waited", found)


def _load_elsewhere(conditions: Sequence[Conditions]) -> Flag | None:
    found = "load from elsewhere: other processes used {share} of the machine's CPU time"
    return _over(ELSEWHERE_LIMIT, [process.elsewhere for process in conditions], "load_elsewhere", found)


def _over(limit: float, shares: Sequence[float | None], name: str, found: str) -> Flag | None:
    """Return a flag if the typical process's share is over the limit."""
    share = typical(shares)
    if share is None or share <= limit:
        return None
    return Flag(name, f"{found.format(share=f'{100 * share:.1f} %')}, over {100 * limit:.0f} %")


def typical(shares: Sequence[float | None]) -> float | None:
    """Return the median of the shares that are known: a single disturbed process shows itself in the interval of p50."""
    known = [share for share in shares if share is not None]
    return float(np.median(known)) if known else None


def _frequency_changed(conditions: Sequence[Conditions]) -> Flag | None:
    seen = [mhz for process in conditions for mhz in process.frequency_mhz or ()]
    if not seen or max(seen) <= min(seen) * (1 + FREQUENCY_LIMIT):
        return None
    return Flag("frequency_changed", f"CPU frequency changed: between {min(seen):,.0f} and {max(seen):,.0f} MHz")


def _throttled(conditions: Sequence[Conditions]) -> Flag | None:
    if not any(process.throttled for process in conditions):
        return None
    hottest = max((process.temperature_c for process in conditions if process.temperature_c is not None), default=None)
    heat = "" if hottest is None else f" at {hottest:.0f} °C"
    return Flag("throttled", f"throttled: the processor was slowed down{heat}: cool it and measure again")
