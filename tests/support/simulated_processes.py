"""Processes whose times are drawn, not measured."""

import numpy as np
import numpy.typing as npt

from bench.stats.sequential_test import AGAIN, BASE, CANDIDATE


class Processes:
    """Simulated rounds of new processes: scatter between processes, drift of the machine, a slow-down on purpose."""

    def __init__(self, seed: int, scatter: float, slower: float = 0.0, drift: float = 0.0, itself: float = 0.0) -> None:
        self._random = np.random.default_rng(seed)
        self._scatter, self._drift = scatter, drift
        self._factor = {BASE: 1.0, AGAIN: 1 + itself, CANDIDATE: 1 + slower}
        self.measured = 0

    def p50(self, side: int) -> float:
        self.measured += 1
        drifted = 1 + self._drift * self.measured / 100
        return float(self._factor[side] * drifted * self._random.lognormal(0, self._scatter))

    def __call__(self) -> npt.NDArray[np.float64]:
        return np.log([self.p50(side) for side in (BASE, AGAIN, CANDIDATE)])
