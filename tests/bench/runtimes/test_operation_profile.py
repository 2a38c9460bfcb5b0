"""Time per operation."""

import json
from pathlib import Path

import pytest

from bench.runtimes.support import operation_profile
from bench.runtimes.support.operation_profile import Event, Operation
from tests.conftest import Tiny, needs_tflite_runtime, run_module
from tests.support.models.model_files import two_input_model


class TestProfile:
    def test_events_are_summed_by_operation_in_the_order_of_execution(self) -> None:
        events = [Event(1, "b", "Conv", "x", 5.0), Event(0, "a", "Mul", "x", 1.0), Event(1, "b", "Conv", "x", 7.0)]
        found = operation_profile.operations(events, runs=2)
        assert found == [Operation("a", "Mul", "x", 0.5, 2), Operation("b", "Conv", "x", 6.0, 2)]

    def test_an_interruption_is_no_time_of_an_operation(self) -> None:
        events = [Event(0, "a", "Mul", "x", us) for us in [3.0, 4.0] * 50 + [9_000.0] * 5]
        [found] = operation_profile.operations(events, runs=105)
        assert found.mean_us == pytest.approx(3.5, abs=0.05)

    def test_an_operation_that_runs_twice_in_an_inference_has_the_time_of_both(self) -> None:
        [found] = operation_profile.operations([Event(0, "a", "Mul", "x", 2.0)] * 40, runs=20)
        assert found.mean_us == pytest.approx(4.0)

    def test_the_table_has_the_slowest_first_and_the_sum(self) -> None:
        cells = operation_profile.table([Operation("a", "Mul", "x", 1.0, 2), Operation("b", "Conv", "x", 3.0, 2)])
        assert [line[0] for line in cells] == ["b", "a", "sum of 2 operations"]
        assert cells[0][-1] == "75.0"

    @pytest.mark.slow
    def test_onnxruntime_tells_each_operation_of_the_model(self, tmp_path: Path) -> None:
        model = two_input_model(tmp_path / "two.onnx")
        result = run_module("bench", "run", model, "--seconds", "0.02", "--profile", "--output", "b.json", cwd=tmp_path)
        assert result.code == 0, result.stderr
        told = json.loads((tmp_path / "build" / "profile" / "two-given.onnx-onnxruntime-host-cpu-1.json").read_text())
        assert [operation["kind"] for operation in told["operations"]] == ["Cast", "Add", "MatMul"]
        assert "CPUExecutionProvider" in result.stdout

    @pytest.mark.slow
    @needs_tflite_runtime
    def test_litert_tells_each_operation_and_tflite_runtime_that_it_cannot(self, tiny: Tiny, tmp_path: Path) -> None:
        options = ["--seconds", "0.02", "--profile", "--output", str(tmp_path / "b.json")]
        result = run_module("bench", "run", tiny.artifact("float32.tflite"), *options, cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        path = tiny.workspace / "build" / "profile" / "mnist_cnn@tiny-float32.tflite-litert-host-cpu-1.json"
        operations = json.loads(path.read_text())["operations"]
        assert sum("Convolution" in operation["kind"] for operation in operations) == 3
        assert {operation["by"] for operation in operations} <= {"XNNPACK", "LiteRT"}
        assert "tflite_runtime has no profiler" in result.stdout
