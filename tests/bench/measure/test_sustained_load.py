"""Minutes under load: does it throttle?"""

import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.machine.conditions import Conditions
from bench.measure import sustained_load
from bench.stats import percentiles
from bench.stats.histogram import Histogram
from tests.support.fake_clock import FakeClock


class TestSustain:
    def test_each_minute_is_told_as_it_ends_and_the_last_may_be_shorter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = FakeClock([500_000_000] * 1_000)
        monkeypatch.setattr("bench.measure.sustained_load.time.perf_counter_ns", clock.now_ns)
        told = list(sustained_load.minutes(clock.infer, [1], duration_ns=150_000_000_000))
        assert [(minute.number, minute.seconds, minute.queries) for minute in told] == [
            (1, 60, 120),
            (2, 60, 120),
            (3, 30, 60),
        ]

    def test_an_interrupted_minute_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slices = iter([np.array([5, 6]), np.array([7])])

        def time_queries(*_: Any) -> Any:
            try:
                return next(slices)
            except StopIteration:
                raise KeyboardInterrupt from None

        monkeypatch.setattr("bench.measure.sustained_load.time_queries", time_queries)
        (minute,) = sustained_load.minutes(print, [1], duration_ns=10**12)
        assert (minute.queries, minute.p90_ms) == (3, None)
        assert minute.p50_ms == pytest.approx(6e-6, rel=1e-3)

    def test_counted_latencies_have_the_percentiles_of_kept_ones(self) -> None:
        samples = np.random.default_rng(0).lognormal(11, 0.3, 20_001).astype(np.int64)
        counted = Histogram()
        for part in np.array_split(samples, 7):
            counted.add(part)
        assert (len(counted), counted.min_ns) == (len(samples), samples.min())
        assert counted.median_ns() == pytest.approx(float(np.median(samples)), rel=1e-3)
        for share in (0.90, 0.99):
            kept = percentiles.early_stopping_percentile_ns(samples, share)
            assert counted.early_stopping_percentile_ns(share) == pytest.approx(kept, rel=1e-3)

    def test_counting_more_latencies_takes_no_more_memory(self) -> None:
        counted = Histogram()
        sizes = []
        for _ in range(3):
            counted.add(np.arange(1, 100_000, dtype=np.int64) ** 2)
            sizes.append(sum(sys.getsizeof(value) for value in vars(counted).values()))
        assert sizes[0] == sizes[1] == sizes[2] < 1_000_000

    def minute(self, number: int, p50_ms: float, **conditions: Any) -> sustained_load.Minute:
        return sustained_load.Minute(number, 60, 1000, p50_ms, p50_ms, None, p50_ms, Conditions(**conditions))

    @pytest.mark.parametrize(
        ("last", "words"),
        [
            ({"throttled": False}, ["not throttled", "no more than 10 %"]),
            ({"throttled": True}, ["throttled from minute 3 on"]),
            ({"throttled": False, "frequency_mhz": (2_000.0, 1_200.0)}, ["clock fell to 1,200 of 2,000 MHz"]),
        ],
    )
    def test_the_verdict_names_throttling_from_what_the_machine_tells(self, last: dict[str, Any], words: list[str]) -> None:
        told = [self.minute(1, 1.0, throttled=False), self.minute(2, 1.0, throttled=False), self.minute(3, 1.0, **last)]
        assert all(each in sustained_load.verdict(told) for each in words)

    def test_a_machine_that_tells_nothing_is_not_called_unthrottled_and_slowing_down_is_said(self) -> None:
        verdict = sustained_load.verdict([self.minute(1, 1.0), self.minute(2, 1.3)])
        assert "throttling unknown" in verdict
        assert "rose by 30 % until minute 2" in verdict

    @pytest.mark.parametrize("seconds", [10, 60])
    def test_a_single_minute_is_not_said_to_show_how_time_changes(self, seconds: float) -> None:
        verdict = sustained_load.verdict([replace(self.minute(1, 1.0, throttled=False), seconds=seconds)])
        assert verdict == "not throttled; one minute shows no change over time: a longer time does, as `--sustain 10m`"

    def test_a_minute_survives_its_json(self) -> None:
        minute = self.minute(1, 1.0, frequency_mhz=(1.0, 2.0))
        assert sustained_load.Minute.from_json(json.loads(json.dumps(minute.to_json()))) == minute
