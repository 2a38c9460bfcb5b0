"""The trend over runs."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bench.results import history
from bench.results.store import Results
from device.errors import EdgeproofError
from tests.support.results_builder import ENVIRONMENT, make_results, make_row


def lines(results: Results, day: int = 1) -> list[history.HistoryLine]:
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
        assert {"commit", "time", "host", "p50_ms", "ci95_p50_ms", "top1", "size_bytes"} <= set(past.lines[0].to_json())

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
            assert np.isfinite([line.p50.ms, *line.p50.ci95, line.top1 or np.nan, line.size_bytes]).all()
