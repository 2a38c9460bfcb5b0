"""Small results for tests of code that reads bench.json: rows with given latencies and answers, without a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine.conditions import Conditions
from bench.machine.environment import Environment
from bench.results.evaluation_set import collect
from bench.results.instruction_counts import Instructions
from bench.results.measurement import AnswerCounts, Measurement
from bench.results.row import ArtifactFile, Startup, Subject
from bench.results.samples import Samples
from bench.results.store import Results, load_results

PICTURES = 2_000
CLASSES = tuple("0123456789")
ENVIRONMENT = Environment(
    host="board",
    cpu="a cpu",
    cpu_flags=("avx2", "avx512_vnni"),
    cores=2,
    memory_bytes=2**30,
    os="an os",
    python="3.11",
    git_commit="c0ffee" * 6 + "cafe",
    health={"load_1min": 0.1},
)


def make_row(
    variant: str = "float32",
    runtime: str = "litert",
    p50_ms: float = 1.0,
    wrong: Sequence[int] = (),
    *,
    model: str = "m",
    size_bytes: int = 400_000,
    queries: int = 200,
    processes: int = 3,
    spread: float = 0.01,
    threads: int = 1,
    version: str = "1.0",
    seed: int = 0,
    disturbed: bool = False,
    total: int = PICTURES,
    turns: int = 0,
) -> Measurement:
    """Return a row whose processes' medians differ by `spread`, with wrong answers to the pictures at `wrong`.

    With `turns`, each process took this number of turns of equal size. A row that was `disturbed` is not valid.
    """
    random = np.random.default_rng([seed, len(variant), len(runtime)])
    middle_ns = p50_ms * 1e6 * np.exp(np.linspace(-spread, spread, processes))
    latency_ns = tuple((ns * random.normal(1, 0.01, queries)).astype(np.int64) for ns in middle_ns)
    answers = labels(total).astype(np.uint16)
    missed = np.array([place for place in wrong if place < total], np.int64)
    answers[missed] = (answers[missed] + 1) % 10
    scores = None if variant.startswith("int8") else np.full(total, 0.97, np.float32)
    file_format = {"onnxruntime": "onnx", "keras": "keras"}.get(runtime, "tflite")
    return Measurement(
        subject=Subject(model, None, variant, file_format, runtime, "host", "cpu", threads),
        artifact=ArtifactFile(__file__, "0" * 64, size_bytes),
        runtime_version=version,
        answers=AnswerCounts(total - len(missed), total, None, 0, "d" * 64),
        startup=Startup(10.0, 5.0, 2.0),
        warmup_calls=32,
        peak_rss_bytes=50_000_000,
        samples=Samples(
            latency_ns,
            answers,
            top_scores=scores,
            turn_queries=tuple(np.full(turns, queries // turns) for _ in latency_ns) if turns else None,
        ),
        conditions=(Conditions(waited=0.3),) * processes if disturbed else (),
    )


def counted(steady_inference: int, core: str = "cortex-a72") -> Instructions:
    """Return a count whose other phases have no instructions."""
    steady_range = (steady_inference, steady_inference)
    return Instructions(core, "QEMU 7.2", "0", 0, 0, 0, 0, steady_inference, steady_range, 1, None)


def labels(total: int = PICTURES) -> Any:
    """Return the classes of the test pictures (N,), in turn."""
    return np.arange(total) % 10


def make_results(
    rows: Sequence[Measurement], classes: Sequence[str] = CLASSES, environment: Environment | None = None
) -> Results:
    """Return the results of one run of these rows, with the labels of the pictures."""
    results = Results()
    total = max(PICTURES, *(len(row.samples.predictions) for row in rows))
    pictures = np.random.default_rng(0).integers(0, 256, (total, 8, 8, 1), np.uint8)
    evaluation_sets = [
        collect(
            model,
            "d" * 64,
            labels(total),
            classes,
            pictures,
            [r.samples.predictions for r in rows if r.subject.model == model],
        )
        for model in dict.fromkeys(row.subject.model for row in rows)
    ]
    results.merge(rows, [], environment or ENVIRONMENT, evaluation_sets)
    return results


def saved(path: Path, results: Results) -> Results:
    """Write results and read them again."""
    results.save(path)
    return load_results(path)


def usual(**changes: Any) -> Results:
    """Return float32 and an int8 with half its time, a quarter of its size, and one more wrong answer."""
    return make_results(
        [
            make_row("float32", p50_ms=1.0, wrong=range(10)),
            make_row("int8", p50_ms=0.5, wrong=range(11), size_bytes=100_000, **changes),
        ]
    )


def steady(queries: int, ns: int = 1_000_000, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(ns, ns + ns // 100, queries)


def measurement(runtime: str = "litert", path: str = "m.tflite", **changes: Any) -> Measurement:
    return Measurement(
        subject=Subject("m", None, "int8", "tflite", runtime, changes.get("device", "board"), "cpu", 1),
        artifact=ArtifactFile(path, "0" * 64, 1234),
        runtime_version="1.0",
        answers=AnswerCounts(95, 100, 99, 100, "d" * 64),
        startup=Startup(1.0, 2.0, 3.0),
        warmup_calls=32,
        peak_rss_bytes=50_000_000,
        samples=changes.get("samples", Samples((steady(50), steady(60)), np.zeros(100, np.uint16))),
    )
