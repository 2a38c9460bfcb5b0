"""A run in a browser: the whole way with a stand-in in place of Chromium."""

import os
from pathlib import Path

import pytest

from bench.artifacts.find import find_artifacts
from bench.measure.row import Mode
from bench.remote.command import measure_devices
from bench.report.console import console_lines
from bench.results.row import ResultRow
from bench.results.store import Results, load_results
from device.errors import EdgeproofError
from tests.conftest import run_module
from tests.support.browsers.stand_in_browser import install
from tests.support.models.model_files import READY

PICTURES = 7  # one of them is no picture
MODE = Mode(64, 0.0, 2)


@pytest.fixture(autouse=True)
def _no_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)


def measure(device: Path, *files: Path, pictures: Path, runtimes: list[str] | None = None) -> tuple[list[str], Results]:
    """Measure as the command does, and return the failures and what was saved."""
    path, results = device.parent / "bench.json", Results()
    found = find_artifacts(files or (READY,))
    failures = measure_devices(str(device), found, runtimes or [], MODE, [1], pictures, False, PICTURES, results, path)
    return failures, load_results(path)


def only_row(results: Results) -> ResultRow:
    (row,) = results.rows
    return row


class TestRow:
    @pytest.fixture(scope="class")
    def measured(self, tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> tuple[list[str], Results]:
        return measure(install(tmp_path_factory.mktemp("browser")), pictures=pictures)

    def test_is_of_its_own_device_and_runtime(self, measured: tuple[list[str], Results]) -> None:
        failures, results = measured
        assert failures == []
        assert only_row(results).key == "mnist_cnn/int8.tflite/litert_web/chromium/cpu/1"
        assert only_row(results).runtime_version == "1.2.3"

    def test_has_answers_that_are_compared_with_native_ones(self, measured: tuple[list[str], Results]) -> None:
        row = only_row(measured[1])
        assert row.accuracy is not None
        assert row.browser is not None
        assert (row.accuracy.correct, row.accuracy.total) == (PICTURES - 1, PICTURES)  # what is no picture counts as wrong
        assert (row.browser.same_class, row.browser.compared) == (PICTURES - 1, PICTURES - 1)
        assert (row.browser.native or "").startswith("litert ")

    def test_answers_the_golden_pictures_as_the_card_and_the_native_runtime(
        self, measured: tuple[list[str], Results]
    ) -> None:
        golden = only_row(measured[1]).golden
        assert golden is not None
        assert (golden.deviations, golden.worst_score) == ((), 0.0)

    def test_has_a_latency_over_fresh_pages(self, measured: tuple[list[str], Results]) -> None:
        latency = only_row(measured[1]).latency
        assert (latency.processes, latency.queries) == (5, 200)
        assert latency.p50.ms == pytest.approx(0.25)

    def test_has_no_percentile_that_means_of_blocks_cannot_show(self, measured: tuple[list[str], Results]) -> None:
        latency = only_row(measured[1]).latency
        assert (latency.p90_ms, latency.p99_ms, latency.min_ms) == (None, None, None)

    def test_splits_the_start_up(self, measured: tuple[list[str], Results]) -> None:
        row = only_row(measured[1])
        assert row.browser is not None
        assert (row.browser.fetch_ms, row.browser.compile_ms, row.browser.first_inference_ms) == (20.0, 300.0, 5.0)
        assert row.startup.load_ms == 300.0

    def test_counts_what_a_page_downloads_raw_and_gzipped(self, measured: tuple[list[str], Results]) -> None:
        found = only_row(measured[1]).browser
        assert found is not None
        assert found.download_bytes == READY.stat().st_size + 10_000
        assert READY.stat().st_size * 0.5 < found.download_gzip_bytes < READY.stat().st_size + 1000

    def test_names_browser_clock_and_isolation(self, measured: tuple[list[str], Results]) -> None:
        found = only_row(measured[1]).browser
        assert found is not None
        assert (found.browser, found.isolated, found.clock_step_us, found.block) == ("Stand-in 1.0", True, 5.0, 4)
        assert measured[1].environments["chromium"].more["browser"] == "Stand-in 1.0"

    def test_is_printed(self, measured: tuple[list[str], Results]) -> None:
        assert "chromium" in "\n".join(console_lines(measured[1]))


@pytest.mark.parametrize(
    ("how", "reason", "fails"),
    [
        ("open", "the runtime refuses the model: Element type INT8 is not supported.", False),
        ("run", "the runtime cannot run the model: Element type INT8", False),
        ("starting", "its page failed (starting): Element type INT8", True),
        ("dies", "the browser ended before its page answered: its process ended with 21: cannot open display", True),
        ("garbage", "its page posted what is no JSON", True),
        ("short", "its page gave 179 output values, expected 180", True),
        ("negative", "its page posted what is no result: result.fetch_ms is -1.0, expected 0 or more", True),
    ],
)
def test_what_a_page_does_costs_one_row_with_its_reason(
    tmp_path: Path, pictures: Path, how: str, reason: str, fails: bool
) -> None:
    failures, results = measure(install(tmp_path, how), pictures=pictures)
    assert results.rows == []
    (skipped,) = results.skipped
    assert reason in skipped.reason
    assert "\x1b" not in skipped.reason
    assert bool(failures) is fails


def test_wrong_answers_to_golden_pictures_are_a_failure(tmp_path: Path, pictures: Path) -> None:
    failures, results = measure(install(tmp_path, "wrong"), pictures=pictures)
    (failure,) = failures
    assert "FAIL: self-test: golden[0].top1" in failure
    found = only_row(results).browser
    assert found is not None
    assert found.same_class == 0


def test_a_page_that_never_answers_is_given_up_and_leaves_nothing(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.remote.browser.visit.SILENCE_S", 1.0)
    failures, results = measure(install(tmp_path, "silent"), pictures=pictures)
    assert "its page asked for nothing and did not answer for 1 s" in failures[0]
    assert results.rows == []
    running = [path for path in Path("/proc").glob("[0-9]*/cmdline") if os.fsencode(tmp_path) in _content(path)]
    assert running == []


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_browser_that_is_not_there_skips_every_row_and_names_the_command(tmp_path: Path, pictures: Path) -> None:
    device = install(tmp_path)
    (tmp_path / "browser").unlink()
    failures, results = measure(device, pictures=pictures)
    (skipped,) = results.skipped
    assert "`make chromium` installs it (Debian), or set CHROMIUM to one" in skipped.reason
    assert failures == [f"chromium: lost: {skipped.reason}"]


def test_packages_that_are_not_there_skip_every_row_and_name_the_command(tmp_path: Path, pictures: Path) -> None:
    device = install(tmp_path)
    (tmp_path / "node_modules/@litertjs/core/package.json").unlink()
    failures, results = measure(device, pictures=pictures)
    (skipped,) = results.skipped
    assert "the npm package @litertjs/core is not in" in skipped.reason
    assert "`make web` installs them" in skipped.reason
    assert len(failures) == 1


def test_another_runtime_is_refused_by_name(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(EdgeproofError, match="litert_web, litert_web_webgpu, onnxruntime_web, onnxruntime_web_webgpu"):
        measure(install(tmp_path), pictures=pictures, runtimes=["litert"])
    with pytest.raises(EdgeproofError, match="unknown runtime 'webgpu'"):
        measure(install(tmp_path / "b"), pictures=pictures, runtimes=["webgpu"])


def test_files_of_another_format_are_refused(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(EdgeproofError, match="none of the given files runs in onnxruntime_web"):
        measure(install(tmp_path), pictures=pictures, runtimes=["onnxruntime_web"])


def test_a_browsers_runtime_is_refused_without_a_browser(tmp_path: Path) -> None:
    done = run_module("bench", "run", str(READY), "--runtime", "litert_web", cwd=tmp_path)
    assert done.code == 2
    assert done.error_line.endswith("litert_web runs in a browser: `edgeproof bench run --device chromium` measures in it")
