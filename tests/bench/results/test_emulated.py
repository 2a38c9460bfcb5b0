"""Rows whose times are no latencies, in all that is made of bench.json: their answers are used, their times never."""

import html
from dataclasses import replace

import pytest

from bench.analysis.best_variant import advise
from bench.analysis.compare import compare
from bench.analysis.float_pairs import pairs
from bench.analysis.recommend import limits_of, recommend
from bench.report import overview_chart
from bench.report.html import page
from bench.report.markdown import COLUMNS, markdown, table
from bench.results.emulated import HOSTS_TIME, NOT_A_LATENCY
from bench.results.history import History
from bench.results.instruction_counts import of_marks
from bench.results.measurement import Measurement
from bench.results.store import Results
from common.verdict import Verdict
from device.errors import EdgeproofError
from tests.support.results_builder import ENVIRONMENT, make_results, make_row

TIME_COLUMNS = [COLUMNS.index(name) for name in ("p50 ms [95 %]", "p90 ms", "load ms", "first ms")]
FAST_MS = 0.0123456  # a time that would win everything, and that no other figure is


DEVICES = {"emulated-pi4": NOT_A_LATENCY, "tflite-micro": HOSTS_TIME}


def on(device: str, row: Measurement) -> Measurement:
    return replace(row, subject=replace(row.subject, device=device))


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def results(device: str) -> Results:
    """Return a host's two rows and the same two, far faster, on a device whose times are no latencies."""
    rows = [make_row("float32"), make_row("int8", p50_ms=0.5)]
    rows += [on(device, make_row(variant, p50_ms=FAST_MS)) for variant in ("float32", "int8")]
    made = make_results(rows)
    made.environments[device] = ENVIRONMENT
    return made


def test_the_table_says_why_in_place_of_each_time(device: str, results: Results) -> None:
    cells = {row.key: line for row, line in zip(results.rows, table(results.rows), strict=True)}
    for key, line in cells.items():
        times = [line[place] for place in TIME_COLUMNS]
        assert (times == [DEVICES[device], "–", "–", "–"]) == (device in key)


@pytest.mark.slow
def test_neither_report_shows_a_time_of_one(device: str, results: Results) -> None:
    for text in (markdown(results), html.unescape(page(results, History((), 0)))):
        assert DEVICES[device] in text
        assert "0.0123" not in text
        assert "0.0124" not in text


def test_they_are_on_no_front_in_no_pair_and_no_advice(results: Results) -> None:
    front = [
        row.subject.device for row, there in zip(results.rows, overview_chart.on_front(results.rows), strict=True) if there
    ]
    assert set(front) == {"host"}
    found = pairs(results)
    assert {pair.row.subject.device for pair in found} == {"host"}
    assert {one.device for one in advise(results, found)} == {"host"}


def test_nothing_is_recommended_for_them(device: str, results: Results) -> None:
    chosen = recommend(results, limits_of({"max_p50_ms": 0.1}), {"model": None, "device": None, "runtime": None})
    assert chosen.verdict is Verdict.FAIL
    with pytest.raises(EdgeproofError, match=DEVICES[device]):
        recommend(results, [], {"model": None, "device": device, "runtime": None})


def test_a_comparison_leaves_them_out_and_says_so(device: str, results: Results) -> None:
    found = compare(results, results)
    assert {row.first.subject.device for row in found.rows} == {"host"}
    assert found.only_first == ()
    assert any(DEVICES[device] in note for note in found.notes)


@pytest.mark.slow
def test_counted_instructions_stand_beside_the_latency() -> None:
    counted = replace(make_row(), instructions=of_marks([0, 10, 20, 20, 30, 1_234_030], "cortex-a72", "a counter", None))
    results = make_results([counted, make_row("int8")])
    place = COLUMNS.index("M instr.")
    assert sorted(line[place] for line in table(results.rows)) == ["1.234", "–"]
    assert "cortex-a72" in page(results, History((), 0))
