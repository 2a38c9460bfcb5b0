"""The section "Devices": one model on board, browser and microcontroller side by side."""

from dataclasses import replace

import pytest

from bench.report.console import console_lines
from bench.report.devices import COLUMNS, devices_table
from bench.report.html import page
from bench.report.markdown import markdown
from bench.results.history import History
from bench.results.measurement import Measurement
from bench.results.store import Results
from tests.support.browsers.browser_figures import browser_figures
from tests.support.microcontrollers import figures
from tests.support.results_builder import counted, make_results, make_row, usual


def on(device: str, runtime: str, **more: object) -> Measurement:
    measured = make_row("int8", runtime, total=1_000)
    subject = replace(measured.subject, device=device, format="tflite")
    return replace(measured, subject=subject, **more)  # type: ignore[arg-type]


@pytest.fixture
def results() -> Results:
    return make_results(
        [
            make_row("float32"),
            make_row("int8"),
            on("emulated-pi4", "litert", instructions=counted(1_615_000)),
            on("emulated-pi3", "litert"),
            on("chromium", "litert_web", browser=browser_figures()),
            on("tflite-micro", "tflite_micro", microcontroller=figures()),
        ]
    )


def cells_on(results: Results, device: str) -> dict[str, str]:
    (line,) = [line for line in devices_table(results.rows) if line[1] == device]
    return dict(zip(COLUMNS, line, strict=True))


def test_has_each_file_that_was_measured_on_a_device_also_where_it_was_here(results: Results) -> None:
    table = devices_table(results.rows)
    assert [line[1] for line in table] == ["this machine", "emulated-pi4", "emulated-pi3", "chromium", "tflite-micro"]
    assert {line[0] for line in table} == {"m int8.tflite"}


def test_an_emulated_board_has_no_time_but_a_count_that_is_called_one(results: Results) -> None:
    assert cells_on(results, "emulated-pi4")["inference"] == "1.61 M instructions (a count)"
    assert cells_on(results, "emulated-pi3")["inference"] == "not known: emulated"
    assert cells_on(results, "emulated-pi4")["start"] == "–"


def test_a_browser_has_its_times_and_what_it_downloads(results: Results) -> None:
    cells = cells_on(results, "chromium")
    assert cells["runtime"] == "LiteRT.js 1.0"
    assert cells["inference"] == "1.00 ms"
    assert cells["start"] == "551 ms: fetch 40, compile 500, first 10"
    assert cells["answers"] == "999 of 1,000 in the same class"
    assert cells["to ship kB"] == "3,000 (9,800 unpacked)"


def test_a_microcontrollers_arena_is_called_an_estimate_of_a_64_bit_host(results: Results) -> None:
    cells = cells_on(results, "tflite-micro")
    assert cells["memory"] == "arena 31.6 kB (an estimate: a 64-bit host's)"
    assert cells["inference"] == "not known: only a board tells"
    assert cells["answers"] == "111 of 111 bit for bit"


def test_stands_in_page_markdown_and_console(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert '<section id="devices">' in page(results, History((), 0))
    assert "## Devices" in markdown(results)
    for text in (page(results, History((), 0)), markdown(results), "\n".join(console_lines(results))):
        assert "1.61 M instructions (a count)" in text
        assert "551 ms: fetch 40, compile 500, first 10" in text


def test_is_absent_where_nothing_was_measured_on_a_device() -> None:
    assert "## Devices" not in markdown(usual())
    assert 'id="devices"' not in page(usual(), History((), 0))
    assert "Devices" not in console_lines(usual())


def test_a_browsers_start_is_split_in_the_chart_as_a_browser_starts(results: Results) -> None:
    from bench.report.latency_charts import startup_parts

    (row,) = [row for row in results.rows if row.browser is not None]
    assert list(startup_parts(row)) == ["fetch", "compile", "first inference"]
