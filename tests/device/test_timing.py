"""Warm-up and timed queries."""

import numpy as np
import pytest

from device import timing
from tests.support.fake_clock import FakeClock


class TestTiming:
    def test_makes_at_least_the_queries_asked_for(self) -> None:
        calls: list[int] = []
        samples = timing.time_queries(calls.append, [1, 2, 3], queries=100, duration_ns=0)
        assert len(samples) == 100
        assert samples.dtype == np.int64
        assert calls[:4] == [1, 2, 3, 1]

    def test_warm_up_counts_its_calls(self) -> None:
        calls: list[int] = []
        assert timing.warm_up(calls.append, [1]).calls == len(calls) >= 2 * timing.WARM_UP_BLOCK

    def test_warm_up_ends_once_calls_no_longer_become_faster_and_says_since_when(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = FakeClock([10_000_000] * 32 + [5_000_000] * 1_000)
        monkeypatch.setattr("device.timing.time.perf_counter_ns", clock.now_ns)
        found = timing.warm_up(clock.infer, [0])
        assert (found.calls, found.steady) == (32 + 16 + 32, True)
        assert found.steady_ns == 320_000_000  # the first block of fast calls is the third

    def test_warm_up_that_reaches_its_bound_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = FakeClock([int(40_000_000 * 0.99**call) for call in range(1_000)])  # ever faster
        monkeypatch.setattr("device.timing.time.perf_counter_ns", clock.now_ns)
        found = timing.warm_up(clock.infer, [0])
        assert not found.steady
        assert timing.WARM_UP_LIMIT_NS <= clock.now_ns() < timing.WARM_UP_LIMIT_NS + 40_000_000
