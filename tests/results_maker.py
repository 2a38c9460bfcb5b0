"""Small results for the tests of what reads bench.json: rows of set latencies and answers, without any model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.evidence import collect
from bench.measurement import Accuracy, Artifact, Measurement, Samples, Startup, Subject
from bench.results import Results, load_results

PICTURES = 2_000
CLASSES = tuple("0123456789")
ENVIRONMENT = {
    "host": "board",
    "cpu": "a cpu",
    "cpu_flags": ["avx2", "avx512_vnni"],
    "cores": 2,
    "memory_bytes": 2**30,
    "os": "an os",
    "python": "3.11",
    "governor": None,
    "git_commit": "c0ffee" * 6 + "cafe",
    "health": {"load_1min": 0.1},
}


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
    drifting: bool = False,
    total: int = PICTURES,
) -> Measurement:
    """Return a row whose processes' medians lie `spread` apart and which misses the pictures at `wrong`."""
    random = np.random.default_rng([seed, len(variant), len(runtime)])
    drift = np.linspace(1, 2, queries) if drifting else np.ones(queries)
    middle_ns = p50_ms * 1e6 * np.exp(np.linspace(-spread, spread, processes))
    latency_ns = tuple((ns * drift * random.normal(1, 0.01, queries)).astype(np.int64) for ns in middle_ns)
    answers = labels()[:total].astype(np.uint16)
    missed = np.array([place for place in wrong if place < total], np.int64)
    answers[missed] = (answers[missed] + 1) % 10
    scores = None if variant.startswith("int8") else np.full(total, 0.97, np.float32)
    file_format = {"onnxruntime": "onnx", "keras": "keras"}.get(runtime, "tflite")
    return Measurement(
        subject=Subject(model, None, variant, file_format, runtime, "host", "cpu", threads),
        artifact=Artifact(__file__, "0" * 64, size_bytes),  # a file that exists: rows of files that are gone are dropped
        runtime_version=version,
        accuracy=Accuracy(total - len(missed), total, None, 0, "d" * 64),
        startup=Startup(10.0, 5.0, 2.0),
        warmup_calls=32,
        peak_rss_bytes=50_000_000,
        samples=Samples(latency_ns, answers, top_scores=scores),
    )


def labels() -> Any:
    """Return the classes of the test pictures (N,), in turn."""
    return np.arange(PICTURES) % 10


def make_results(
    rows: Sequence[Measurement], classes: Sequence[str] = CLASSES, environment: dict[str, Any] | None = None
) -> Results:
    """Return the results of one run of these rows, with what their answers are held against."""
    results = Results()
    pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, 8, 8, 1), np.uint8)
    evidence = [
        collect(
            model, "d" * 64, labels(), classes, pictures, [r.samples.predictions for r in rows if r.subject.model == model]
        )
        for model in dict.fromkeys(row.subject.model for row in rows)
    ]
    results.merge(rows, [], environment or ENVIRONMENT, evidence)
    return results


def saved(path: Path, results: Results) -> Results:
    """Write results and read them again."""
    results.save(path)
    return load_results(path)
