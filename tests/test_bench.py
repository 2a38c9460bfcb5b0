"""The bench: statistics, rows, results on disk, the command."""

import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import stats
from bench.measurement import ANY, Accuracy, Artifact, Measurement, Samples, Skipped, Startup, Subject, latency_json
from bench.report import COLUMNS, markdown, milliseconds, table
from bench.results import Results, load_results
from bench.runtimes import Accelerated, find_runtime, runtime_names
from bench.worker import answer_pictures
from device.classify import EdgeproofError
from tests.conftest import CONVERTED, ROOT, Tiny, classify, run, run_room

ENVIRONMENT = {"cpu": "a cpu", "cores": 2, "cpu_flags": [], "memory_bytes": 2**30, "os": "an os", "python": "3.11"}


def steady(queries: int, ns: int = 1_000_000, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(ns, ns + ns // 100, queries)


def measurement(runtime: str = "litert", path: str = "m.tflite", **changes: Any) -> Measurement:
    return Measurement(
        subject=Subject("m", None, "int8", "tflite", runtime, changes.get("device", "board"), "cpu", 1),
        artifact=Artifact(path, "0" * 64, 1234),
        runtime_version="1.0",
        accuracy=Accuracy(95, 100, 99, 100, "d" * 64),
        startup=Startup(1.0, 2.0, 3.0),
        warmup_calls=32,
        peak_rss_bytes=50_000_000,
        samples=changes.get("samples", Samples((steady(50), steady(60)), np.zeros(100, np.uint16))),
    )


class TestEarlyStopping:
    @pytest.mark.parametrize(("queries", "discards"), [(6_001, 545), (65_259, 6_346)])
    def test_discards_what_loadgen_discards(self, queries: int, discards: int) -> None:
        assert stats.discarded(queries, 0.90) == discards

    @pytest.mark.parametrize(("percentile", "least"), [(0.90, 64), (0.95, 130), (0.99, 662)])
    def test_needs_as_many_queries_as_loadgen(self, percentile: float, least: int) -> None:
        assert stats.discarded(least, percentile) == 0
        assert stats.discarded(least - 1, percentile) is None

    def test_estimates_the_slowest_of_the_rest(self) -> None:
        samples = np.arange(6_001)
        assert stats.early_stopping_percentile_ns(samples, 0.90) == 6_000 - 545

    def test_a_percentile_that_the_sample_cannot_carry_is_none(self) -> None:
        latency = latency_json(Samples((steady(100),), np.zeros(1, np.uint16)), 16)
        assert latency["p90_ms"] is not None
        assert latency["p99_ms"] is None


class TestMedian:
    def test_interval_covers_the_median_and_grows_with_unlike_processes(self) -> None:
        alike = [steady(500, 1_000, seed) for seed in range(3)]
        unlike = [steady(500, ns, 1) for ns in (1_000, 1_200, 1_400)]
        low, high = stats.median_ci95_ns(alike)
        wide_low, wide_high = stats.median_ci95_ns(unlike)
        assert low <= np.median(np.concatenate(alike)) <= high
        assert wide_low <= 1_010
        assert wide_high >= 1_400
        assert high - low < wide_high - wide_low


class TestValidity:
    def test_too_few_queries_are_said(self) -> None:
        latency = latency_json(Samples((steady(40),), np.zeros(1, np.uint16)), 16)
        assert (latency["valid"], "too few" in latency["why_invalid"]) == (False, True)

    def test_a_drifting_process_is_said(self) -> None:
        drifting = (np.linspace(1, 2, 800) * 1_000_000).astype(np.int64)
        latency = latency_json(Samples((drifting,), np.zeros(1, np.uint16)), 16)
        assert "unstable" in latency["why_invalid"]

    def test_a_steady_sample_is_valid(self) -> None:
        latency = latency_json(Samples((steady(400), steady(400, seed=1)), np.zeros(1, np.uint16)), 16)
        assert (latency["valid"], latency["why_invalid"]) == (True, None)


class TestRows:
    def test_have_the_keys_that_the_design_promises(self) -> None:
        row = measurement().to_json()
        expected = {
            "": "model name variant format runtime runtime_version device accelerator threads",
            "artifact": "path sha256 size_bytes",
            "accuracy": "correct total top1 ci95 agreement_with_reference dataset_sha256",
            "latency": "queries processes warmup_calls p50_ms p90_ms p99_ms min_ms ci95_p50_ms valid why_invalid",
            "startup": "import_ms load_ms first_inference_ms",
            "memory": "peak_rss_bytes",
            "samples": "file key count sha256",
        }
        for part, names in expected.items():
            holder = row[part] if part else row
            assert set(names.split()) <= set(holder)
        assert json.loads(json.dumps(row, allow_nan=False)) == row

    def test_samples_survive_the_file(self) -> None:
        samples = measurement().samples
        again = Samples.from_arrays(samples.to_arrays("k"), "k")
        assert [len(process) for process in again.latency_ns] == [50, 60]
        assert again.sha256 == samples.sha256

    @pytest.mark.parametrize(
        ("value", "shown"), [(None, "–"), (0.01234, "0.0123"), (1.0, "1.00"), (123.4, "123"), (12_345.6, "12,346")]
    )
    def test_milliseconds_have_three_digits(self, value: float | None, shown: str) -> None:
        assert milliseconds(value) == shown


class TestResults:
    def test_a_new_row_replaces_the_one_with_the_same_key(self, tmp_path: Path) -> None:
        results = Results()
        results.merge([measurement("litert"), measurement("tflite_runtime")], [], ENVIRONMENT)
        newer = measurement("litert", samples=Samples((steady(70),), np.ones(100, np.uint16)))
        results.merge([newer], [], ENVIRONMENT)
        results.save(tmp_path / "bench.json")
        again = load_results(tmp_path / "bench.json")
        assert [row["samples"]["count"] for row in again.rows] == [70, 110]
        for row in again.rows:
            assert Samples.from_arrays(again.arrays, row["samples"]["key"]).sha256 == row["samples"]["sha256"]

    def test_a_row_that_is_measured_is_no_longer_skipped(self) -> None:
        results = Results()
        results.merge([], [Skipped(measurement().subject, "not there")], ENVIRONMENT)
        assert len(results.skipped) == 1
        results.merge([measurement()], [], ENVIRONMENT)
        assert (len(results.rows), len(results.skipped)) == (1, 0)

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", "no readable JSON"),
            ('{"schema": 1, "measurem', "no readable JSON"),
            ("[]", "schema is None"),
            ('{"schema": 99}', "schema is 99"),
            ('{"schema": 1}', "damaged"),
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path: Path, text: str, found: str) -> None:
        path = tmp_path / "bench.json"
        path.write_text(text)
        with pytest.raises(EdgeproofError, match=found) as error:
            load_results(path)
        assert "bench.json" in str(error.value)

    def test_the_report_has_a_line_a_row_and_the_reason_of_each_skip(self) -> None:
        results = Results()
        skipped = Skipped(measurement("litert").subject, "no such op")
        results.merge([measurement("tflite_runtime")], [skipped], ENVIRONMENT)
        text = markdown(results)
        assert "tflite_runtime 1.0" in text
        assert "no such op" in text
        assert [len(cells) for cells in table(results.rows)] == [len(COLUMNS)]


SCORES_SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from bench.artifacts import find_artifacts
from bench.runtimes import find_runtime
runtime, found = find_runtime(sys.argv[1]), find_artifacts([Path(sys.argv[2])])[0]
runtime.import_library()
session = runtime.open_session(found.path, found.card, threads=1)
pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
print(json.dumps(session.scores(session.infer(session.tensor(pixels))).tolist()))
"""


@lru_cache
def scores_in(runtime: str, path: Path) -> list[float]:
    """Return a runtime's scores of one noise picture; in its own process, since TFLite runtimes break one another."""
    result = run(["-c", SCORES_SCRIPT, runtime, str(path)], ROOT)
    assert result.code == 0, result.stderr
    scores: list[float] = json.loads(result.stdout.splitlines()[-1])
    return scores


class TestRuntimes:
    @pytest.mark.parametrize("name", [name for name in runtime_names() if not isinstance(find_runtime(name), Accelerated)])
    def test_opens_its_format_and_answers_as_keras(self, tiny: Tiny, name: str) -> None:
        file_format = sorted(find_runtime(name).FORMATS)[0]
        keras_file = tiny.folder / "mnist_cnn.keras"
        path = keras_file if file_format == "keras" else tiny.artifact(f"float32.{file_format}")
        assert scores_in(name, path) == pytest.approx(scores_in("keras", keras_file), abs=1e-5)

    def test_an_unknown_one_lists_those_there_are(self) -> None:
        with pytest.raises(EdgeproofError, match="onnxruntime"):
            find_runtime("tvm")


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
def test_a_slow_row_answers_the_first_size_that_fits(monkeypatch: pytest.MonkeyPatch, picture_s: float, size: int) -> None:
    now = iter(range(10**9))
    monkeypatch.setattr("bench.worker.time.perf_counter_ns", lambda: next(now) * 20 * picture_s * 1e9)
    pictures = np.zeros((1_000, 2, 2, 1), np.uint8)
    answers = answer_pictures(SlowSession(), pictures, (1_000, 500, 200), limit_s=60)
    assert (len(answers), set(answers.tolist())) == (size, {1})


class TestCommand:
    def test_measures_every_artifact_in_every_runtime_and_writes_the_report(self, tiny: Tiny, tmp_path: Path) -> None:
        output = tmp_path / "bench.json"
        result = run_room("bench", "run", "--seconds", "0.05", "--output", output, cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        results = load_results(output)
        keys = {(row["variant"], row["format"], row["runtime"]) for row in results.rows}
        runtimes = {"tflite": ("litert", "tflite_runtime"), "onnx": ("onnxruntime",)}
        converted = {(v.name, v.format, runtime) for v in CONVERTED for runtime in runtimes[v.format]}
        gpu = [name for name in runtime_names() if isinstance(find_runtime(name), Accelerated)]
        assert {key for key in keys if key[2] not in gpu} == {*converted, ("float32", "keras", "keras")}
        for row in results.rows:
            assert row["accuracy"]["total"] == 80
            assert row["latency"]["queries"] >= 64
            assert row["latency"]["processes"] == 3
            assert row["accuracy"]["agreement_with_reference"] >= 0.9
            assert row["memory"]["peak_rss_bytes"] > 10_000_000
            assert Samples.from_arrays(results.arrays, row["samples"]["key"]).sha256 == row["samples"]["sha256"]
        assert {skip["runtime"] for skip in results.skipped} <= set(gpu)  # where there is none
        assert (tmp_path / "report.md").read_text().count("mnist_cnn@tiny") >= 11

    def test_a_folder_of_ones_own_is_the_test_and_a_picture_that_is_none_counts_as_wrong(
        self, tiny: Tiny, tmp_path: Path
    ) -> None:
        folder = tmp_path / "mine"
        for label in "37":
            shutil.copytree(tiny.data / "test" / label, folder / label)
        next((folder / "3").iterdir()).write_text("no picture")
        options = ["--data", str(folder), "--runtime", "litert", "--seconds", "0.01", "--output", str(tmp_path / "b.json")]
        result = run_room("bench", "run", tiny.artifact("float32.tflite"), *options, cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        assert result.stdout.count("counted as wrong") == 1
        accuracy = load_results(tmp_path / "b.json").rows[0]["accuracy"]
        scored = classify(tiny.artifact("float32.tflite"), "--score", "--json", folder, cwd=tmp_path)
        assert accuracy["total"] == 16
        assert accuracy["correct"] == json.loads(scored.stdout)["correct"] <= 15

    def test_a_file_that_a_runtime_refuses_is_a_skipped_row_with_the_reason(self, tiny: Tiny, tmp_path: Path) -> None:
        import flatbuffers

        from convert.card import embed
        from convert.tflite_file import read_model
        from device.classify import read_card

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
        result = run_room("bench", "run", broken, whole, "--seconds", "0.01", "--output", output, cwd=tiny.workspace)
        results = load_results(output)
        refused = [skip for skip in results.skipped if skip["model"] != ANY]  # ANY: runtimes whose GPU is not here
        assert len(refused) == 2, result.stdout  # one a TFLite runtime
        crashed = any("its process ended" in row["reason"] for row in refused)
        assert result.code == (1 if crashed else 0), result.stderr
        assert {row["artifact"]["path"] for row in results.rows} == {str(whole)}

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
        result = run_room("bench", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line

    def test_an_unknown_runtime_is_named(self, tiny: Tiny) -> None:
        result = run_room("bench", "run", "--runtime", "tvm", tiny.artifact("int8.tflite"), cwd=tiny.workspace)
        assert result.code == 2
        assert "unknown runtime 'tvm'" in result.error_line

    def test_a_damaged_bench_json_is_refused_before_measuring_and_stays(self, tiny: Tiny, tmp_path: Path) -> None:
        output = tmp_path / "bench.json"
        output.write_text("{")
        result = run_room("bench", "run", "--output", output, cwd=tiny.workspace)
        assert result.code == 2
        assert "bench.json" in result.error_line
        assert output.read_text() == "{"
