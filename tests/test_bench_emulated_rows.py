"""Rows of an emulated device in what is made of bench.json: their answers count, their times stand nowhere."""

from dataclasses import replace

import numpy as np
import pytest

from bench import charts, stats
from bench.advice import advise
from bench.compare import compare
from bench.emulated import NOT_A_LATENCY
from bench.history import History
from bench.instructions import of_marks
from bench.measurement import Measurement
from bench.page import page
from bench.pairs import pairs
from bench.recommend import Budgets, recommend
from bench.report import COLUMNS, markdown, table
from bench.results import Results
from device.classify import EdgeproofError
from tests.results_maker import ENVIRONMENT, make_results, make_row

TIME_COLUMNS = [COLUMNS.index(name) for name in ("p50 ms [95 %]", "p90 ms", "load ms", "first ms")]
FAST_MS = 0.0123456  # a time that would win everything, and that no other figure is


def emulated(row: Measurement) -> Measurement:
    return replace(row, subject=replace(row.subject, device="emulated-pi4"))


@pytest.fixture
def results() -> Results:
    """Return a host's two rows and the same two, far faster, on an emulated device."""
    rows = [make_row("float32"), make_row("int8", p50_ms=0.5)]
    rows += [emulated(make_row(variant, p50_ms=FAST_MS)) for variant in ("float32", "int8")]
    made = make_results(rows)
    made.environments["emulated-pi4"] = ENVIRONMENT
    return made


def test_the_table_says_emulated_in_place_of_each_time(results: Results) -> None:
    cells = {row["samples"]["key"]: line for row, line in zip(results.rows, table(results.rows), strict=True)}
    for key, line in cells.items():
        times = [line[place] for place in TIME_COLUMNS]
        assert (times == [NOT_A_LATENCY, "–", "–", "–"]) == ("emulated-pi4" in key)


def test_neither_report_shows_a_time_of_one(results: Results) -> None:
    for text in (markdown(results), page(results, History((), 0))):
        assert NOT_A_LATENCY in text
        assert "0.0123" not in text
        assert "0.0124" not in text


def test_they_are_on_no_front_in_no_pair_and_no_advice(results: Results) -> None:
    front = [row["device"] for row, there in zip(results.rows, charts.on_front(results.rows), strict=True) if there]
    assert set(front) == {"host"}
    found = pairs(results)
    assert {pair.row["device"] for pair in found} == {"host"}
    assert {one.device for one in advise(results, found)} == {"host"}


def test_nothing_is_recommended_for_them(results: Results) -> None:
    chosen = recommend(results, Budgets(max_p50_ms=0.1), {"model": None, "device": None, "runtime": None})
    assert chosen.verdict.value == "fail"
    with pytest.raises(EdgeproofError, match=NOT_A_LATENCY):
        recommend(results, Budgets(), {"model": None, "device": "emulated-pi4", "runtime": None})


def test_a_comparison_leaves_them_out_and_says_so(results: Results) -> None:
    found = compare(results, results)
    assert {row.first["device"] for row in found.rows} == {"host"}
    assert found.only_first == ()
    assert any(NOT_A_LATENCY in note for note in found.notes)


def test_counted_instructions_stand_beside_the_latency() -> None:
    counted = replace(make_row(), instructions=of_marks([0, 10, 20, 20, 30, 1_234_030], "cortex-a72", "a counter", None))
    results = make_results([counted, make_row("int8")])
    place = COLUMNS.index("M instr.")
    assert sorted(line[place] for line in table(results.rows)) == ["1.234", "–"]
    assert "cortex-a72" in page(results, History((), 0))


def test_a_process_of_a_single_query_has_no_drift() -> None:
    assert stats.drift(np.array([5], np.int64)) == 0
