"""Tables: they use the allowed width, and say what they leave out; in Markdown no cell ends its row or begins a tag."""

from collections import Counter
from urllib.parse import unquote

import pytest

from common.tables import markdown_code, markdown_link, markdown_table, markdown_text, table_lines, wrapped
from tests.support.markdown import HOSTILE_TEXTS, as_shown, shown

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


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_markdown_shows_text_from_elsewhere_as_it_is(text: str) -> None:
    """In a sentence and in a cell, and nothing but the sentence and the table is in the document."""
    table = "\n".join(markdown_table(("a", "b"), [[text, "1"]], ("---", "---")))
    for document in (f"It is {markdown_text(text)}.", f"- {markdown_text(text)}", table):
        seen = shown(document)
        assert seen.acts == []
        assert as_shown(text) in seen.text
    assert shown(table).kinds.count("td_open") == 2


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_code_and_links_hold_text_from_elsewhere_whole(text: str) -> None:
    """Code ends after it, and a link leads to the file of this name."""
    code, link = shown(f"{markdown_code(text)} end"), shown(f"{markdown_link(text, text)} end")
    assert (code.text.replace("\\|", "|"), code.acts) == (f"{as_shown(text)} end", [])
    assert (link.text, [unquote(target) for target in link.acts]) == (f"{as_shown(text)} end", [text])


@pytest.mark.parametrize(
    "text", ["mnist_cnn_crop", "0.05 [0.04, 0.06]", "-0.2", "a & b", "~5 %", "use `--mode quick`", "litert 2.1 (x86)", "C#"]
)
def test_usual_text_is_the_same_in_markdown(text: str) -> None:
    """Markdown is read as it is, too."""
    assert markdown_text(text) == text
