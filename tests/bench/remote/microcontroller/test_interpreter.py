"""TensorFlow Lite for Microcontrollers' own interpreter, where `make setup-micro` has made its environment."""

import subprocess
from pathlib import Path

import pytest

from bench.results.store import load_results
from common.micro_figures import DEVICE, MeasuredFigures
from convert.deployment.microcontroller.board import find_board
from convert.deployment.microcontroller.export import write_export
from tests.conftest import Tiny, run_module
from tests.support.c_arrays import array_in
from tests.support.microcontrollers import MICRO_PYTHON, OPERATIONS, needs_interpreter
from tests.support.models.model_files import READY, own_bytes

pytestmark = [pytest.mark.slow, needs_interpreter]
# Without any of our own code: the model's bytes, an arena, input tensors; all output tensors one after the other
ANSWER = """
import sys
from pathlib import Path
import numpy as np
from tflite_micro.python.tflite_micro import runtime
folder, arena_bytes = Path(sys.argv[1]), int(sys.argv[2])
interpreter = runtime.Interpreter.from_bytes((folder / "model").read_bytes(), arena_size=arena_bytes)
answers = b""
for given in np.frombuffer((folder / "inputs").read_bytes(), np.uint8).reshape(-1, 1, 28, 28, 1):
    interpreter.set_input(given, 0)
    interpreter.invoke()
    answers += interpreter.get_output(0).tobytes()
(folder / "answers").write_bytes(answers)
"""
CROP = READY.with_name("mnist_cnn_crop.int8.tflite")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of both ready models."""
    folder = tmp_path_factory.mktemp("micro")
    done = run_module("bench", "run", READY, CROP, "--device", DEVICE, "--output", "bench.json", cwd=folder)
    assert done.code == 0, done.stderr
    return folder / "bench.json"


def test_the_ready_models_need_what_was_measured_before(results: Path) -> None:
    """The figures of docs/microcontroller.md."""
    rows = {row.subject.model: row for row in load_results(results).rows}
    needs = {model: row.microcontroller.arena_bytes for model, row in rows.items() if row.microcontroller is not None}
    assert needs == {"mnist_cnn": 31_552, "mnist_cnn_crop": 20_784}
    assert {row.microcontroller.operations for row in rows.values() if row.microcontroller is not None} == {
        OPERATIONS,
        (*OPERATIONS, "STRIDED_SLICE"),
    }


def test_every_answer_is_that_of_the_reference_kernels_bit_for_bit(results: Path) -> None:
    for row in load_results(results).rows:
        assert row.golden is not None
        assert row.golden.deviations == ()
        assert row.microcontroller is not None
        assert row.microcontroller.equal == row.microcontroller.compared == row.golden.pictures + 100


def test_the_exported_bytes_give_the_exported_answers(results: Path, tmp_path: Path) -> None:
    done = write_export(READY, find_board("pico"), tmp_path / "out", MeasuredFigures.read(results))
    data = array_in(done.folder / "model.c", "model_data", "uint8").tobytes()
    assert data == own_bytes(READY)
    inputs = array_in(done.folder / "golden.c", "golden_inputs", "uint8").reshape(-1, 784)
    outputs = array_in(done.folder / "golden.c", "golden_outputs", "uint8").reshape(-1, 10)
    (tmp_path / "model").write_bytes(data)
    (tmp_path / "inputs").write_bytes(inputs.tobytes())
    subprocess.run([MICRO_PYTHON, "-c", ANSWER, tmp_path, "31552"], capture_output=True, check=True)
    assert (tmp_path / "answers").read_bytes() == outputs.tobytes()


def test_what_the_interpreter_refuses_is_a_skipped_row_that_says_why(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny.artifact(key) for key in ("dynamic_int8.tflite", "float16.tflite")]
    done = run_module("bench", "run", *files, "--device", DEVICE, "--output", tmp_path / "bench.json", cwd=tiny.workspace)
    assert done.code == 0, done.stderr
    reasons = {skip.subject.variant: skip.reason for skip in load_results(tmp_path / "bench.json").skipped}
    assert (
        reasons["dynamic_int8"]
        == "the interpreter refuses the model: CONV_2D: Hybrid models are not supported on TFLite Micro."
    )
    assert reasons["float16"].startswith("the interpreter refuses the model: DEQUANTIZE: ")


def test_float_and_mixed_models_answer_as_the_reference_kernels(tiny: Tiny, tmp_path: Path) -> None:
    files = [tiny.artifact(key) for key in ("float32.tflite", "int8_mixed.tflite", "int16x8.tflite")]
    done = run_module("bench", "run", *files, "--device", DEVICE, "--output", tmp_path / "bench.json", cwd=tiny.workspace)
    assert done.code == 0, done.stderr
    rows = load_results(tmp_path / "bench.json").rows
    assert {row.subject.variant for row in rows} == {"float32", "int8_mixed", "int16x8"}
    assert all(row.golden is not None and not row.golden.deviations for row in rows)
