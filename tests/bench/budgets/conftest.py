"""Fixtures of the tests of budgets."""

from pathlib import Path

import pytest

from bench.artifacts.find import Artifact, find_artifacts
from bench.budgets.baseline import Baseline, save
from tests.support.baselines import READY, measured, rules


@pytest.fixture
def artifact() -> Artifact:
    return find_artifacts([READY / "mnist_cnn.int8.tflite"])[0]


@pytest.fixture
def baseline(artifact: Artifact, tmp_path: Path) -> Baseline:
    return save(tmp_path / "baseline", [artifact], measured(artifact), rules(tmp_path))
