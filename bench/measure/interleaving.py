"""Processes that take turns: each is fresh, and changes of the machine affect all processes of a round alike.

When processes of the same file are measured one after the other, they differ as the machine changes: their ratios
scattered by 6 to 7 % on a shared machine, and by 16 % beside a busy process on the same core. With turns of
some milliseconds 1 % and 1.7 % were left, in the same time. The lower quartile of the queries is compared, since
the time slices of a neighbour are in the slower ones: with medians 8 % were left there.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.machine import conditions as watch
from bench.stats.turns import COMPARED, log_ratios
from device.errors import CheckFailed
from device.timing import time_queries

TURNS = 20  # of each process in a round of the gate
TURN_NS = 15_000_000  # shorter than most other activity of a machine
TURN_QUERIES = 4  # at least, for slow models
UNTIMED = 2  # queries at the start of a turn: the caches hold data of another process
END = "end"  # instead of a further turn
LOOP = "loop"  # a turn of many times the length, to see what short ones cost
LOOP_TURNS = 10


@dataclass(frozen=True)
class Turn:
    """What a process says of one of its turns."""

    compared_ns: float  # the quantile that ratios are made of
    p50_ns: float
    queries: int
    cpu_ns: int  # of all threads of the process since its start

    @property
    def measured_ns(self) -> float:
        """Return the time that its queries explain: a clock that jumps forward ends a turn, but does not fill it."""
        return max(TURN_NS, self.queries * self.p50_ns)


class Partner(Protocol):
    """A process that measures on request."""

    def ask(self) -> Turn:
        """Return what it measured in one turn."""


@dataclass(frozen=True)
class Round:
    """The result of the turns of some processes; each array is (processes,)."""

    log_ratios: npt.NDArray[np.float64]  # log of each latency over the geometric mean of all in the same turn
    p50_ns: npt.NDArray[np.float64]  # of each process


def in_turns(count: int, order: random.Random, measure: Callable[[int], bool]) -> None:
    """Call `measure` with each of `count` places in turn, in random order each time, until it returns False for all."""
    going = list(range(count))
    while going:
        more = {place for place in order.sample(going, len(going)) if measure(place)}
        going = [place for place in going if place in more]


def take_turns(partners: Sequence[Partner], order: random.Random) -> Round:
    """Let processes measure TURNS times each, in turn."""
    turns: list[list[Turn]] = [[] for _ in partners]

    def measure(place: int) -> bool:
        turns[place].append(partners[place].ask())
        return len(turns[place]) < TURNS

    in_turns(len(partners), order, measure)
    compared_ns = np.array([[turn.compared_ns for turn in own] for own in turns]).T
    p50_ns = np.array([[turn.p50_ns for turn in own] for own in turns])
    return Round(log_ratios(compared_ns), np.median(p50_ns, axis=1))


@dataclass(frozen=True)
class Turns:
    """What a process measured in all its turns."""

    latency_ns: tuple[npt.NDArray[np.int64], ...]  # (queries,) of each turn
    waited: float | None  # the share of its turns in which it waited for a core; None: the system does not say it


def answer(
    infer: Callable[[Any], Any],
    tensors: Sequence[Any],
    asked: Iterable[str],
    say: Callable[[dict[str, Any]], None],
    threads: int = 1,
) -> Turns | None:
    """Be such a process, warm: measure one turn for each requested line, until END. None: END never came.

    Raises CheckFailed where the clock goes back.
    """
    samples_ns: list[npt.NDArray[np.int64]] = []
    waits_ns: list[int | None] = []
    spent_ns = 0
    for line in asked:
        if line.strip() == END:
            known = [ns for ns in waits_ns if ns is not None]
            waited = min(1.0, sum(known) / spent_ns) if known and spent_ns else None
            return Turns(tuple(samples_ns), waited)
        begin_ns, cpu_ns, waited_ns = time.perf_counter_ns(), time.process_time_ns(), watch.waited_ns()
        for tensor in tensors[:UNTIMED]:
            infer(tensor)
        turns = LOOP_TURNS if line.strip() == LOOP else 1
        samples_ns.append(time_queries(infer, tensors, TURN_QUERIES * turns, TURN_NS * turns))
        end_ns, now_ns = time.perf_counter_ns(), watch.waited_ns()
        # A thread that waits for another thread of its own process is not disturbed, and the other one computes meanwhile
        idle_ns = max(0, threads * (end_ns - begin_ns) - (time.process_time_ns() - cpu_ns))
        waits_ns.append(None if now_ns is None or waited_ns is None else min(idle_ns, max(0, now_ns - waited_ns)))
        spent_ns += end_ns - begin_ns
        say(asdict(_turn(samples_ns[-1])))
    return None


def _turn(latency_ns: npt.NDArray[np.int64]) -> Turn:
    if latency_ns.min() < 0:
        raise CheckFailed(
            f"this machine's clock went back by {-latency_ns.min():,} ns during a query: its times mean nothing"
        )
    compared_ns, p50_ns = np.quantile(latency_ns, (COMPARED, 0.5))
    return Turn(float(compared_ns), float(p50_ns), len(latency_ns), time.process_time_ns())
