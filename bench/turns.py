"""Processes that take turns: each is fresh, and all of a round meet the same moments of the machine.

Measured one after the other, processes of one and the same file differ by what the machine does meanwhile: ratios of them
scattered by 6 to 7 % on a shared machine, and by 16 % beside a process that never rests on the same core. Taking turns of
some milliseconds, 1 % and 1.7 % of that were left, in no more time. They compare the lower quartile of their queries, since
the time slices of a neighbour fall into the slower ones: with medians 8 % were left there.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from device.classify import time_queries, warm_up

TURNS = 20  # of each process in a round
TURN_NS = 15_000_000  # shorter than most things that a machine does beside
TURN_QUERIES = 4  # at least, of slow models
COMPARED = 0.25  # the quantile of a turn's queries
UNTIMED = 2  # queries at the begin of a turn: the caches are another's


class Partner(Protocol):
    """A process that measures when it is asked to."""

    def ask(self) -> dict[str, Any]:
        """Return what it measured in its turn."""


@dataclass(frozen=True)
class Round:
    """What the turns of some processes say, each array (processes,)."""

    log_ratios: npt.NDArray[np.float64]  # logarithm of each one's latency over the geometric mean of all in the same turns
    p50_ns: npt.NDArray[np.float64]  # each one's own


def take_turns(partners: Sequence[Partner], order: random.Random) -> Round:
    """Let processes measure in turn, in random order each time.

    The median over turns leaves out those in which something came between.
    """
    compared_ns, p50_ns = np.empty((2, TURNS, len(partners)))
    for turn in range(TURNS):
        for place in order.sample(range(len(partners)), len(partners)):
            said = partners[place].ask()
            compared_ns[turn, place], p50_ns[turn, place] = said["compared_ns"], said["p50_ns"]
    logs = np.log(compared_ns)
    return Round(np.median(logs - logs.mean(axis=1, keepdims=True), axis=0), np.median(p50_ns, axis=0))


def answer(
    infer: Callable[[Any], Any], tensors: Sequence[Any], asked: Iterable[str], say: Callable[[dict[str, Any]], None]
) -> None:
    """Be such a process: warm up and say so, then measure one turn for each line that is asked."""
    warm_up(infer, tensors)
    say({"ready": True})
    for _ in asked:
        for tensor in tensors[:UNTIMED]:
            infer(tensor)
        compared_ns, p50_ns = np.quantile(time_queries(infer, tensors, TURN_QUERIES, TURN_NS), (COMPARED, 0.5))
        say({"compared_ns": float(compared_ns), "p50_ns": float(p50_ns)})
