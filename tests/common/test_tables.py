"""Tables: they use the allowed width, and say what they leave out; in Markdown no cell ends its row or begins a tag."""

from collections import Counter

import pytest

from common.tables import markdown_table, table_lines, wrapped

COLUMNS = ("model", "p50 ms", "size kB", "note")
ROWS = [["mnist_cnn", "0.0471", "114", "a note of some words"], ["mobilenet_v2", "1.02", "2,729", "[red]no markup[/red]"]]


@pytest.mark.parametrize("width", [24, 40, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(len(line) for line in table_lines(COLUMNS, ROWS * 3)) <= width


def test_without_a_terminal_there_are_120_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = table_lines(("words",), [["word " * 100]])
    assert 110 < max(map(len, lines)) <= 120


@pytest.mark.parametrize("columns", ["0", "-3", "²", "many", "", "9" * 5_000])
def test_a_width_that_is_none_is_120_columns(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert 110 < max(map(len, table_lines(("words",), [["word " * 100]]))) <= 120


LONG = ("row", "ratio [95 %]", "top-1, points [99 %]")
INTERVALS = [["mnist_cnn_crop int8.tflite in tflite-runtime", "1.000 [0.997, 1.003]", "+0.00 [−0.07, +0.07]"]]


@pytest.mark.parametrize("width", [1, 5, 12, 20, 30, 36, 40, 44, 60, 80])
def test_a_narrow_table_loses_no_character(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = Counter("".join(table_lines(LONG, INTERVALS)))
    written = Counter("".join((*LONG, *INTERVALS[0])))
    assert {sign: shown[sign] for sign in written if sign != " "} == {s: n for s, n in written.items() if s != " "}


def test_sentences_are_as_narrow_as_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert wrapped(["words of one sentence", "a/path/that/is/longer/than/that"]) == [
        "words of one",
        "  sentence",
        "a/path/that/is/longer/than/that",
    ]


def test_what_does_not_fit_is_left_out_in_the_order_that_is_asked_for_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = table_lines(COLUMNS, ROWS, ("note", "size kB", "p50 ms"))
    assert lines[0].split() == ["model", "p50", "ms", "size", "kB"]
    assert lines[-1] == "(at 40 columns without note)"


def test_what_fits_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = table_lines(COLUMNS, ROWS, ("note",))
    assert lines[0].split() == ["model", "p50", "ms", "size", "kB", "note"]
    assert "[red]no markup[/red]" in lines[-1]


def test_numbers_stand_right_and_words_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    header, _, first, second = table_lines(("model", "kB"), [["a", "1"], ["bb", "1,000"]])
    assert (header, first, second) == ("model     kB", "a          1", "bb     1,000")


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in "".join(table_lines(("model",), [["\x1b[31mred"]]))


def test_a_cell_in_markdown_neither_ends_its_column_or_row_nor_begins_a_tag() -> None:
    lines = markdown_table(("model", "kB"), [["a|b\nc<i>", "1"]], ("---", "---:"))
    assert lines == ["| model | kB |", "| --- | ---: |", "| a\\|b c&lt;i> | 1 |"]
