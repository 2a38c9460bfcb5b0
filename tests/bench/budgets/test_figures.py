"""The figures of one row, as a budget uses them."""

from dataclasses import replace

import numpy as np
import pytest

from bench.budgets.figures import Case, Figure, Measured, no_time, pictures, processes_ms, startup
from bench.budgets.kinds import KINDS
from bench.machine.conditions import Conditions
from bench.results.measurement import Measurement
from bench.results.samples import Samples
from bench.results.store import Results
from bench.stats import intervals
from bench.stats.percentiles import early_stopping_percentile_ns
from common.interval import Interval, of_share
from tests.support.browsers.browser_figures import browser_figures
from tests.support.budget_results import FACTORS, results, row
from tests.support.microcontrollers import figures
from tests.support.results_builder import counted


def with_samples(*processes: list[int]) -> Measurement:
    found = row()
    latency_ns = tuple(np.array(process, np.int64) for process in processes)
    return replace(found, samples=Samples(latency_ns, found.samples.predictions))


def figure(key: str, measurement: Measurement | None = None, error: float = 0.01) -> Measured:
    found = results(measurement or row())
    return figure_in(found, key, error)


def figure_in(found: Results, key: str, error: float = 0.01) -> Measured:
    measure: Figure | None = KINDS[key].figure
    assert measure is not None
    return measure(Case(found.rows[0], found, error))


class TestLatency:
    def test_a_percentile_is_that_of_each_process_in_milliseconds(self) -> None:
        found = results(with_samples([2_000_000] * 700, [4_000_000] * 600 + [8_000_000] * 100))
        assert processes_ms(found.rows[0], found, "p50") == [2.0, 4.0]
        assert processes_ms(found.rows[0], found, "p90") == [2.0, 8.0]

    def test_p90_is_mlperfs_estimate(self) -> None:
        measurement = row()
        found = results(measurement)
        expected = [(early_stopping_percentile_ns(process, 0.9) or 0) / 1e6 for process in measurement.samples.latency_ns]
        assert processes_ms(found.rows[0], found, "p90") == expected

    def test_one_process_with_too_few_queries_is_enough_to_have_none(self) -> None:
        found = results(with_samples([1_000_000] * 800, [1_000_000] * 60))
        assert processes_ms(found.rows[0], found, "p90") is None
        assert processes_ms(found.rows[0], found, "p50") == [1.0, 1.0]
        measured = figure("max_p90_ms", with_samples([1_000_000] * 800, [1_000_000] * 60))
        assert measured == Measured(
            None,
            "2 processes, 860 queries",
            "a process has too few queries for its p90",
            "measure with --mode normal",
        )

    @pytest.mark.parametrize("error", [0.01, 0.2])
    def test_the_interval_is_students_at_the_error_of_the_case(self, error: float) -> None:
        found = results()
        values = processes_ms(found.rows[0], found, "p50")
        assert values is not None
        assert figure("max_p50_ms", error=error) == Measured(
            intervals.of_processes(values, error), "5 processes, 4,000 queries"
        )

    def test_of_a_single_process_there_is_none(self) -> None:
        measured = figure("max_p50_ms", with_samples([1_000_000] * 800))
        assert (measured.interval, measured.reason) == (None, "one process does not show how processes differ")

    def test_the_advice_to_measure_longer_leaves_the_time_to_the_commands_default(self) -> None:
        """A time in it could be less than the default, and than what was just measured."""
        measured = figure("max_p50_ms", with_samples([1_000_000] * 800))
        assert measured.advice == "measure longer: `edgeproof bench check --measure`"

    def test_a_wide_interval_decides_by_itself(self) -> None:
        measured = figure("max_p50_ms", with_samples([1_000_000] * 800, [2_000_000] * 800))
        assert measured.interval is not None
        assert measured.reason == ""

    def test_of_a_timing_that_is_not_valid_the_reason_comes_first(self) -> None:
        for processes in ([[1_000_000] * 800], [[1_000_000] * 800, [1_001_000] * 800]):
            disturbed = (Conditions(waited=0.3),) * len(processes)
            measured = figure("max_p50_ms", replace(with_samples(*processes), conditions=disturbed))
            assert measured.reason.endswith("over 5 %")
            assert "waited" in measured.reason
            assert measured.advice == "measure on a quiet machine"
            assert (measured.interval is None) == (len(processes) == 1)

    @pytest.mark.parametrize(
        ("device", "accelerator", "reason"),
        [
            ("host", "cpu", ""),
            ("host", "gpu", ""),
            ("emulated-pi4", "cpu", "emulated, not a latency"),
            ("host", "gpu-software", "a software device, not a latency"),
        ],
    )
    def test_where_time_means_nothing_it_is_said(self, device: str, accelerator: str, reason: str) -> None:
        measurement = row()
        subject = replace(measurement.subject, device=device, accelerator=accelerator)
        assert no_time(results(replace(measurement, subject=subject)).rows[0]) == reason


