"""Runtimes on accelerators: what is not there is said, what really ran is proved, software is called software."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import runtimes
from bench.machine import accelerators
from bench.machine.accelerators import SOFTWARE, Accelerator, Probe
from bench.measure import run as bench_run, worker_pool
from bench.report.markdown import markdown
from bench.results.measurement import Measurement
from bench.results.row import ANY, ResultRow, Skipped, Subject
from bench.results.store import Results, load_results
from bench.runtimes import Accelerated, FellBack, find_accelerator, find_runtime, runtime_names, runtimes_by_default
from common import python_process
from device.errors import EdgeproofError, RuntimeMissing
from tests.conftest import ROOT, Finished, Tiny, run
from tests.support.results_builder import ENVIRONMENT, measurement
from tests.tools import software_vulkan

GPU_RUNTIMES = [name for name in runtime_names() if isinstance(find_runtime(name), Accelerated)]
REAL = Accelerator("vulkan", "A GPU", software=False)
PLAYED = Accelerator("vulkan", "SwiftShader", software=True)


def with_devices(monkeypatch: pytest.MonkeyPatch, *devices: Accelerator) -> None:
    monkeypatch.setattr(runtimes, "probe", lambda _api: Probe(devices, None if devices else "the driver is not here"))
    for name in GPU_RUNTIMES:
        monkeypatch.setattr(find_runtime(name), "check_installed", lambda: None)


class TestProbe:
    def test_an_unloadable_driver_is_a_problem_with_the_next_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> None:
            raise OSError(name)

        monkeypatch.setattr("ctypes.CDLL", missing)
        for api, package in (("vulkan", "libvulkan1"), ("cuda", "NVIDIA's driver")):
            found = accelerators.ask(api)
            assert found.devices == ()
            assert found.problem is not None
            assert package in found.problem

    def test_a_driver_that_crashes_costs_its_own_process(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        crashing = tmp_path / "crash.sh"
        crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
        crashing.chmod(0o755)
        monkeypatch.setattr(python_process, "PYTHON", (str(crashing),))
        found = accelerators.probe.__wrapped__("vulkan")
        assert found.devices == ()
        assert "-11" in (found.problem or "")


class TestSortingOut:
    def test_without_a_gpu_each_gpu_runtime_is_one_skipped_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with_devices(monkeypatch)
        here, absent = bench_run.sort_out((), {"tflite", "onnx", "keras"}, 1)
        assert sorted(skip.subject.runtime for skip in absent) == sorted(GPU_RUNTIMES)
        assert set(here) == set(runtimes_by_default()) - set(GPU_RUNTIMES)
        assert all("the driver is not here" in skip.reason for skip in absent)

    def test_a_runtime_that_opens_none_of_the_files_is_not_spoken_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with_devices(monkeypatch)
        _, absent = bench_run.sort_out((), {"tflite"}, 1)
        assert [skip.subject.runtime for skip in absent] == ["litert_gpu"]

    def test_a_software_device_is_run_only_where_its_runtime_is_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with_devices(monkeypatch, PLAYED)
        _, absent = bench_run.sort_out((), {"tflite"}, 1)
        assert "SwiftShader" in absent[0].reason
        assert bench_run.sort_out(["litert_gpu"], {"tflite"}, 1) == (["litert_gpu"], [])

    def test_a_real_device_goes_before_a_software_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with_devices(monkeypatch, PLAYED, REAL)
        assert find_accelerator("litert_gpu") == REAL
        assert bench_run.sort_out((), {"tflite"}, 1)[1] == []

    def test_a_package_that_is_missing_is_named_with_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runtimes, "probe", lambda _api: Probe((REAL,), None))
        with pytest.raises(RuntimeMissing, match="make bench-gpu"):
            find_accelerator("onnxruntime_cuda")  # this environment has the CPU's build
        with pytest.raises(RuntimeMissing, match="without CUDA"):
            find_accelerator("keras_gpu")


class TestRows:
    def test_of_a_software_device_are_never_valid(self) -> None:
        row = _on(SOFTWARE, "SwiftShader")
        assert row.latency.valid is False
        assert "software" in (row.latency.why_invalid or "")
        assert row.accelerator_name == "SwiftShader"

    def test_of_a_gpu_are_as_valid_as_any_and_name_it_in_the_report(self) -> None:
        assert _on("gpu", "A GPU").latency.valid is True
        results = Results()
        results.merge([_measured_on("gpu", "A GPU")], [], ENVIRONMENT)
        assert "on A GPU" in markdown(results)

    def test_one_skip_for_all_goes_when_its_runtime_was_measured_and_stays_away(self) -> None:
        skip = Skipped(Subject(ANY, None, ANY, "tflite", "litert", "board", "gpu", 1), "no GPU")
        results = Results()
        results.merge([], [skip], ENVIRONMENT)
        assert "Skipped: everything in litert on board: no GPU" in markdown(results)
        results.merge([measurement("litert")], [], ENVIRONMENT)
        assert results.skipped == []
        results.merge([], [skip], ENVIRONMENT)
        assert results.skipped == []


def _measured_on(accelerator: str, name: str) -> Measurement:
    row = measurement()
    return replace(row, subject=replace(row.subject, accelerator=accelerator), accelerator_name=name)


def _on(accelerator: str, name: str) -> ResultRow:
    return _measured_on(accelerator, name).row


class TestProofs:
    """Each proof, held against a session that really ran on the CPU."""

    def test_litert_calls_a_model_on_xnnpack_not_accelerated(self, tiny: Tiny) -> None:
        code = (
            "from pathlib import Path; import sys;"
            "from bench.runtimes.support.litert_placement import CPU, is_all_on_accelerator;"
            "print('ALL', is_all_on_accelerator(Path(sys.argv[1]), CPU))"
        )
        result = run(["-c", code, tiny.artifact("float32.tflite")], ROOT)
        assert "ALL False" in result.stdout, result.stderr

    def test_an_onnxruntime_session_that_took_the_cpu_is_a_fall_back(self, tiny: Tiny) -> None:
        from bench.runtimes.support.onnx_accelerator import AcceleratedOnnxSession
        from device.formats.model_file import read_card

        class OnCpu(AcceleratedOnnxSession):
            def _create(self, ort: Any, path: Path, options: Any, _disabled: Any) -> Any:
                return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        path = tiny.artifact("float32.onnx")
        card = read_card(path)
        assert card is not None
        with pytest.raises(FellBack, match="CPUExecutionProvider"):
            OnCpu(path, card, 1, "onnxruntime_cuda", "CUDAExecutionProvider", "cuda", lambda *_: [])

    def test_the_onnxruntime_profile_names_the_cpu_where_it_ran(self, tiny: Tiny) -> None:
        import numpy as np

        from bench.runtimes.support.onnx_accelerator import AcceleratedOnnxSession
        from device.formats.model_file import read_card

        class Claims(AcceleratedOnnxSession):
            def _create(self, ort: Any, path: Path, options: Any, _disabled: Any) -> Any:
                return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        path = tiny.artifact("float32.onnx")
        card = read_card(path)
        assert card is not None
        session = Claims(path, card, 1, "x", "CPUExecutionProvider", "cuda", lambda *_: ["CPUExecutionProvider"])
        session._provider = "CUDAExecutionProvider"
        with pytest.raises(FellBack, match="nodes ran on CPUExecutionProvider"):
            session.ran_on(session.tensor(np.zeros((28, 28, 1), np.uint8)))

    @pytest.mark.slow
    def test_keras_names_the_operations_that_ran_off_the_gpu(self, tiny: Tiny) -> None:
        code = (
            "import sys, numpy as np; from pathlib import Path; from bench.runtimes.keras import KerasSession;"
            "from bench.runtimes.keras_gpu import operations_off_gpu; s = KerasSession(Path(sys.argv[1]), 1);"
            "print('OFF', operations_off_gpu(s._model, s.tensor(np.zeros((28, 28, 1), np.uint8))))"
        )
        result = run(["-c", code, tiny.folder / "mnist_cnn.keras"], ROOT)
        assert "Conv2D" in result.stdout, result.stderr

    def test_a_worker_that_fell_back_is_an_error_row_and_a_refusal_a_skipped_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from bench.measure import job, worker

        text = job.job_json(job.Job("latency", "litert_gpu", "m.tflite", 1, {}), "result.npz", 0)
        monkeypatch.setattr(worker, "confine", lambda *_: None)  # this process goes on
        for error, code in ((FellBack("to the CPU"), job.EXIT_FELL_BACK), (EdgeproofError("no"), job.EXIT_REFUSED)):
            monkeypatch.setattr(worker, "run", lambda _job, error=error: (_ for _ in ()).throw(error))
            monkeypatch.setattr(sys, "stdin", io.StringIO(text))
            assert worker.main() == code


def test_a_workers_reason_is_found_among_what_libraries_print_after_it() -> None:
    assert worker_pool.reason("INFO: a\nedgeproof: the reason\nINFO: Destroy\n") == "the reason"
    assert worker_pool.reason("Segmentation fault") == "Segmentation fault"


@pytest.mark.slow
def test_a_gpu_that_is_asked_for_by_name_and_absent_is_exit_code_1(tiny: Tiny, tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    result = _bench(tiny, output, "keras_gpu", tiny.folder / "mnist_cnn.keras", LD_LIBRARY_PATH="")
    if accelerators.probe("cuda").devices:
        pytest.skip("this machine has an NVIDIA GPU")
    assert result.code == 1, result.stderr
    assert "keras_gpu: skipped: no GPU" in result.stdout
    assert load_results(output).rows == []


def _bench(tiny: Tiny, output: Path, runtime: str, *files: Path, **environment: str) -> Finished:
    options = ["--runtime", runtime, "--seconds", "0.01", "--output", str(output)]
    return run(["-m", "bench", "run", *map(str, files), *options], tiny.workspace, **environment)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "keys"),
    [("litert_gpu", ["float32.tflite", "int8.tflite"]), ("onnxruntime_webgpu", ["float32.onnx", "int8.onnx"])],
)
def test_a_software_device_runs_the_gpu_path_with_real_answers(
    tiny: Tiny, tmp_path: Path, runtime: str, keys: list[str]
) -> None:
    try:
        environment = software_vulkan.environment()
        find_runtime(runtime).check_installed()  # type: ignore[attr-defined]
    except (software_vulkan.Unfetchable, RuntimeMissing) as error:
        pytest.skip(str(error))
    output = tmp_path / "bench.json"
    result = _bench(tiny, output, runtime, *(tiny.artifact(key) for key in keys), **environment)
    refuses_int8 = runtime == "onnxruntime_webgpu"  # it has no kernels for QDQ's 8 bits: said, and never run on the CPU
    assert result.code == (1 if refuses_int8 else 0), result.stderr
    results = load_results(output)
    rows = {row.subject.variant: row for row in results.rows}
    assert rows["float32"].subject.accelerator == SOFTWARE
    assert "SwiftShader" in (rows["float32"].accelerator_name or "")
    assert rows["float32"].latency.valid is False
    cpu = _bench(tiny, tmp_path / "cpu.json", "keras", tiny.folder / "mnist_cnn.keras")
    assert cpu.code == 0, cpu.stderr
    reference, accuracy = load_results(tmp_path / "cpu.json").rows[0].accuracy, rows["float32"].accuracy
    assert reference is not None
    assert accuracy is not None
    assert abs(accuracy.correct - reference.correct) <= 1
    if refuses_int8:
        assert [skip.subject.variant for skip in results.skipped] == ["int8"]
        assert "CPU" in results.skipped[0].reason
    json.dumps([row.to_json() for row in results.rows], allow_nan=False)
