"""Replaces what `bench gate` measures with."""

import random
from collections.abc import Sequence

import numpy as np

from bench.budgets.baseline import Baseline
from bench.measure.fresh_processes import Answers, Process, Side, SideFailed
from bench.measure.interleaving import Round
from bench.stats.sequential_test import BASE, CANDIDATE
from tests.support.baselines import PICTURES
from tests.support.simulated_processes import Processes


class Bench:
    """Replaces fresh processes: the candidate is the side that is not in the baseline's folder."""

    def __init__(self, baseline: Baseline, slower: float = 0.0, wrong: int = 70, scatter: float = 0.02) -> None:
        self._folder, self._wrong = baseline.folder, wrong
        self._simulated = Processes(7, scatter, slower)
        self.processes = 0
        self.broken = False

    def _is_candidate(self, side: Side) -> bool:
        return self._folder not in side.found.path.parents

    def process(self, side: Side) -> Process:
        self.processes += 1
        if self.broken and self._is_candidate(side):
            raise SideFailed(side, "no such op")
        p50_ms = self._simulated.p50(CANDIDATE if self._is_candidate(side) else BASE)
        return Process(np.full(9, p50_ms * 1e6), np.ones(3, np.int64), "2.1")

    def round(self, sides: Sequence[Side], order: random.Random) -> Round:
        del order  # simulated p50s come in any
        p50_ns = np.array([float(np.median(self.process(side).latency_ns)) for side in sides])
        return Round(np.log(p50_ns), p50_ns)

    def answers(self, side: Side) -> Answers:
        answers = np.zeros(PICTURES, np.int64)
        answers[: self._wrong if self._is_candidate(side) else 70] = 1
        return Answers(answers, np.zeros(PICTURES, np.int64))

    def clock(self) -> float:
        return float(self.processes)
