"""Results and budgets that belong together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.budgets.kinds import KINDS
from bench.budgets.limit import Limit, Place
from bench.results.measurement import AnswerCounts, Measurement
from bench.results.row import ArtifactFile, Startup, Subject
from bench.results.samples import Samples
from bench.results.store import Results
from common.files import sha256_of
from tests.conftest import ROOT
from tests.support import results_builder

ENVIRONMENT = replace(results_builder.ENVIRONMENT, host="box", cpu="Celeron N3350", os="Linux")
PICTURES = 10_000
FACTORS = (0.98, 0.99, 1.0, 1.01, 1.02)  # of five processes


def row(variant: str = "int8", runtime: str = "litert", p50_ms: float = 1.0, wrong: int = 70, **more: Any) -> Measurement:
    random = np.random.default_rng(0)
    latency = tuple((random.normal(p50_ms * factor, p50_ms / 1e4, 800) * 1e6).astype(np.int64) for factor in FACTORS)
    answers = np.zeros(PICTURES, np.uint16)  # the label of every picture is 0
    answers[:wrong] = 1
    return Measurement(
        subject=Subject("m", more.get("name"), variant, "tflite", runtime, "host", "cpu", more.get("threads", 1)),
        artifact=ArtifactFile(str(ROOT / "README.md"), sha256_of(ROOT / "README.md"), 100_000),
        runtime_version="1.0",
        answers=AnswerCounts(PICTURES - wrong, PICTURES, None, 0, "d" * 64),
        startup=Startup(1.0, 2.0, 3.0, 4.0, tuple((1.0, 2.0 * factor, 3.0 * factor) for factor in FACTORS)),
        warmup_calls=32,
        peak_rss_bytes=50_000_000,
        samples=Samples(latency, answers),
    )


def of_file(measurement: Measurement, path: str | Path) -> Measurement:
    return replace(measurement, artifact=ArtifactFile(str(path), sha256_of(Path(path)), 100_000))


def results(*rows: Measurement) -> Results:
    found = Results()
    found.merge(rows or (row(),), [], ENVIRONMENT)
    return found


def limit(key: str = "max_p50_ms", value: float = 0.035, line: int = 1) -> Limit:
    return Limit(KINDS[key], value, Place("bench/budgets/budgets.toml", line))


def budgets_file(tmp_path: Path, *rules: str) -> Path:
    path = tmp_path / "budgets.toml"
    path.write_text("".join(f"[[budget]]\n{rule}\n" for rule in rules))
    return path
