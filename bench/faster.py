"""`bench faster`: how many times as fast as the first of some files the others are, their processes taking turns.

A run of the bench measures one process after the other, so its ratios carry what the machine did meanwhile; these do not
(bench/turns.py), and a minute of them decides what an hour of the others leaves open.
"""

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bench import interval
from bench.artifacts import Found
from bench.fresh import Side
from bench.ratio import STATED_ERROR, Ratio
from bench.run import sort_out, subject_of
from bench.runtimes import find_runtime
from bench.turns import Round
from bench.words import runtime_name, times
from device.classify import EdgeproofError

DEFAULT_RUNTIMES = ("litert", "onnxruntime")
THREADS = 1


class TakesTurns(Protocol):
    """Lets a new process of each side take turns."""

    def round(self, sides: Sequence[Side], order: random.Random) -> Round: ...


def sides_of(artifacts: Sequence[Found], runtimes: Sequence[str]) -> list[Side]:
    """Return each artifact in each runtime that opens it; without names, in LiteRT or onnxruntime.

    Raises EdgeproofError for a runtime that is unknown or not here, a file that none opens, and fewer than two sides.
    """
    here, absent = sort_out(runtimes or DEFAULT_RUNTIMES, {found.format for found in artifacts}, THREADS)
    for missing in absent:
        raise EdgeproofError(f"{missing.subject.runtime}: {missing.reason}")
    sides: list[Side] = []
    for found in artifacts:
        opened = [Side(found, name, THREADS) for name in here if found.format in find_runtime(name).FORMATS]
        if not opened:
            raise EdgeproofError(f"{found.path}: {', '.join(here)} cannot open it: name one that can with --runtime")
        sides += opened
    if len(sides) < 2:
        raise EdgeproofError(f"{sides[0].found.path}: nothing to compare it with: name another file or a second --runtime")
    return sides


def faster(sides: Sequence[Side], rounds: int, measures: TakesTurns, seed: int = 0) -> list[Ratio]:
    """Return the first side's latency over each other one's, with 95 % intervals from at least two rounds."""
    order = random.Random(seed)
    logs = np.array([measures.round(sides, order).log_ratios for _ in range(rounds)])
    found = [interval.of_log_differences(logs[:, 0] - logs[:, other], STATED_ERROR) for other in range(1, len(sides))]
    return [Ratio(one.value, one.low, one.high) for one in found]


def lines(sides: Sequence[Side], ratios: Sequence[Ratio]) -> list[str]:
    """Return what was found in words, a line a side."""
    first, *others = (
        f"{side.found.path} in {runtime_name(vars(subject_of(side.found, side.runtime, side.threads)))}" for side in sides
    )
    return [f"against {first}:", *(f"  {name}: {times(ratio)}" for name, ratio in zip(others, ratios, strict=True))]
