"""What files need on a microcontroller: a table of its own, in both reports and on the console."""

from dataclasses import replace

import pytest

from bench.report.console import console_lines
from bench.report.html import page
from bench.report.markdown import COLUMNS, markdown, table
from bench.results.history import History
from bench.results.store import Results
from tests.support.microcontrollers import figures
from tests.support.results_builder import make_results, make_row, usual


@pytest.fixture
def results() -> Results:
    measured = make_row("int8", "tflite_micro")
    subject = replace(measured.subject, device="tflite-micro")
    return make_results([make_row("float32"), replace(measured, subject=subject, microcontroller=figures())])


def test_markdown_has_the_figures_of_each_row(results: Results) -> None:
    text = markdown(results)
    assert "## On a microcontroller" in text
    operations = "CONV_2D, FULLY_CONNECTED, MAX_POOL_2D, QUANTIZE, SOFTMAX"
    assert f"| m | int8.tflite | 31.6 | {figures().flash_bytes / 1000:.1f} | 111 of 111 | {operations} |" in text


def test_the_page_has_them_and_sorts_by_numbers(results: Results) -> None:
    text = page(results, History((), 0))
    assert '<section id="microcontroller">' in text
    assert 'data-label="arena kB" data-sort="31.6">31.6</td>' in text


def test_the_console_has_them_below_the_rows(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    text = "\n".join(console_lines(results))
    assert "arena kB" in text
    assert "31.6" in text


def test_the_memory_of_the_interpreters_process_is_a_dash(results: Results) -> None:
    place = COLUMNS.index("peak MB")
    assert sorted(line[place] for line in table(results.rows)) == ["50", "–"]


def test_without_such_a_row_there_is_no_table() -> None:
    results = usual()
    assert "On a microcontroller" not in markdown(results)
    assert 'id="microcontroller"' not in page(results, History((), 0))
    assert "arena kB" not in "\n".join(console_lines(results))
