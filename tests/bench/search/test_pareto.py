"""The plot: every measured trial is a point, the front and the budget are lines, and Vega draws it."""

from pathlib import Path
from typing import Any

import pytest

from bench.report.picture import config, write_pictures
from bench.report.section import Section
from bench.search.result import Limit, SearchResult
from bench.search.shown.pareto import pareto
from bench.search.shown.section import search_lines, search_sections
from bench.search.shown.write import write_files
from bench.search.store import FILE, write_search
from bench.search.winner import concluded
from tests.support.searching.searches import TOTAL, paired, search, trial, unfinished

BUDGET = (Limit("top1", least=0.98), Limit("size_bytes", most=25_000), Limit("arena_bytes", most=9_000))


@pytest.fixture
def ended() -> SearchResult:
    """Return a search with trials of each kind; one that was stopped early has figures."""
    stopped = trial(3, 4800, 9_000, state="pruned", keeps_budget=None, reason="below the median")
    trials = (trial(0, 4920, 19_300), trial(1, 4910, 21_000), trial(2, 5000, 31_000, keeps_budget=False), stopped)
    return concluded(search(*trials, unfinished(4, "failed", "NaN"), limits=BUDGET), paired)


def spec(result: SearchResult) -> dict[str, Any]:
    """Return a search's plot."""
    found = pareto(result)
    assert found is not None
    return found


def test_every_measured_trial_is_a_point(ended: SearchResult) -> None:
    points = spec(ended)["data"]["values"]
    assert {point["trial"]: (point["kind"], point["front"], point["winner"]) for point in points} == {
        0: ("keeps the budget", True, True),
        1: ("keeps the budget", False, False),
        2: ("breaks the budget", True, False),
        3: ("stopped early", False, False),
    }


def test_a_trial_without_an_error_has_a_place_on_the_logarithmic_axis(ended: SearchResult) -> None:
    (best,) = [point for point in spec(ended)["data"]["values"] if point["trial"] == 2]
    assert best["wrong"] == pytest.approx(100 * 0.5 / TOTAL)
    assert best["accuracy"].startswith("100.00 %")


def test_each_limit_that_is_on_an_axis_is_a_line_with_its_name(ended: SearchResult) -> None:
    lines = [layer["data"]["values"][0] for layer in spec(ended)["layer"] if "data" in layer]
    assert [(line["name"], round(line["at"], 6)) for line in lines[::2]] == [
        ("accuracy at least 98.00 %", 2.0),
        ("size at most 25.0 kB", 25.0),
    ]


def test_without_a_measured_trial_there_is_no_plot() -> None:
    assert pareto(search(unfinished(0, "failed", "NaN"))) is None


def test_the_plot_is_drawn_as_png_and_svg_in_the_colours_of_the_page(ended: SearchResult, tmp_path: Path) -> None:
    png, svg = write_pictures(spec(ended), "a title", tmp_path / "pareto.png")
    assert png.read_bytes().startswith(b"\x89PNG")
    drawn = svg.read_text()
    assert "a title" in drawn
    assert "trial 0: 19.3 kB, 98.40 %" in drawn
    assert config()["range"]["category"][0] in drawn


def test_all_files_of_a_search_are_written_and_its_markdown_shows_the_picture(ended: SearchResult, tmp_path: Path) -> None:
    assert {path.name for path in write_files(tmp_path, ended)} == {"search.json", "search.md", "pareto.png", "pareto.svg"}
    text = (tmp_path / "search.md").read_text()
    assert text.startswith("# Search: mnist_cnn_crop\n\n- mnist_cnn_crop: the smallest size with")
    assert "](pareto.png)" in text
    assert "| 0 | winner | 98.40 | 19.3 |" in text


def test_a_report_shows_the_searches_beside_its_results(ended: SearchResult, tmp_path: Path) -> None:
    write_files(tmp_path / "mnist_cnn_crop@search", ended)
    (section,) = search_sections(tmp_path / "bench.json")
    assert section.picture == "mnist_cnn_crop@search/pareto.png"
    assert section.files == ["mnist_cnn_crop@search/search.md", "mnist_cnn_crop@search/search.json"]


def test_a_search_that_cannot_be_read_is_a_section_that_says_so(tmp_path: Path) -> None:
    path = write_search(tmp_path / "m@search", search(trial(0, 4900, 9_000)))
    path.write_text("{")
    (section,) = search_sections(tmp_path / "bench.json")
    assert section.chart is None
    assert section.sentences[0].startswith(f"{tmp_path / 'm@search' / FILE}: is no readable JSON")


def test_recommend_tells_only_of_the_wanted_model(ended: SearchResult, tmp_path: Path) -> None:
    write_search(tmp_path / "mnist_cnn_crop@search", ended)
    write_search(tmp_path / "other@search", ended)
    assert sum(line.startswith("Search: ") for line in search_lines(tmp_path / "bench.json", None)) == 2
    lines = search_lines(tmp_path / "bench.json", "mnist_cnn_crop")
    assert [line for line in lines if line.startswith("Search: ")] == ["Search: mnist_cnn_crop:"]
    assert any("The winner is trial 0 with 19.3 kB" in line for line in lines)


def test_a_section_has_the_same_order_in_markdown_as_on_the_page() -> None:
    section = Section(
        "a", "A", ["<one>", "two"], None, "p.png", "caption", ("x", "n"), [["t", "1"]], frozenset({1}), ["f.json"]
    )
    assert section.markdown() == [
        "",
        "## A",
        "",
        "- &lt;one>.",
        "- two.",
        "",
        "![A](p.png)",
        "",
        "caption",
        "",
        "| x | n |",
        "| --- | ---: |",
        "| t | 1 |",
        "",
        "Files: [f.json](f.json)",
    ]
