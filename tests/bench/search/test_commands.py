"""`bench report` and `bench recommend` tell of the searches beside their results."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.search.result import Limit
from bench.search.shown.write import write_files
from bench.search.winner import concluded
from tests.support.results_builder import make_results, make_row, saved
from tests.support.searching.searches import paired, search, trial


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return bench.json of one row, with a search beside it."""
    trials = trial(0, 4920, 19_300), trial(1, 4960, 31_000, keeps_budget=False)
    found = concluded(search(*trials, limits=(Limit("top1", least=0.98), Limit("size_bytes", most=25_000))), paired)
    write_files(tmp_path / "mnist_cnn_crop@search", found)
    path = tmp_path / "bench.json"
    saved(path, make_results([make_row()]))
    return path


def test_report_has_the_same_sentences_on_the_terminal_in_markdown_and_on_the_page(results: Path) -> None:
    printed = CliRunner().invoke(main, ["report", str(results)]).output
    markdown, page = (results.with_name(f"report.{ending}").read_text() for ending in ("md", "html"))
    for text in (printed, markdown, page):
        assert "The winner is trial 0 with 19.3 kB, 98.40 % of 5,000 validation pictures right" in text
        assert "mnist_cnn_crop@search/search.md" in text
    assert "](mnist_cnn_crop@search/pareto.png)" in markdown
    assert markdown.index("## All rows") < markdown.index("## Search: mnist_cnn_crop")


def test_recommend_tells_what_was_searched_and_keeps_its_verdict(results: Path) -> None:
    of_another_model, of_all = (
        CliRunner().invoke(main, ["recommend", str(results), *options], standalone_mode=False)
        for options in (["--model", "m"], [])
    )
    assert of_all.return_value == of_another_model.return_value
    assert "Search: mnist_cnn_crop:" in of_all.output
    assert "Search" not in of_another_model.output


def test_recommend_gives_the_searches_as_json(results: Path) -> None:
    document = json.loads(CliRunner().invoke(main, ["recommend", str(results), "--json"]).output)
    assert any("the smallest size with accuracy at least 98.00 %" in line for line in document["searches"])


def test_a_damaged_search_does_not_cost_the_report(results: Path) -> None:
    (results.parent / "mnist_cnn_crop@search" / "search.json").write_text("{}")
    printed = CliRunner().invoke(main, ["report", str(results)])
    assert printed.exit_code == 0
    assert "search.json: schema is None, this version reads 1" in printed.output
