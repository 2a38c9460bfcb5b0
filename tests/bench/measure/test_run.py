"""The command `bench run`."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bench.__main__ import main as bench
from bench.measure.run import Outcome
from bench.measure.worker import answer_pictures
from bench.results.row import ANY
from bench.results.samples import Samples
from bench.results.store import load_results
from bench.runtimes import Accelerated, find_runtime, runtime_names
from device.errors import ModelError
from tests.conftest import CONVERTED, ROOT, TFLITE, Tiny, classify, run_module
from tests.support.results_builder import make_results, make_row, saved

READY = ROOT / "data" / "ready" / "mnist_cnn_crop.int8.tflite"


class SlowSession:
    """A session whose calls are counted and whose clock is the test's."""

    runtime_version = "0"

    def tensor(self, pixels: Any) -> Any:
        return pixels

    def infer(self, tensor: Any) -> Any:
        return tensor

    def scores(self, output: Any) -> Any:  # noqa: ARG002  # always answers class 1
        return np.array([0, 1, 0], np.float32)


@pytest.mark.parametrize(("picture_s", "size"), [(0.001, 1_000), (0.1, 500), (1.0, 200)])
def test_a_slow_row_answers_the_first_size_that_fits_whatever_else_is_running(
    monkeypatch: pytest.MonkeyPatch, picture_s: float, size: int
) -> None:
    spent = iter(range(10**9))
    monkeypatch.setattr("bench.measure.worker.time.process_time_ns", lambda: next(spent) * picture_s * 1e9)
    busy = iter(range(10**9))  # on the clock each picture takes a minute: others have the processor
    monkeypatch.setattr("bench.measure.worker.time.perf_counter_ns", lambda: next(busy) * 60 * 10**9)
    pictures = np.zeros((1_000, 2, 2, 1), np.uint8)
    answers = answer_pictures(SlowSession(), pictures, (1_000, 500, 200), limit_s=60)
    assert (len(answers), set(answers.tolist())) == (size, {1})


def test_a_picture_whose_scores_are_not_numbers_has_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """argmax names the class whose score is NaN: it would count as right where that is the class. A device refuses, too."""
    monkeypatch.setattr(SlowSession, "scores", lambda *_: np.array([0, np.nan, 0], np.float32))
    with pytest.raises(ModelError, match="scores are not numbers"):
        answer_pictures(SlowSession(), np.zeros((3, 2, 2, 1), np.uint8), (3,), limit_s=60)


def test_an_interrupted_run_that_finished_no_row_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nothing = Outcome([], [], crashed=False, evaluation_sets=[], interrupted=True)
    monkeypatch.setattr("bench.measure.run.run", lambda *_, **__: nothing)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(bench, ["run", str(READY), "--output", "out/new.json"])
    assert "wrote" not in done.output
    assert done.exit_code == 1  # click's for an interruption; run_cli has its own
    assert list(tmp_path.iterdir()) == []