class TestStartUp:
    @pytest.mark.parametrize(("key", "middle_ms"), [("max_load_ms", 2.0), ("max_first_inference_ms", 3.0)])
    def test_a_part_is_that_of_each_process(self, key: str, middle_ms: float) -> None:
        expected = intervals.of_processes([middle_ms * factor for factor in FACTORS], 0.05)
        assert figure(key, error=0.05) == Measured(expected, "5 processes")

    @pytest.mark.parametrize("key", ["max_load_ms", "max_first_inference_ms"])
    def test_of_a_row_whose_timing_is_not_valid_it_decides_nothing(self, key: str) -> None:
        measured = figure(key, replace(row(), conditions=(Conditions(waited=0.3),) * 5))
        assert measured.reason.startswith("not valid: waited: ")
        assert (measured.interval is not None, measured.advice) == (True, "measure on a quiet machine")

    def test_of_a_row_that_is_only_imprecise_its_interval_decides(self) -> None:
        imprecise = replace(with_samples([1_000_000] * 800, [2_000_000] * 800), startup=row().startup)
        assert imprecise.row.latency.only_imprecise
        assert figure("max_load_ms", imprecise).reason == ""

    def test_there_are_three_parts(self) -> None:
        found = results()
        assert startup("import_ms")(Case(found.rows[0], found, 0.01)).interval == Interval.exact(1.0)

    def test_without_those_of_single_processes_there_is_none(self) -> None:
        measurement = row()
        measured = figure("max_load_ms", replace(measurement, startup=replace(measurement.startup, processes_ms=())))
        assert (measured.interval, measured.advice) == (None, "measure again")


class TestCounts:
    def test_sizes_are_in_thousands_and_millions_of_bytes(self) -> None:
        assert figure("max_peak_rss_mb") == Measured(Interval.exact(50.0), "largest of 5 processes")
        assert figure("max_size_kb") == Measured(Interval.exact(100.0), "the file")

    @pytest.mark.parametrize("unknown", [None, 0])
    def test_an_unknown_peak_memory_keeps_no_limit(self, unknown: int | None) -> None:
        """Older files have 0 for it, which is below any limit."""
        found = figure("max_peak_rss_mb", replace(row(), peak_rss_bytes=unknown))
        assert found.interval is None
        assert "the system there does not say it" in found.reason

    def test_instructions_are_in_millions_where_they_were_counted(self) -> None:
        found = results()
        assert figure_in(found, "max_instructions_m") == Measured(reason="no instruction count in this row", skipped=True)
        found.put(replace(found.rows[0], instructions=counted(1_600_000)))
        assert figure_in(found, "max_instructions_m") == Measured(Interval.exact(1.6), "a count on cortex-a72")

    def test_top_1_is_a_share_of_all_pictures(self) -> None:
        assert figure("min_top1", row(wrong=200), error=0.05) == Measured(of_share(9_800, 10_000, 0.05), "10,000 pictures")
        assert pictures(1) == "1 picture"


class TestBrowser:
    def test_a_download_is_that_of_the_compressed_files_in_1000_bytes(self) -> None:
        measured = replace(row(), browser=browser_figures(download_gzip_bytes=3_008_097))
        assert figure("max_download_kb", measured).interval == Interval.exact(3_008.097)

    def test_another_row_has_none(self) -> None:
        found = figure("max_download_kb")
        assert (found.skipped, found.interval) == (True, None)

    def test_means_of_blocks_have_a_p50_and_no_other_percentile(self) -> None:
        measured = replace(row(), browser=browser_figures(block=4))
        assert figure("max_p50_ms", measured).interval is not None
        assert figure("max_p90_ms", measured).reason.startswith("timed in blocks of calls, as the browser's clock is coarse")
        assert (measured.row.latency.p90_ms, measured.row.latency.min_ms) == (None, None)

    def test_single_calls_have_every_percentile(self) -> None:
        measured = replace(row(), browser=browser_figures(block=1))
        assert figure("max_p90_ms", measured).interval is not None
        assert measured.row.latency.p90_ms is not None


class TestMicrocontroller:
    def test_arena_and_flash_are_those_of_the_file_in_1000_bytes(self) -> None:
        measured = replace(row(), microcontroller=figures(arena_bytes=31_552, flash_bytes=104_416))
        assert figure("max_arena_kb", measured).interval == Interval.exact(31.552)
        assert figure("max_flash_kb", measured).interval == Interval.exact(104.416)

    def test_a_row_of_the_same_file_in_another_runtime_has_them_too(self) -> None:
        measured = replace(row(runtime="tflite_micro"), microcontroller=figures(arena_bytes=20_784))
        found = results(row(), measured)
        assert found.rows[0].microcontroller is None
        assert figure_in(found, "max_arena_kb").interval == Interval.exact(20.784)

    @pytest.mark.parametrize("key", ["max_arena_kb", "max_flash_kb"])
    def test_a_file_that_was_not_measured_there_has_none(self, key: str) -> None:
        assert figure(key) == Measured(reason="its file was not measured with --device tflite-micro", skipped=True)

    def test_the_memory_of_the_interpreters_process_is_not_judged(self) -> None:
        found = figure("max_peak_rss_mb", replace(row(), microcontroller=figures()))
        assert found.skipped
        assert "max_arena_kb" in found.reason
