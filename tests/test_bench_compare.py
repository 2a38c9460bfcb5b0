"""Two result files side by side, files from elsewhere, and the history of runs."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import history
from bench.compare import compare, summary
from bench.results import Results, latencies_ns, load_results
from device.classify import EdgeproofError
from tests.conftest import run_room
from tests.results_maker import ENVIRONMENT, make_results, make_row, saved

Change = Callable[[dict[str, Any]], object]


class TestCompare:
    def test_twice_as_fast_is_a_ratio_of_a_half_within_its_interval(self) -> None:
        first = make_results([make_row(), make_row("int8", p50_ms=1.0)])
        second = make_results([make_row(p50_ms=0.5, seed=1), make_row("int8", p50_ms=0.5, seed=1)])
        found = compare(first, second)
        assert found.mean is not None
        for ratio in (*(row.latency for row in found.rows), found.mean):
            assert ratio.low is not None
            assert ratio.high is not None
            assert ratio.low < 0.5 < ratio.high < 0.6

    def test_a_file_against_itself_shows_no_difference(self) -> None:
        results = make_results([make_row(wrong=range(9)), make_row("int8")])
        for row in compare(results, results).rows:
            assert row.latency.value == 1
            assert not row.latency.distinguishable
            assert row.accuracy is not None
            assert not row.accuracy.distinguishable

    def test_answers_are_compared_picture_by_picture(self) -> None:
        first, second = make_results([make_row(wrong=range(5))]), make_results([make_row(wrong=range(40))])
        found = compare(first, second).rows[0].accuracy
        assert found is not None
        assert found.distinguishable
        assert found.drop == pytest.approx(35 / 2_000)

    @pytest.mark.parametrize(
        ("field", "row", "environment"),
        [
            ("threads", {"threads": 2}, {}),
            ("runtime_version", {"version": "2.0"}, {}),
            ("machine", {}, {"cpu": "another"}),
            ("machine", {}, {"host": "another"}),
            ("governor", {}, {"governor": "powersave"}),
        ],
    )
    def test_unlike_records_are_refused_by_the_name_of_the_field(
        self, field: str, row: dict[str, Any], environment: dict[str, Any]
    ) -> None:
        first = make_results([make_row()])
        second = make_results([make_row(**row)], environment={**ENVIRONMENT, **environment})
        with pytest.raises(EdgeproofError, match=rf"{field} differs: .*--across {field}"):
            compare(first, second)
        assert len(compare(first, second, across=[field]).rows) == 1

    def test_another_data_set_is_refused(self) -> None:
        first, second = make_results([make_row()]), make_results([make_row()])
        second.rows[0]["accuracy"]["dataset_sha256"] = "e" * 64
        with pytest.raises(EdgeproofError, match="data_set differs: dddddddddddd…"):
            compare(first, second)
        assert compare(first, second, across=["data_set"]).rows[0].accuracy is None

    def test_rows_in_one_file_only_are_listed(self) -> None:
        first = make_results([make_row(), make_row("int8")])
        second = make_results([make_row(), make_row("float16")])
        lines = summary(compare(first, second), "A", "B")
        assert lines[1:] == ["only in A: m int8.tflite in LiteRT", "only in B: m float16.tflite in LiteRT"]

    def test_a_thread_count_that_one_file_has_is_no_unlike_row(self) -> None:
        first = make_results([make_row(), make_row(threads=2)])
        second = make_results([make_row()])
        found = compare(first, second)
        assert ([row.first["threads"] for row in found.rows], len(found.only_first)) == ([1], 1)

    def test_what_could_be_held_against_several_rows_is_held_against_none(self) -> None:
        first = make_results([make_row(threads=4)])
        second = make_results([make_row(), make_row(threads=2)])
        with pytest.raises(EdgeproofError, match="several rows"):
            compare(first, second, across=["threads"])

    def test_a_software_gpu_is_compared_with_nothing(self) -> None:
        results = make_results([make_row()])
        results.rows[0]["accelerator"] = "gpu-software"
        assert compare(results, results).rows == ()

    def test_a_timing_that_is_not_valid_is_noted(self) -> None:
        notes = compare(make_results([make_row(drifting=True)]), make_results([make_row()])).notes
        assert any("1 of 1 rows have a timing that is not valid" in note for note in notes)

    def test_an_unknown_field_lists_those_there_are(self) -> None:
        with pytest.raises(EdgeproofError, match="--across weather: unknown, there are device, accelerator, threads"):
            compare(make_results([make_row()]), make_results([make_row()]), across=["weather"])


class TestCompareCommand:
    def test_prints_a_table_or_json(self, tmp_path: Path) -> None:
        saved(tmp_path / "a.json", make_results([make_row()]))
        saved(tmp_path / "b.json", make_results([make_row(p50_ms=2)]))
        shown = run_room("bench", "compare", "a.json", "b.json", cwd=tmp_path)
        assert shown.code == 0, shown.stderr
        assert "slower" in shown.stdout
        assert "geometric mean of the ratios of 1 rows: 2.0" in shown.stdout
        document = json.loads(run_room("bench", "compare", "a.json", "b.json", "--json", cwd=tmp_path).stdout)
        assert document["rows"][0]["latency_ratio"]["verdict"] == "slower"
        assert document["geometric_mean"]["ci95"][0] < 2 < document["geometric_mean"]["ci95"][1]

    def test_refuses_unlike_records_with_code_2(self, tmp_path: Path) -> None:
        saved(tmp_path / "a.json", make_results([make_row()]))
        saved(tmp_path / "b.json", make_results([make_row(version="2")]))
        result = run_room("bench", "compare", "a.json", "b.json", cwd=tmp_path)
        assert (result.code, "runtime_version differs" in result.error_line) == (2, True)
        assert run_room("bench", "compare", "a.json", "b.json", "--across", "runtime_version", cwd=tmp_path).code == 0


class TestFilesFromElsewhere:
    @pytest.mark.parametrize(
        ("change", "found"),
        [
            (lambda d: d.update(measurements={}), "'measurements' is {}, expected a list"),
            (lambda d: d["measurements"].append(7), r"measurements\[1\] is 7, expected an object"),
            (lambda d: d["measurements"][0].pop("latency"), r"measurements\[0\].latency is None"),
            (
                lambda d: d["measurements"][0]["latency"].update(p50_ms="fast"),
                "latency.p50_ms is 'fast', expected int or float",
            ),
            (lambda d: d["measurements"][0]["latency"].update(p50_ms=0), "latency.p50_ms is 0, expected more than 0"),
            (
                lambda d: d["measurements"][0]["latency"].update(ci95_p50_ms=[1]),
                r"ci95_p50_ms is \[1\], expected two numbers",
            ),
            (lambda d: d["measurements"][0].update(threads=True), "threads is True, expected int"),
            (lambda d: d["measurements"][0]["accuracy"].update(top1=float("nan")), "NaN is no number"),
            (lambda d: d.update(skipped=[{"model": "m"}]), r"skipped\[0\].variant is missing, expected str"),
        ],
    )
    def test_a_defect_is_named_by_file_row_and_field(self, tmp_path: Path, change: Change, found: str) -> None:
        path = tmp_path / "bench.json"
        saved(path, make_results([make_row()]))
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))
        with pytest.raises(EdgeproofError, match=found) as error:
            load_results(path)
        assert str(path) in str(error.value)

    def test_samples_of_another_run_are_refused(self, tmp_path: Path) -> None:
        saved(tmp_path / "a.json", make_results([make_row()]))
        saved(tmp_path / "b.json", make_results([make_row(p50_ms=3)]))
        (tmp_path / "b.npz").replace(tmp_path / "a.npz")
        results = load_results(tmp_path / "a.json")
        with pytest.raises(EdgeproofError, match="are not this row's"):
            latencies_ns(results, results.rows[0])

    def test_missing_samples_are_said(self) -> None:
        results = make_results([make_row()])
        results.arrays.clear()
        with pytest.raises(EdgeproofError, match="its samples are missing"):
            latencies_ns(results, results.rows[0])

    def test_a_row_of_unknown_accuracy_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "bench.json"
        saved(path, make_results([make_row()]))
        document = json.loads(path.read_text())
        document["measurements"][0]["accuracy"] = None
        path.write_text(json.dumps(document))
        assert load_results(path).rows[0]["accuracy"] is None


def lines(results: Results, day: int = 1) -> list[dict[str, Any]]:
    return history.lines_of(results.rows, ENVIRONMENT, datetime(2026, 1, day, tzinfo=UTC))


class TestHistory:
    def test_each_run_appends_a_line_a_row(self, tmp_path: Path) -> None:
        path = history.path_beside(tmp_path / "bench@mine.json")
        results = make_results([make_row(), make_row("int8")])
        for day in (1, 2):
            history.append(path, lines(results, day))
        past = history.load_history(path)
        assert path.name == "history@mine.jsonl"
        assert (len(path.read_text().splitlines()), past.runs, past.damaged) == (4, 2, 0)
        assert {"commit", "time", "host", "p50_ms", "ci95_p50_ms", "top1", "size_bytes"} <= set(past.lines[0])

    def test_runs_at_the_same_time_lose_nothing(self, tmp_path: Path) -> None:
        results = make_results([make_row()])
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda day: history.append(tmp_path / "h.jsonl", lines(results, day + 1)), range(16)))
        assert history.load_history(tmp_path / "h.jsonl").runs == 16

    def test_a_cut_line_is_left_out_and_what_follows_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "h.jsonl"
        results = make_results([make_row()])
        history.append(path, lines(results))
        path.write_text(path.read_text() + '{"schema": 1, "time": "20')
        history.append(path, lines(results, 2))
        past = history.load_history(path)
        assert (past.runs, past.damaged) == (2, 1)

    @pytest.mark.parametrize(
        "line", ["7", "null", '{"schema": 2}', "\x00", '{"schema": 1, "time": "now", "p50_ms": 1}', "[" * 3000]
    )
    def test_a_foreign_line_is_no_error(self, tmp_path: Path, line: str) -> None:
        (tmp_path / "h.jsonl").write_text(line + "\n")
        past = history.load_history(tmp_path / "h.jsonl")
        assert (past.runs, past.damaged) == (0, 1)

    def test_a_failed_write_leaves_the_old_lines(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "h.jsonl"
        results = make_results([make_row()])
        history.append(path, lines(results))
        before = path.read_bytes()

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(EdgeproofError, match="No space left"):
            history.append(path, lines(results, 2))
        assert path.read_bytes() == before
        assert [entry.name for entry in tmp_path.iterdir()] == ["h.jsonl"]

    def test_the_lines_are_finite_numbers(self) -> None:
        for line in lines(make_results([make_row()])):
            assert np.isfinite([line["p50_ms"], *line["ci95_p50_ms"], line["top1"], line["size_bytes"]]).all()