def test_results_of_another_machine_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    """One environment a device is kept: their rows would count as measured here."""
    saved(tmp_path / "bench.json", make_results([make_row()]))
    before = (tmp_path / "bench.json").read_bytes()
    done = run_module("bench", "run", READY, "--output", "bench.json", cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert "bench.json: holds 1 row of host from another machine (board, a cpu, 2 cores); this one is " in done.error_line
    assert done.error_line.endswith("name another --output, or remove bench.json")
    assert (tmp_path / "bench.json").read_bytes() == before


class TestCommand:
    def test_a_runtime_that_opens_none_of_the_files_beside_one_that_does_is_said(self, tmp_path: Path) -> None:
        options = ["--runtime", "litert", "--runtime", "onnxruntime", "--seconds", "0.01"]
        done = run_module("bench", "run", READY, *options, cwd=tmp_path)
        assert done.code == 0, done.stderr
        assert done.stdout.splitlines()[0] == "  onnxruntime: opens none of the given files: it has no row"
        assert "latency of 1 row in 4 rounds: " in done.stdout
        assert re.search(r"round 1 of 4: mnist_cnn_crop, 1 row, p50 [\d.]+ ms\n", done.stdout)

    @pytest.mark.slow
    def test_measures_every_artifact_in_every_runtime_and_writes_the_report(self, tiny: Tiny, tmp_path: Path) -> None:
        output = tmp_path / "bench.json"
        result = run_module("bench", "run", "--seconds", "0.05", "--output", output, cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        results = load_results(output)
        keys = {(row.subject.variant, row.subject.format, row.subject.runtime) for row in results.rows}
        runtimes = {"tflite": TFLITE, "onnx": ("onnxruntime",)}
        converted = {(v.name, v.format, runtime) for v in CONVERTED for runtime in runtimes[v.format]}
        gpu = [name for name in runtime_names() if isinstance(find_runtime(name), Accelerated)]
        assert {key for key in keys if key[2] not in gpu} == {*converted, ("float32", "keras", "keras")}
        for row in results.rows:
            assert row.accuracy is not None
            assert row.accuracy.total == 80
            assert row.latency.queries >= 64
            assert row.latency.rounds_measured == 4  # a busy machine's may be left out
            assert (row.accuracy.agreement_with_reference or 0) >= 0.9
            assert (row.memory.peak_rss_bytes or 0) > 10_000_000
            assert Samples.from_arrays(results.arrays, row.key).sha256 == row.samples.sha256
        assert {skip.subject.runtime for skip in results.skipped} <= {*gpu, "tflite_runtime"} - set(
            TFLITE
        )  # where there is none
        assert (tmp_path / "report.md").read_text().count("mnist_cnn@tiny") >= 11

    @pytest.mark.slow
    def test_a_folder_of_ones_own_is_the_test_and_a_picture_that_is_none_counts_as_wrong(
        self, tiny: Tiny, tmp_path: Path
    ) -> None:
        folder = tmp_path / "mine"
        for label in "37":
            shutil.copytree(tiny.data / "test" / label, folder / label)
        next((folder / "3").iterdir()).write_text("no picture")
        options = ["--data", str(folder), "--runtime", "litert", "--seconds", "0.01", "--output", str(tmp_path / "b.json")]
        result = run_module("bench", "run", tiny.artifact("float32.tflite"), *options, cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        assert result.stdout.count("counted as wrong") == 1
        accuracy = load_results(tmp_path / "b.json").rows[0].accuracy
        scored = classify(tiny.artifact("float32.tflite"), "--score", "--json", folder, cwd=tmp_path)
        assert accuracy is not None
        assert accuracy.total == 16
        assert accuracy.correct == json.loads(scored.stdout)["correct"] <= 15

    @pytest.mark.slow
    def test_a_file_that_a_runtime_refuses_is_a_skipped_row_with_the_reason(self, tiny: Tiny, tmp_path: Path) -> None:
        import flatbuffers

        from convert.formats.card_writer import embed
        from convert.formats.tflite_reader import read_model
        from device.formats.model_file import read_card

        whole = tiny.artifact("float32.tflite")
        card = read_card(whole)
        assert card is not None
        broken = tmp_path / "broken.tflite"
        model = read_model(whole.read_bytes())
        model.operatorCodes[0].version = 999  # in order, but of no runtime that there is
        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), b"TFL3")
        broken.write_bytes(bytes(builder.Output()))
        kept = {name: value for name, value in card.document.items() if name != "model_sha256"}
        embed(broken, {**kept, "name": "broken"})  # a row of its own
        output = tmp_path / "bench.json"
        result = run_module("bench", "run", broken, whole, "--seconds", "0.01", "--output", output, cwd=tiny.workspace)
        results = load_results(output)
        refused = [skip for skip in results.skipped if skip.subject.model != ANY]  # ANY: runtimes whose GPU is not here
        assert len(refused) == len(TFLITE), result.stdout  # one a TFLite runtime
        assert result.code == 1, result.stderr  # it was named, and measured nowhere
        assert f"failed: {broken}: was measured in no runtime" in result.stderr
        assert {row.artifact.path for row in results.rows} == {str(whole)}

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["run"], "holds no artifacts"),
            (["run", "nowhere.tflite"], "no such file"),
            (["run", "--runtime", "tvm", "nowhere.tflite"], "nowhere.tflite"),
            (["report", "nowhere.json"], "no such file"),
        ],
    )
    def test_bad_input_is_one_line_and_code_2(self, tmp_path: Path, arguments: list[str], found: str) -> None:
        result = run_module("bench", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line

    def test_an_unknown_runtime_is_named(self, tiny: Tiny) -> None:
        result = run_module("bench", "run", "--runtime", "tvm", tiny.artifact("int8.tflite"), cwd=tiny.workspace)
        assert result.code == 2
        assert "unknown runtime 'tvm'" in result.error_line

    def test_a_damaged_bench_json_is_refused_before_measuring_and_stays(self, tiny: Tiny, tmp_path: Path) -> None:
        output = tmp_path / "bench.json"
        output.write_text("{")
        result = run_module("bench", "run", "--output", output, cwd=tiny.workspace)
        assert result.code == 2
        assert "bench.json" in result.error_line
        assert output.read_text() == "{"
