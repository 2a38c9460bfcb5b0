"""The harness against a bare loop and litert-benchmark, LoadGen beside the session, and two runs of one machine."""

from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bench.measure import overhead
from common.interval import Interval
from tests.conftest import Tiny, run


class TestOverhead:
    @pytest.fixture
    def steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every query of ours take 3 % longer than a bare one, whatever the clock says."""
        random = np.random.default_rng(0)

        def of(ns: int) -> Any:
            return lambda *_: np.full(20, ns + random.integers(0, 2))

        monkeypatch.setattr(overhead, "time_queries", of(10_300))
        monkeypatch.setattr(overhead, "bare_query", lambda _session: lambda _tensor: 10_000 + int(random.integers(0, 2)))
        monkeypatch.setattr(overhead, "against_uninterrupted_loop", lambda *_: Interval.exact(1.01))
        monkeypatch.setattr(overhead, "our_p50_ns", lambda *_: 10_000_000.0 + random.integers(0, 9))
        monkeypatch.setattr(overhead, "their_p50_ns", lambda *_: 8_000_000.0 + random.integers(0, 9))

    @pytest.mark.usefixtures("steps")
    def test_prints_both_ratios_with_intervals_and_fails_on_a_broken_promise(self, tiny: Tiny) -> None:
        result = CliRunner().invoke(overhead.main, [str(tiny.artifact("int8.tflite"))], standalone_mode=False)
        assert result.return_value == 1, result.output
        bare, loop, theirs = result.output.splitlines()[1:]
        assert "bare set/invoke/get loop: 1.030 [1.0" in bare
        assert bare.endswith("promised at most 1.05: PASS")
        assert "turns over an uninterrupted loop: 1.010" in loop
        assert loop.endswith("promised at most 1.02: PASS")
        assert "litert-benchmark: 1.25" in theirs
        assert theirs.endswith("promised 0.9 to 1.1: FAIL")

    @pytest.mark.slow
    def test_runs_for_real(self, tiny: Tiny) -> None:
        options = ["--blocks", "3", "--queries", "16", "--processes", "2"]
        result = run(["-m", "bench.measure.overhead", tiny.artifact("int8.tflite"), *options], tiny.workspace)
        assert result.code in (0, 1, 3), result.stderr  # which of them is a matter of time
        assert result.stdout.count("promised") == 3

    def test_a_file_that_is_no_tflite_is_one_line_and_code_2(self, tiny: Tiny) -> None:
        result = run(["-m", "bench.measure.overhead", tiny.artifact("float32.onnx")], tiny.workspace)
        assert result.code == 2
        assert "name a .tflite" in result.error_line

    def test_a_time_that_is_rounded_to_its_own_size_shows_little(self) -> None:
        """30 µs, to hundredths of a millisecond: the true time is 25 to 35 µs."""
        found = overhead.with_rounding(Interval(1.0, 0.99, 1.01), rounded_ns=30_000)
        assert (found.value, found.low, found.high) == pytest.approx((1.0, 0.99 * 30 / 35, 1.01 * 30 / 25))
        assert overhead.with_rounding(Interval(1.0, 0.99, 1.01), rounded_ns=0).high == float("inf")
