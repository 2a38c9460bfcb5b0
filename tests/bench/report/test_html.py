"""The report as a page: what stands in it."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.report.console import console_lines
from bench.report.html import _data, page
from bench.report.markdown import COLUMNS, markdown
from bench.report.picture import VEGA_LITE
from bench.results import history
from bench.results.history import History
from bench.results.row import PathSpans
from tests.conftest import run_module
from tests.support.report_pages import data_of, usual
from tests.support.results_builder import ENVIRONMENT, make_results, make_row, saved


class TestPage:
    def test_is_one_file_that_refers_to_nothing_outside(self, report: Path) -> None:
        html = report.read_text()
        without_scripts = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
        assert not re.search(r"""(?:src|href)=(?!["']?(?:data:|#))""", without_scripts)
        assert "default-src 'none'" in html
        assert len(html) < 2_000_000

    def test_says_what_to_ship_and_why_and_what_was_skipped(self, report: Path) -> None:
        html = report.read_text()
        assert "int8.tflite in LiteRT" in html
        assert "not shown to lose at most 0.2 points on 2,000 pictures" in html
        assert "answered otherwise than float32; " in html
        assert "plain reference code" in html
        assert "tvm is not installed: pip install &lt;tvm&gt;" in html
        assert "waited: its processes waited 30.0 %" in html

    def test_every_chart_is_valid_vega_lite(self, report: Path) -> None:
        import vl_convert

        data = data_of(report.read_text())
        specs = [data["overview"]]
        for model in data["models"].values():
            specs += [spec for name in ("distributions", "speed", "startup") if (spec := model[name])]
            specs += model["trend"]
        specs += data["sections"].values()
        assert len(specs) == 14
        for spec in specs:
            vl_convert.vegalite_to_vega({**spec, "width": 600}, vl_version=VEGA_LITE)

    def test_the_whole_path_is_drawn_where_it_was_measured(self) -> None:
        results = usual()
        assert all(model["path"] is None for model in _data(results, [], History((), 0), [])["models"].values())
        results.put(replace(results.rows[0], path=PathSpans(0.1, 0.2, 0.5, 0.01, 0.82, 0.01)))  # "big"
        spec = _data(results, [], History((), 0), [])["models"]["big"]["path"]
        assert [value["ms"] for value in spec["data"]["values"]] == [0.1, 0.2, 0.5, 0.01]

    def test_a_report_without_accuracy_labels_or_valid_rows_is_still_one(self) -> None:
        results = usual()
        results.rows = [replace(row, accuracy=None) for row in results.rows]
        html = page(results, History((), 0))
        assert data_of(html)["overview"] is None
        assert "accuracy was not measured" in html
        assert "| – |" in markdown(results)

    def test_markdown_has_the_advice_and_the_paired_verdicts(self) -> None:
        text = markdown(usual())
        assert text.index("## What to ship") < text.index("## All rows")
        assert "**Sure:** its time is known within " in text
        assert "- **m: Ship float32.tflite in LiteRT**: no faster row is shown to lose at most 0.2 points" in text
        assert "int8.tflite in LiteRT is 2." in text
        assert "  - int8.tflite in LiteRT: 12 of 2,000 answered otherwise than float32; " in text
        assert "| m | int8.tflite in tflite-runtime | 0.3" in text
        assert "| not distinguishable | tflite-runtime's x86 wheel" in text

    def test_the_first_screen_is_no_surer_than_its_data_and_in_plain_words(self) -> None:
        results = make_results([make_row("int8", disturbed=True)])
        first = page(results, History((), 0)).partition('<section id="ship">')[2].partition("</section>")[0]
        for text in (first, markdown(results).partition("## All rows")[0]):
            assert "Best so far: int8.tflite in LiteRT" in text
            assert "Ship int8" not in text
            assert "other programs kept it waiting for 30 % of its time; there is no float32 to compare it with" in text
            assert "waited:" not in text
        assert "waited: its processes waited 30.0 %" in markdown(results)  # the details, below the table


class TestCommand:
    @pytest.mark.slow
    def test_report_draws_the_trend_when_asked_or_where_there_are_two_runs(self, tmp_path: Path) -> None:
        results = saved(tmp_path / "build" / "bench.json", usual())
        missing = run_module("bench", "report", "--history", cwd=tmp_path)
        assert (missing.code, "history.jsonl" in missing.error_line) == (2, True)
        for day in (1, 2):
            lines = history.lines_of(results.rows, ENVIRONMENT, datetime(2026, 1, day, tzinfo=UTC))
            history.append(tmp_path / "build" / "history.jsonl", lines)
        for option, charts_drawn in (("--history", 3), ("--no-history", 0)):
            result = run_module("bench", "report", option, cwd=tmp_path)
            assert result.code == 0, result.stderr
            data = data_of((tmp_path / "build" / "report.html").read_text())
            assert len(data["models"]["m"]["trend"]) == charts_drawn
        assert "## What to ship" in (tmp_path / "build" / "report.md").read_text()


class TestOrder:
    def test_terminal_markdown_and_page_have_the_same_rows_in_the_same_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "300")
        results = usual()
        keys = [
            (row.subject.model, f"{row.subject.variant}.{row.subject.format}", row.subject.runtime) for row in results.rows
        ]
        results.new_keys.clear()
        results.new_skipped.clear()
        terminal = [tuple(line.split()[:3]) for line in console_lines(results)[2 : 2 + len(keys)]]
        cells = [line.strip("| ").split(" | ") for line in markdown(results).splitlines() if line.startswith("| ")]
        table = [(one[0], one[1], one[2].split()[0]) for one in cells if len(one) == len(COLUMNS)][1:]
        html = re.findall(r'<tr id="([^"]+)"', page(results, History((), 0)))
        assert terminal == keys
        assert [row for row in table if row[0] != "---"] == keys
        assert html == [row.key for row in results.rows]
