"""A run in a microcontroller's interpreter: the whole way with a stand-in in place of the interpreter."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from bench.artifacts.find import find_artifacts
from bench.measure.row import Mode
from bench.remote.command import measure_devices
from bench.report.console import console_lines
from bench.results.row import ResultRow
from bench.results.store import Results, load_results
from common.micro_figures import MeasuredFigures
from device.errors import EdgeproofError
from tests.conftest import ROOT, Tiny, run, run_module
from tests.support.microcontrollers import OPERATIONS, stand_in
from tests.support.models.model_files import READY, own_bytes

PICTURES = 7  # one of them is no picture


def measure(device: Path, *files: Path, pictures: Path) -> tuple[list[str], Results]:
    """Measure as the command does, and return the failures and what was saved."""
    path, results = device.parent / "bench.json", Results()
    found = find_artifacts(files or (READY,))
    failures = measure_devices(str(device), found, [], Mode(64, 0.0, 1), [1], pictures, False, PICTURES, results, path)
    return failures, load_results(path)


def only_row(results: Results) -> ResultRow:
    (row,) = results.rows
    return row


class TestRow:
    @pytest.fixture(scope="class")
    def measured(self, tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> tuple[list[str], Results]:
        return measure(stand_in(tmp_path_factory.mktemp("micro")), pictures=pictures)

    def test_has_arena_flash_and_operations(self, measured: tuple[list[str], Results]) -> None:
        failures, results = measured
        figures = only_row(results).microcontroller
        assert failures == []
        assert figures is not None
        assert (figures.arena_bytes, figures.tensor_bytes, figures.flash_bytes) == (31_552, 21_504, len(own_bytes(READY)))
        assert (figures.operations, figures.interpreter) == (OPERATIONS, "tflite-micro 0.dev1")

    def test_is_of_its_own_device_and_runtime(self, measured: tuple[list[str], Results]) -> None:
        row = only_row(measured[1])
        assert row.key == "mnist_cnn/int8.tflite/tflite_micro/tflite-micro/cpu/1"
        assert row.runtime_version == "0.dev1"

    def test_counts_a_file_that_is_no_picture_as_wrong(self, measured: tuple[list[str], Results]) -> None:
        row = only_row(measured[1])
        assert row.accuracy is not None
        assert (row.accuracy.correct, row.accuracy.total) == (PICTURES - 1, PICTURES)

    def test_says_that_golden_and_test_pictures_were_answered_bit_for_bit(self, measured: tuple[list[str], Results]) -> None:
        row = only_row(measured[1])
        assert row.golden is not None
        assert row.microcontroller is not None
        assert (row.golden.deviations, row.golden.worst_score) == ((), 0.0)
        assert row.golden.here is not None
        assert row.golden.here.endswith("reference kernels")
        assert row.microcontroller.compared == row.microcontroller.equal == row.golden.pictures + PICTURES

    def test_has_no_latency(self, measured: tuple[list[str], Results]) -> None:
        row = only_row(measured[1])
        assert row.why_no_latency == "a host's time, not a microcontroller's"
        assert (row.latency.valid, row.latency.why_invalid) == (False, row.why_no_latency)

    def test_is_what_convert_reads(self, measured: tuple[list[str], Results]) -> None:
        results = measured[1]
        assert results.path is not None
        found = MeasuredFigures.read(results.path)
        assert list(found.by_model.values()) == [only_row(results).microcontroller]
        document = json.loads(results.path.read_text())
        assert document["measurements"][0]["microcontroller"]["arena_bytes"] == 31_552

    def test_is_printed_with_a_table_of_its_own(self, measured: tuple[list[str], Results]) -> None:
        text = "\n".join(console_lines(measured[1]))
        assert "arena kB" in text
        assert "31.6" in text


@pytest.mark.parametrize(
    ("how", "reason", "fails"),
    [
        ("refuses", "the interpreter refuses the model: CONV_2D: Hybrid models are not supported on TFLite Micro.", False),
        ("crashes", "its process ended with SIGSEGV", True),
        ("short", "its interpreter gave an answer that cannot be", True),
    ],
)
def test_what_the_interpreter_does_costs_one_row_with_its_reason(
    tmp_path: Path, pictures: Path, how: str, reason: str, fails: bool
) -> None:
    failures, results = measure(stand_in(tmp_path, how), pictures=pictures)
    assert results.rows == []
    (skipped,) = results.skipped
    assert reason in skipped.reason
    assert bool(failures) is fails


def test_a_wrong_answer_to_a_golden_picture_is_a_failure(tmp_path: Path, pictures: Path) -> None:
    failures, results = measure(stand_in(tmp_path, "wrong"), pictures=pictures)
    (failure,) = failures
    assert "golden[0]: 1 of 10 outputs are not those of the reference kernels (apart by 1)" in failure
    row = only_row(results)
    assert row.microcontroller is not None
    assert row.microcontroller.equal == 0


def test_an_interpreter_that_never_answers_is_stopped(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.worker_pool.Talk.__init__.__defaults__", (2.0,))
    failures, results = measure(stand_in(tmp_path, "hangs"), pictures=pictures)
    assert "its process was stopped: no answer in 2 s" in failures[0]
    assert results.rows == []


def test_an_onnx_file_is_skipped_beside_a_tflite(tmp_path: Path, tiny: Tiny, pictures: Path) -> None:
    failures, results = measure(stand_in(tmp_path), READY, tiny.artifact("int8.onnx"), pictures=pictures)
    assert failures == []
    assert only_row(results).subject.format == "tflite"
    assert [skip.reason for skip in results.skipped] == ["it reads .tflite files alone"]


def test_an_environment_that_is_not_there_skips_every_row_and_names_the_command(tmp_path: Path, pictures: Path) -> None:
    device = stand_in(tmp_path)
    device.write_text('description = "d"\ninterpreter = "tflite_micro"\npython = ["{program}/no/such/python"]\n')
    failures, results = measure(device, pictures=pictures)
    (skipped,) = results.skipped
    assert skipped.reason.endswith("/no/such/python is not there: `make setup-micro` makes it")
    assert "{program}" not in skipped.reason
    assert failures == [f"tflite-micro: lost: {skipped.reason}"]


def test_an_environment_without_the_interpreter_is_a_failure_too(tmp_path: Path, pictures: Path) -> None:
    device = stand_in(tmp_path)
    device.write_text(f'description = "d"\ninterpreter = "tflite_micro"\npython = ["{sys.executable}"]\n')
    failures, results = measure(device, pictures=pictures)
    assert "tflite-micro cannot be imported (No module named 'tflite_micro'): `make setup-micro` makes it" in failures[0]
    assert [skip.reason in failures[0] for skip in results.skipped] == [True]


@pytest.mark.parametrize(("runtimes", "threads"), [(["litert"], [1]), ([], [2]), ([], [1, 2])])
def test_a_runtime_or_threads_are_refused(tmp_path: Path, runtimes: list[str], threads: list[int]) -> None:
    with pytest.raises(EdgeproofError, match="its only runtime is the interpreter, with one thread"):
        measure_devices(
            str(stand_in(tmp_path)),
            find_artifacts([READY]),
            runtimes,
            Mode(64, 0.0, 1),
            threads,
            None,
            False,
            1,
            Results(),
            tmp_path / "bench.json",
        )
    assert not (tmp_path / "bench.json").exists()


@pytest.mark.slow
def test_the_command_measures_and_check_then_knows(tmp_path: Path, pictures: Path) -> None:
    device = stand_in(tmp_path)
    shutil.copy(READY, tmp_path / "m.int8.tflite")
    options = ["--device", str(device), "--data", str(pictures), "--pictures", "5", "--output", "build/bench.json"]
    done = run_module("bench", "run", "m.int8.tflite", *options, cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert "arena 31,552 bytes" in done.stdout
    checked = run_module("convert", "check", "m.int8.tflite", "--target", "pico", cwd=tmp_path)
    assert checked.code == 0, checked.stderr
    assert "arena 31.6 kB of 270.3 kB RAM, 238.8 kB left" in checked.stdout


def test_the_interpreters_process_needs_no_package_but_numpy() -> None:
    names = "{name.partition('.')[0] for name in sys.modules}"
    found = run(["-c", f"import sys, bench.remote.microcontroller.micro_worker; print(*sorted({names}))"], ROOT)
    assert found.code == 0, found.stderr
    loaded = set(found.stdout.split())
    assert "numpy" in loaded
    assert not {"PIL", "ai_edge_litert", "click", "convert", "rich", "train"} & loaded
