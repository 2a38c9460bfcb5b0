"""Warm-up, timed queries, peak memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

# The only timing loop: `bench run` on a workstation and classify.py on a device both measure with it.

WARM_UP_BLOCK = 16  # calls at least, whose median is compared with the blocks before
WARM_UP_BLOCK_NS = 20_000_000  # and at least this long: clocks and caches need time, not a number of calls
WARM_UP_LIMIT_NS = 2_000_000_000
STEADY_WITHIN = 0.02


class WarmUp(NamedTuple):
    """How a warm-up went."""

    calls: int
    steady_ns: int  # from its start to the start of the block after which none was faster
    steady: bool  # False: the limit was reached while the calls still became faster


def warm_up(infer: Callable[[Any], Any], tensors: Sequence[Any]) -> WarmUp:
    """Call `infer` until the medians of two blocks of calls in a row are no faster than the best before them.

    The steady state is found, not assumed; the limit is WARM_UP_LIMIT_NS.
    """
    clock = time.perf_counter_ns
    begin_ns = clock()
    best_ns, steady_ns, calls, not_faster = float("inf"), 0, 0, 0
    while not_faster < 2:
        block: list[int] = []
        block_ns = clock() - begin_ns
        while len(block) < WARM_UP_BLOCK or clock() - begin_ns < block_ns + WARM_UP_BLOCK_NS:
            start_ns = clock()
            infer(tensors[calls % len(tensors)])
            end_ns = clock()
            block.append(end_ns - start_ns)
            calls += 1
            if end_ns - begin_ns >= WARM_UP_LIMIT_NS:
                return WarmUp(calls, steady_ns, False)
        median_ns = sorted(block)[len(block) // 2]
        if median_ns < best_ns * (1 - STEADY_WITHIN):
            steady_ns, not_faster = block_ns, 0
        else:
            not_faster += 1
        best_ns = min(best_ns, median_ns)
    return WarmUp(calls, steady_ns, True)


def time_queries(
    infer: Callable[[Any], Any], tensors: Sequence[Any], queries: int, duration_ns: int
) -> npt.NDArray[np.int64]:
    """Time single calls of `infer`, with the tensors in turn, until there are `queries` and `duration_ns` has passed.

    Returns the latency of each call in nanoseconds, int64 (calls,).
    """
    clock = time.perf_counter_ns
    samples: list[int] = []
    keep = samples.append
    end_ns = clock() + duration_ns
    count = 0
    while count < queries or clock() < end_ns:
        tensor = tensors[count % len(tensors)]
        start_ns = clock()
        infer(tensor)
        keep(clock() - start_ns)
        count += 1
    return np.array(samples, np.int64)


def peak_rss_bytes() -> Optional[int]:
    """Return this process's largest resident memory so far (VmHWM), or None where the system does not say it (not Linux)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
