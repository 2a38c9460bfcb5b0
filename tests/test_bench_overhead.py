"""The harness against a bare loop and litert-benchmark, LoadGen beside the session, and two runs of one machine."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bench import loadgen, overhead, repeatability
from bench.interval import Interval
from bench.measurement import Samples
from bench.promise import Promise
from bench.results import Results, load_results
from bench.stats import early_stopping_percentile_ns
from device.classify import CheckFailed, EdgeproofError, RuntimeMissing
from tests.conftest import Tiny, run, run_room
from tests.test_bench import ENVIRONMENT, measurement


class TestPromise:
    @pytest.mark.parametrize(
        ("ratio", "verdict"),
        [
            (Interval(1.01, 0.99, 1.04), "PASS"),
            (Interval(1.04, 1.02, 1.06), "INCONCLUSIVE"),
            (Interval(1.20, 1.10, 1.30), "FAIL"),
        ],
    )
    def test_is_kept_or_broken_by_the_whole_interval(self, ratio: Interval, verdict: str) -> None:
        promise = Promise("what", 0, 1.05)
        assert promise.verdict(ratio) == verdict
        assert promise.line(ratio).endswith(f"promised at most 1.05: {verdict}")

    def test_of_agreement_breaks_on_both_sides(self) -> None:
        promise = Promise("what", 0.9, 1.1)
        assert promise.verdict(Interval(0.5, 0.4, 0.6)) == "FAIL"
        assert promise.verdict(Interval(1.5, 1.4, 1.6)) == "FAIL"


class TestOverhead:
    @pytest.fixture
    def steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every query of ours take 3 % longer than a bare one, whatever the clock says."""
        random = np.random.default_rng(0)

        def of(ns: int) -> Any:
            return lambda *_: np.full(20, ns + random.integers(0, 2))

        monkeypatch.setattr(overhead, "time_queries", of(10_300))
        monkeypatch.setattr(overhead, "bare_query", lambda _session: lambda _tensor: 10_000 + int(random.integers(0, 2)))
        monkeypatch.setattr(overhead, "our_p50_ns", lambda *_: 10_000.0 + random.integers(0, 9))
        monkeypatch.setattr(overhead, "their_p50_ns", lambda *_: 8_000.0 + random.integers(0, 9))

    @pytest.mark.usefixtures("steps")
    def test_prints_both_ratios_with_intervals_and_fails_on_a_broken_promise(self, tiny: Tiny) -> None:
        result = CliRunner().invoke(overhead.main, [str(tiny.artifact("int8.tflite"))], standalone_mode=False)
        assert result.return_value == 1, result.output
        bare, theirs = result.output.splitlines()[1:]
        assert "bare set/invoke/get loop: 1.030 [1.0" in bare
        assert bare.endswith("promised at most 1.05: PASS")
        assert "litert-benchmark: 1.25" in theirs
        assert theirs.endswith("promised 0.9 to 1.1: FAIL")

    def test_runs_for_real(self, tiny: Tiny) -> None:
        options = ["--blocks", "3", "--queries", "16", "--processes", "2"]
        result = run(["-m", "bench.overhead", tiny.artifact("int8.tflite"), *options], tiny.workspace)
        assert result.code in (0, 1), result.stderr  # which of them is a matter of time
        assert result.stdout.count("promised") == 2

    def test_a_file_that_is_no_tflite_is_one_line_and_code_2(self, tiny: Tiny) -> None:
        result = run(["-m", "bench.overhead", tiny.artifact("float32.onnx")], tiny.workspace)
        assert result.code == 2
        assert "name a .tflite" in result.error_line


