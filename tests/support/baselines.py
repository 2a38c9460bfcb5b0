"""Baselines to compare with, and builds that differ from them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.artifacts.find import Artifact, find_artifacts
from bench.budgets.rules import Budgets, load_budgets
from bench.results.measurement import AnswerCounts, Measurement
from bench.results.row import ArtifactFile, Startup, Subject
from bench.results.samples import Samples
from bench.results.store import Results
from common.files import sha256_of
from convert.formats.card_writer import embed
from tests.conftest import ROOT
from tests.support import results_builder
from tests.support.models.model_files import own_bytes

READY = ROOT / "data" / "ready"
COMMITTED = ROOT / "data" / "baseline"
HERE = replace(results_builder.ENVIRONMENT, host="box", cpu="Celeron", os="Linux")
RULES = '[[budget]]\nmodel = "mnist_cnn"\nmax_regression = 0.05\nmax_top1_regression = 0.005\n'
COUNTS = '[[budget]]\nmodel = "mnist_cnn"\nmax_instruction_regression = 0.01\n'
PICTURES = 10_000


def changed(found: Artifact, folder: Path, **card: Any) -> Artifact:
    """Write an artifact with another card: another hash, the same model."""
    return written(found, folder, own_bytes(found.path), note="changed", **card)


def written(found: Artifact, folder: Path, model: bytes, **card: Any) -> Artifact:
    folder.mkdir(exist_ok=True)
    path = folder / found.path.name
    path.write_bytes(model)
    embed(path, {**{k: v for k, v in found.card.document.items() if k != "model_sha256"}, **card})
    return find_artifacts([path])[0]


def measured(found: Artifact, wrong: int = 70, runtime_version: str = "2.0") -> Results:
    answers = np.zeros(PICTURES, np.uint16)
    answers[:wrong] = 1
    latency = tuple(np.full(100, 1_000_000) for _ in range(3))
    results = Results()
    row = Measurement(
        Subject("mnist_cnn", None, "int8", "tflite", "litert", "host", "cpu", 1),
        ArtifactFile(str(found.path), sha256_of(found.path), found.path.stat().st_size),
        runtime_version,
        AnswerCounts(PICTURES - wrong, PICTURES, None, 0, "d" * 64),
        Startup(1.0, 2.0, 3.0),
        32,
        50_000_000,
        Samples(latency, answers),
    )
    results.merge([row], [], HERE)
    return results


def rules(tmp_path: Path, text: str = RULES) -> Budgets:
    path = tmp_path / "budgets.toml"
    path.write_text(text)
    return load_budgets(path)
