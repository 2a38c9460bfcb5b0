"""Whether a row's latency can be trusted: flags with reasons, and what this machine does not tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import stats
from bench.watch import Conditions

LEAST_QUERIES = 64  # the fewest that carry a p90
DRIFT_LIMIT = 0.10  # of block medians within a process
ELSEWHERE_LIMIT = 0.10  # of all cores' time
FREQUENCY_LIMIT = 0.05  # between the lowest and the highest clock seen


@dataclass(frozen=True)
class Flag:
    """One reason not to trust a latency: a name for programs, a sentence for people."""

    name: str
    reason: str


def flags(latency_ns: Sequence[npt.NDArray[np.int64]], conditions: Sequence[Conditions]) -> list[Flag]:
    """Return every reason not to trust a row, from its samples (queries,) and conditions by process; none: it is valid."""
    found = [
        _too_few(latency_ns),
        _unstable(latency_ns),
        _not_steady(conditions),
        _load_elsewhere(conditions),
        _frequency_changed(conditions),
        _throttled(conditions),
    ]
    return [flag for flag in found if flag is not None]


def unknown(conditions: Sequence[Conditions]) -> list[str]:
    """Return the names of the flags that could not be looked at on this machine."""
    looked_at: dict[str, list[Any]] = {
        "load_elsewhere": [process.elsewhere for process in conditions],
        "frequency_changed": [process.frequency_mhz for process in conditions],
        "throttled": [process.throttled for process in conditions],
    }
    return [name for name, seen in looked_at.items() if not seen or None in seen]


def _too_few(latency_ns: Sequence[npt.NDArray[np.int64]]) -> Flag | None:
    queries = sum(len(process) for process in latency_ns)
    if queries >= LEAST_QUERIES:
        return None
    return Flag("too_few_queries", f"too few queries: {queries}, at least {LEAST_QUERIES} are needed")


def _unstable(latency_ns: Sequence[npt.NDArray[np.int64]]) -> Flag | None:
    worst = max(stats.drift(process) for process in latency_ns)
    if worst <= DRIFT_LIMIT:
        return None
    found = f"block medians within one process drift by {100 * worst:.0f} %, over {100 * DRIFT_LIMIT:.0f} %"
    return Flag("unstable", f"unstable: {found}")


def _not_steady(conditions: Sequence[Conditions]) -> Flag | None:
    if all(process.steady for process in conditions):
        return None
    return Flag("not_steady", "not steady: the warm-up reached its bound while calls still became faster")


def _load_elsewhere(conditions: Sequence[Conditions]) -> Flag | None:
    worst = max((process.elsewhere or 0.0 for process in conditions), default=0.0)
    if worst <= ELSEWHERE_LIMIT:
        return None
    found = f"other processes used {100 * worst:.0f} % of the machine's CPU time, over {100 * ELSEWHERE_LIMIT:.0f} %"
    return Flag("load_elsewhere", f"load from elsewhere: {found}")


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
    return Flag("throttled", f"throttled: the processor was slowed down{heat}; cool it and measure again")