class TestLoadgen:
    def test_its_p90_is_ours_of_the_latencies_that_it_logged(self, tmp_path: Path) -> None:
        pytest.importorskip("mlperf_loadgen", reason="pip install mlcommons-loadgen")
        calls: list[int] = []
        result = loadgen.run_loadgen(
            lambda length: calls.append(sum(range(length))),
            [500, 1_500],
            tmp_path,
            queries=300,
            duration_ns=50_000_000,
            expected_ns=20_000,
            trace=True,
        )
        logged = loadgen.read_trace(tmp_path)
        assert len(logged) == result.queries == len(calls) >= 300
        assert result.p90_ns == early_stopping_percentile_ns(logged, 0.90)
        assert abs(float((logged < result.p50_ns).mean()) - 0.5) < 0.02
        assert result.valid

    def test_too_few_queries_have_no_p90(self, tmp_path: Path) -> None:
        entries = {"loadgen_version": "6", "result_validity": "INVALID", "result_query_count": 3}
        entries |= {"result_50.00_percentile_latency_ns": 5, "early_stopping_latency_ss": 0}
        lines = [loadgen.PREFIX + json.dumps({"key": key, "value": value}) for key, value in entries.items()]
        (tmp_path / loadgen.DETAIL).write_text("\n".join(lines))
        result = loadgen.read_detail(tmp_path)
        assert (result.p90_ns, result.valid, result.queries) == (None, False, 3)

    @pytest.mark.parametrize("text", ["", "nonsense", ':::MLLOG {"key"', ':::MLLOG {"key": "a", "value": 1}'])
    def test_a_damaged_log_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / loadgen.DETAIL).write_text(text)
        with pytest.raises(CheckFailed, match="LoadGen 6"):
            loadgen.read_detail(tmp_path)

    def test_where_it_is_not_installed_the_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
        with pytest.raises(RuntimeMissing, match="mlcommons-loadgen"):
            loadgen.check_installed()

    def test_a_row_keeps_its_figures_and_its_logs(self, tiny: Tiny, tmp_path: Path) -> None:
        pytest.importorskip("mlperf_loadgen", reason="pip install mlcommons-loadgen")
        output = tmp_path / "bench.json"
        options = ["--runtime", "litert", "--seconds", "0.05", "--loadgen", "--output", str(output)]
        result = run_room("bench", "run", tiny.artifact("int8.tflite"), *options, cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        kept = load_results(output).rows[0]["loadgen"]
        assert kept["valid"] is True
        assert kept["queries"] >= 64
        assert loadgen.read_detail(Path(kept["logs"])).p90_ns == round(kept["p90_ms"] * 1e6)
        assert Path(kept["logs"]).is_relative_to(tmp_path / "loadgen")


class TestRepeatability:
    @staticmethod
    def write(path: Path, *factors: float) -> Path:
        """Write a run of as many rows as there are factors, each so many times as slow as a millisecond."""
        results = Results()
        for number, factor in enumerate(factors):
            samples = tuple(
                (1_000_000 * factor * np.random.default_rng((number, process)).normal(1, 0.01, 200)).astype(np.int64)
                for process in range(3)
            )
            row = measurement(samples=Samples(samples, np.zeros(100, np.uint16)))
            results.merge([replace(row, subject=replace(row.subject, model=f"m{number}"))], [], ENVIRONMENT)
        results.save(path)
        return path

    def ask(self, first: Path, second: Path) -> Any:
        return CliRunner().invoke(repeatability.main, [str(first), str(second)], standalone_mode=False)

    def test_two_alike_runs_agree_in_every_row(self, tmp_path: Path) -> None:
        result = self.ask(self.write(tmp_path / "a.json", 1, 1, 2), self.write(tmp_path / "b.json", 1, 1, 2))
        assert result.return_value == 0
        assert "3 of 3 rows agree" in result.output
        assert "PASS" in result.output

    def test_rows_that_moved_are_marked_and_break_the_promise(self, tmp_path: Path) -> None:
        result = self.ask(self.write(tmp_path / "a.json", *[1] * 6), self.write(tmp_path / "b.json", *[1.5] * 5, 1))
        assert result.return_value == 1
        assert result.output.count("!  1.5") == 5
        assert "1 of 6 rows agree" in result.output

    def test_one_miss_among_few_rows_shows_nothing(self) -> None:
        assert repeatability.verdict(9, 10) == "INCONCLUSIVE"
        assert repeatability.verdict(40, 42) == "PASS"
        assert repeatability.verdict(30, 42) == "FAIL"

    def test_runs_without_a_row_in_common_are_refused(self, tmp_path: Path) -> None:
        Results().save(tmp_path / "a.json")
        result = self.ask(tmp_path / "a.json", tmp_path / "a.json")
        assert isinstance(result.exception, EdgeproofError)
        assert "no row is in both" in str(result.exception)
