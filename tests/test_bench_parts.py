"""Thread advice, sustained loads, profiles, and the whole path on real artifacts."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import profiling, stats, sustain
from bench.histogram import Histogram
from bench.measurement import Accuracy, Artifact, Measurement, Samples, Startup, Subject, path_json
from bench.profiling import Event, Operation
from bench.report import markdown
from bench.results import Results
from bench.thread_advice import advice, best
from bench.watch import Conditions
from tests.conftest import ROOT, Tiny, run, run_room
from tests.test_bench_given import two_input_model
from tests.test_device_classify import FakeClock


def row(threads: int, p50_ms: float, reach: float = 0.02, valid: bool = True, **changes: Any) -> dict[str, Any]:
    interval = [p50_ms * (1 - reach), p50_ms * (1 + reach)]
    latency = {"p50_ms": p50_ms, "ci95_p50_ms": interval, "valid": valid}
    subject = {"model": "m", "name": None, "variant": "int8", "format": "tflite", "runtime": "litert", "device": "host"}
    return {**subject, "accelerator": "cpu", "threads": threads, "latency": latency, **changes}


class TestThreadAdvice:
    def test_more_threads_are_advised_where_their_whole_interval_is_lower(self) -> None:
        (sentence,) = advice([row(2, 1.2), row(1, 2.0)])
        assert "Use 2" in sentence
        assert "1.67 times as fast, at least 1.60" in sentence
        assert "1.2 times the CPU time" in sentence

    def test_one_thread_is_advised_where_the_intervals_touch(self) -> None:
        (sentence,) = advice([row(1, 2.0, 0.1), row(2, 1.7, 0.1)])
        assert "Use 1: more are not distinguishably faster" in sentence

    def test_a_row_that_is_not_valid_is_not_chosen(self) -> None:
        assert best([row(1, 2.0), row(2, 1.0, valid=False), row(4, 1.5)])["threads"] == 4

    def test_without_a_sweep_nothing_is_advised(self) -> None:
        assert advice([row(1, 2.0), row(2, 1.0, runtime="onnxruntime")]) == []


class TestSustain:
    def test_each_minute_is_told_as_it_ends_and_the_last_may_be_shorter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = FakeClock([500_000_000] * 1_000)
        monkeypatch.setattr("bench.sustain.time.perf_counter_ns", clock.now_ns)
        told = list(sustain.minutes(clock.infer, [1], duration_ns=150_000_000_000))
        assert [(minute.number, minute.seconds, minute.queries) for minute in told] == [
            (1, 60, 120),
            (2, 60, 120),
            (3, 30, 60),
        ]

    def test_an_interrupted_minute_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slices = iter([np.array([5, 6]), np.array([7])])

        def time_queries(*_: Any) -> Any:
            try:
                return next(slices)
            except StopIteration:
                raise KeyboardInterrupt from None

        monkeypatch.setattr("bench.sustain.time_queries", time_queries)
        (minute,) = sustain.minutes(print, [1], duration_ns=10**12)
        assert (minute.queries, minute.p90_ms) == (3, None)
        assert minute.p50_ms == pytest.approx(6e-6, rel=1e-3)

    def test_counted_latencies_have_the_percentiles_of_kept_ones(self) -> None:
        samples = np.random.default_rng(0).lognormal(11, 0.3, 20_001).astype(np.int64)
        counted = Histogram()
        for part in np.array_split(samples, 7):
            counted.add(part)
        assert (len(counted), counted.min_ns) == (len(samples), samples.min())
        assert counted.median_ns() == pytest.approx(float(np.median(samples)), rel=1e-3)
        for share in (0.90, 0.99):
            kept = stats.early_stopping_percentile_ns(samples, share)
            assert counted.early_stopping_percentile_ns(share) == pytest.approx(kept, rel=1e-3)

    def test_counting_more_latencies_takes_no_more_memory(self) -> None:
        counted = Histogram()
        sizes = []
        for _ in range(3):
            counted.add(np.arange(1, 100_000, dtype=np.int64) ** 2)
            sizes.append(sum(sys.getsizeof(value) for value in vars(counted).values()))
        assert sizes[0] == sizes[1] == sizes[2] < 1_000_000

    def minute(self, number: int, p50_ms: float, **conditions: Any) -> sustain.Minute:
        return sustain.Minute(number, 60, 1000, p50_ms, p50_ms, None, p50_ms, Conditions(**conditions))

    @pytest.mark.parametrize(
        ("last", "words"),
        [
            ({"throttled": False}, ["not throttled", "no more than 10 %"]),
            ({"throttled": True}, ["throttled from minute 3 on"]),
            ({"throttled": False, "frequency_mhz": (2_000.0, 1_200.0)}, ["clock fell to 1,200 of 2,000 MHz"]),
        ],
    )
    def test_the_verdict_names_throttling_from_what_the_machine_tells(self, last: dict[str, Any], words: list[str]) -> None:
        told = [self.minute(1, 1.0, throttled=False), self.minute(2, 1.0, throttled=False), self.minute(3, 1.0, **last)]
        assert all(each in sustain.verdict(told) for each in words)

    def test_a_machine_that_tells_nothing_is_not_called_unthrottled_and_slowing_down_is_said(self) -> None:
        verdict = sustain.verdict([self.minute(1, 1.0), self.minute(2, 1.3)])
        assert "throttling unknown" in verdict
        assert "rose by 30 % until minute 2" in verdict

    def test_a_minute_survives_its_json(self) -> None:
        minute = self.minute(1, 1.0, frequency_mhz=(1.0, 2.0))
        assert sustain.Minute.from_json(json.loads(json.dumps(minute.to_json()))) == minute


class TestProfile:
    def test_events_are_summed_by_operation_in_the_order_of_execution(self) -> None:
        events = [Event(1, "b", "Conv", "x", 5.0), Event(0, "a", "Mul", "x", 1.0), Event(1, "b", "Conv", "x", 7.0)]
        found = profiling.operations(events, runs=2)
        assert found == [Operation("a", "Mul", "x", 0.5, 2), Operation("b", "Conv", "x", 6.0, 2)]

    def test_the_table_has_the_slowest_first_and_the_sum(self) -> None:
        cells = profiling.table([Operation("a", "Mul", "x", 1.0, 2), Operation("b", "Conv", "x", 3.0, 2)])
        assert [line[0] for line in cells] == ["b", "a", "sum of 2 operations"]
        assert cells[0][-1] == "75.0"

    def test_onnxruntime_tells_each_operation_of_the_model(self, tmp_path: Path) -> None:
        model = two_input_model(tmp_path / "two.onnx")
        result = run_room("bench", "run", model, "--seconds", "0.02", "--profile", "--output", "b.json", cwd=tmp_path)
        assert result.code == 0, result.stderr
        told = json.loads((tmp_path / "build" / "profile" / "two-given.onnx-onnxruntime-host-cpu-1.json").read_text())
        assert [operation["kind"] for operation in told["operations"]] == ["Cast", "Add", "MatMul"]
        assert "CPUExecutionProvider" in result.stdout

    def test_litert_tells_each_operation_and_tflite_runtime_that_it_cannot(self, tiny: Tiny, tmp_path: Path) -> None:
        options = ["--seconds", "0.02", "--profile", "--output", str(tmp_path / "b.json")]
        result = run_room("bench", "run", tiny.artifact("float32.tflite"), *options, cwd=tiny.workspace)
        assert result.code == 0, result.stderr
        path = tiny.workspace / "build" / "profile" / "mnist_cnn@tiny-float32.tflite-litert-host-cpu-1.json"
        operations = json.loads(path.read_text())["operations"]
        assert sum("Convolution" in operation["kind"] for operation in operations) == 3
        assert {operation["by"] for operation in operations} <= {"XNNPACK", "LiteRT"}
        assert "tflite_runtime has no profiler" in result.stdout


class TestReport:
    def test_has_the_threads_to_use_the_whole_path_and_what_is_unknown(self) -> None:
        results = Results()
        rows = [whole_row(threads, ns) for threads, ns in ((1, 2_000_000), (2, 1_000_000))]
        results.merge(rows, [], {"cpu": "c", "cores": 2, "cpu_flags": [], "memory_bytes": 1, "os": "o", "python": "3"})
        text = markdown(results)
        assert "Use 2 where a core is free: 2.00 times as fast" in text
        assert "Unknown, since this machine does not tell it: frequency changed, throttled." in text
        assert "| m on board | int8.tflite | litert 1.0, 2 threads | 1.00 | 2.00 | 3.00 | 4.00 | 0.100 |" in text


def whole_row(threads: int, ns: int) -> Measurement:
    spans = np.array([[100_000, 200_000, ns, 50_000, ns + 350_000]] * 3, np.int64)
    return Measurement(
        subject=Subject("m", None, "int8", "tflite", "litert", "board", "cpu", threads),
        artifact=Artifact("m.tflite", "0" * 64, 1234),
        runtime_version="1.0",
        accuracy=Accuracy(0, 0, None, 0, None),
        startup=Startup(1.0, 2.0, 3.0, 4.0),
        warmup_calls=32,
        peak_rss_bytes=1,
        samples=Samples((np.full(100, ns, np.int64),), np.empty(0, np.uint16), spans),
        conditions=(Conditions(elsewhere=0.0),),
    )


PATH_SCRIPT = """
import json, sys
from pathlib import Path
from bench.artifacts import find_artifacts
from bench.runtimes import find_runtime
from bench.whole_path import time_pictures
runtime, found = find_runtime(sys.argv[1]), find_artifacts([Path(sys.argv[2])])[0]
runtime.import_library()
session = runtime.open_session(found.path, found.card, threads=1)
print(json.dumps(time_pictures(session, found.card, sys.argv[3:]).tolist()))
"""


class TestWholePath:
    @pytest.mark.parametrize(("runtime", "key"), [("litert", "int8.tflite"), ("onnxruntime", "float32.onnx")])
    def test_decode_prepare_invoke_and_post_process_are_the_end_to_end_time(
        self, tiny: Tiny, runtime: str, key: str
    ) -> None:
        files = sorted((tiny.data / "test").rglob("*.png"))[:10]
        result = run(["-c", PATH_SCRIPT, runtime, tiny.artifact(key), *files], ROOT)
        assert result.code == 0, result.stderr
        spans = np.array(json.loads(result.stdout.splitlines()[-1]))
        parts, whole = spans[:, :-1].sum(axis=1), spans[:, -1]
        assert (spans > 0).all()
        assert (parts <= whole).all()  # one clock, one chain: parts cannot exceed the whole
        assert np.median(parts / whole) >= 0.95

    def test_the_spans_of_the_middle_pictures_are_stored_with_what_is_unaccounted(self) -> None:
        spans = np.array([[1, 2, 3, 4, 11], [2, 2, 3, 4, 12], [3, 2, 3, 4, 14]], np.int64) * 1_000_000
        assert path_json(spans) == {
            "decode_ms": 2.0,
            "prepare_ms": 2.0,
            "invoke_ms": 3.0,
            "postprocess_ms": 4.0,
            "end_to_end_ms": 12.0,
            "unaccounted_ms": 1.0,
        }

    def test_parts_add_up_on_a_machine_of_two_paces(self) -> None:
        quick, slow = [100, 100, 1_000, 10, 1_212], [100, 100, 9_000, 10, 9_212]
        decode_slow = [5_000, 100, 1_000, 10, 6_112]
        path = path_json(np.array([quick] * 40 + [slow] * 30 + [decode_slow] * 30, np.int64))
        assert path is not None
        parts = sum(path[f"{name}_ms"] for name in ("decode", "prepare", "invoke", "postprocess"))
        assert parts + path["unaccounted_ms"] == pytest.approx(path["end_to_end_ms"])
        assert parts >= 0.95 * path["end_to_end_ms"]

    def test_without_pictures_there_is_none(self) -> None:
        assert path_json(np.empty((0, 5), np.int64)) is None
