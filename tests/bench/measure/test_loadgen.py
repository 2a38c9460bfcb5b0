"""Rows under MLPerf's LoadGen."""

import json
from pathlib import Path

import pytest

from bench.measure import loadgen
from bench.results.store import load_results
from bench.stats.percentiles import early_stopping_percentile_ns
from device.errors import CheckFailed, RuntimeMissing
from tests.conftest import Tiny, run_module


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

    def test_where_it_is_not_installed_that_is_said_with_the_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
        with pytest.raises(RuntimeMissing, match=r"LoadGen is not installed .*: run `make setup`"):
            loadgen.check_installed()

    @pytest.mark.slow
    def test_a_row_keeps_its_figures_and_its_logs(self, tiny: Tiny, tmp_path: Path) -> None:
        pytest.importorskip("mlperf_loadgen", reason="pip install mlcommons-loadgen")
        output = tmp_path / "bench.json"
        options = ["--runtime", "litert", "--seconds", "0.05", "--loadgen", "--output", str(output)]
        result = run_module("bench", "run", tiny.artifact("int8.tflite"), *options, cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        kept = load_results(output).rows[0].loadgen
        assert kept is not None
        assert kept["valid"] is True
        assert kept["queries"] >= 64
        assert loadgen.read_detail(Path(kept["logs"])).p90_ns == round(kept["p90_ms"] * 1e6)
        assert Path(kept["logs"]).is_relative_to(tmp_path / "loadgen")
