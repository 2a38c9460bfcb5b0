"""Rounds in which all rows were slower than usual: rows that take turns show what the machine did to all of them."""

import numpy as np
import numpy.typing as npt

SLOWED_BY = 0.05  # of the usual time: as much as a latency may be unknown
LEAST_ROWS = 3  # with fewer, a round that is slow and a row that is slow cannot be told apart
LEAST_ROUNDS = 3


def slowdowns(p50_ns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return by which part of their usual times rows (rows, rounds) were slower in each round: (rounds,).

    A row's usual time is its median over the rounds; of the rows of a round the median counts.
    """
    slowdown: npt.NDArray[np.float64] = np.median(p50_ns / np.median(p50_ns, axis=1, keepdims=True), axis=0) - 1
    return slowdown


def disturbed(p50_ns: npt.NDArray[np.float64]) -> list[int]:
    """Return the places of the rounds in which the rows (rows, rounds) were slower than usual."""
    rows, rounds = p50_ns.shape
    if rows < LEAST_ROWS or rounds < LEAST_ROUNDS:
        return []
    return [int(place) for place in np.flatnonzero(slowdowns(p50_ns) > SLOWED_BY)]
