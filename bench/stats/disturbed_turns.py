"""Moments in which something slowed the rows that took turns: what the machine did to them, not what they are.

In a cycle each row takes a turn, so within a fraction of a second all rows meet the same machine. A neighbour of a shared
machine who fills its caches slows the rows that need much memory, and hardly the small ones: so a part of the rows
tells, not their average. The limits were chosen on recordings of a quiet and a busy machine (docs/measure.md).
"""

import numpy as np
import numpy.typing as npt

SLOWED_BY = 0.08  # of the usual time: turns of one row differ by some percent on a quiet machine too
USUAL = 0.1  # the quantile of a row's turns that is its usual time: a machine is slowed down, never sped up
SLOWED_ROWS = 0.25  # of the rows, two at least, must be slower in a cycle
MIN_ROWS = 3  # with fewer, a cycle that is slow and a row that is slow cannot be told apart

TurnTimes = npt.NDArray[np.float64]  # (rows, cycles), the median latency of each turn; NaN where a row took none


def slowdowns(turn_ns: TurnTimes) -> npt.NDArray[np.float64]:
    """Return by which part of their usual times a quarter of the rows (rows, cycles) was slower in each cycle: (cycles,).

    It is 0 where fewer than three rows took turns. Each row and each cycle must have a turn.
    """
    usual_ns = np.nanquantile(turn_ns, USUAL, axis=1, keepdims=True)
    slowdown = np.where(np.isnan(turn_ns), -np.inf, turn_ns / usual_ns - 1)
    took_turns = np.count_nonzero(~np.isnan(turn_ns), axis=0)
    place = np.maximum(2, np.ceil(SLOWED_ROWS * took_turns).astype(int))
    told = took_turns >= MIN_ROWS
    slowest_first = -np.sort(-slowdown, axis=0)
    last = np.take_along_axis(slowest_first, np.where(told, place - 1, 0)[None], axis=0)[0]
    return np.where(told, last, 0.0)


def disturbed(turn_ns: TurnTimes) -> npt.NDArray[np.bool_]:
    """Say of each cycle (cycles,) whether rows (rows, cycles) were slower than usual."""
    found: npt.NDArray[np.bool_] = slowdowns(turn_ns) > SLOWED_BY
    return found
