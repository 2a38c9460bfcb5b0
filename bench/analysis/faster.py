"""`bench faster`: how many times faster than the first file the others are, with processes that take turns.

`bench run` measures the rows of a model in the same way (bench/measure/interleaving.py); here any files are compared,
with more rounds.
"""

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bench.analysis.wording import runtime_name, times
from bench.artifacts.find import Artifact
from bench.measure.fresh_processes import Side
from bench.measure.interleaving import Round
from bench.measure.row import subject_for
from bench.measure.run import sort_out
from bench.runtimes import find_runtime, preferred_runtimes
from bench.stats import intervals
from bench.stats.ratios import STATED_ERROR, Ratio
from common.progress import task_progress
from device.errors import EdgeproofError

THREADS = 1


class TakesTurns(Protocol):
    """Measures a new process of each side, in turns."""

    def round(self, sides: Sequence[Side], order: random.Random) -> Round:
        """Measure a new process of each side in turns, started in random order."""


def sides_of(artifacts: Sequence[Artifact], runtimes: Sequence[str]) -> list[Side]:
    """Return each artifact in each runtime that opens it; without names, in the preferred one for its format.

    Raises EdgeproofError for a runtime that is unknown or not here, a file that none opens, and fewer than two sides.
    """
    present, absent = sort_out(runtimes or preferred_runtimes(), {found.format for found in artifacts}, THREADS)
    for missing in absent:
        raise EdgeproofError(f"{missing.subject.runtime}: {missing.reason}")
    sides: list[Side] = []
    for found in artifacts:
        opened = [Side(found, name, THREADS) for name in present if found.format in find_runtime(name).FORMATS]
        if not opened:
            raise EdgeproofError(f"{found.path}: {', '.join(present)} cannot open it: name one that can with --runtime")
        sides += opened
    if len(sides) < 2:
        raise EdgeproofError(f"{sides[0].found.path}: nothing to compare it with: name another file or a second --runtime")
    return sides


def faster(sides: Sequence[Side], rounds: int, measures: TakesTurns, seed: int = 0) -> list[Ratio]:
    """Return the first side's latency divided by that of each other side, with 95 % intervals; needs at least two rounds."""
    order = random.Random(seed)
    measured = []
    with task_progress("rounds", rounds, timing=True) as advance:
        for _ in range(rounds):
            measured.append(measures.round(sides, order).log_ratios)
            advance(1)
    logs = np.array(measured)
    found = [intervals.of_log_differences(logs[:, 0] - logs[:, other], STATED_ERROR) for other in range(1, len(sides))]
    return [Ratio(one.value, one.low, one.high) for one in found]


def lines(sides: Sequence[Side], ratios: Sequence[Ratio]) -> list[str]:
    """Return the result in words, a line for each side."""
    first, *others = (
        f"{side.found.path} in {runtime_name(subject_for(side.found, side.runtime, side.threads))}" for side in sides
    )
    return [f"against {first}:", *(f"  {name}: {times(ratio)}" for name, ratio in zip(others, ratios, strict=True))]
