"""Sweeps: the grid, resuming, failed points, processes and a Dask cluster."""

import json
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from device.errors import EdgeproofError
from tests.conftest import run_module
from tests.support.markdown import HOSTILE_TEXTS, as_shown, shown
from tests.support.searching.dask_cluster import dask_cluster
from train import sweep as sweeps
from train.data.dataset import DataReference
from train.models import find_model
from train.settings import apply_settings, known_settings
from train.sweep import Point, parse_grid, sweep


class Immediate(Executor):
    """Runs each submitted task immediately and records it."""

    def __init__(self) -> None:
        self.submitted: list[dict[str, Any]] = []

    def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.submitted.append(arguments[1])
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def fake_training(_model: str, settings: dict[str, Any], _reference: dict[str, Any]) -> dict[str, Any]:
    if settings.get("optimizer") == "sgd":
        raise ValueError("the loss is nan")
    accuracy = 0.9 + settings["epochs"] / 1000
    return Point(
        settings=settings, val_accuracy=accuracy, val_loss=0.1, val_total=100, seconds=1.0, parameters=93_962
    ).to_json()


class TestGrid:
    def test_is_every_combination(self) -> None:
        points = parse_grid("mnist_cnn", ["epochs=5,10", "optimizer=adam,sgd"])
        assert points == [
            {"epochs": 5, "optimizer": "adam"},
            {"epochs": 5, "optimizer": "sgd"},
            {"epochs": 10, "optimizer": "adam"},
            {"epochs": 10, "optimizer": "sgd"},
        ]

    @pytest.mark.parametrize(
        ("texts", "found"),
        [
            ([], "at least one --set"),
            (["epochs"], "expected NAME=VALUE"),
            (["epochs="], "expected NAME=VALUE"),
            (["epoch=5"], "no setting 'epoch'"),
            (["optimizer=adam;rm"], "neither a number nor a name"),
            (["epochs=abc"], r"epochs=abc'?: epochs is 'abc': expected a whole number"),
            (["epochs=2.5"], "epochs is 2.5: expected a whole number"),
            (["epochs=0"], "epochs is 0: expected at least 1"),
            (["filters=true"], "filters is True: expected a whole number"),
            (["learning_rate=NaN"], "learning_rate is nan: expected a finite number"),
            (["dropout=high"], "dropout is 'high': expected a number or null"),
            (["optimizer=lion"], "optimizer is 'lion': expected adam, adamw, rmsprop, sgd"),
        ],
    )
    def test_refuses_what_it_does_not_know(self, texts: list[str], found: str) -> None:
        with pytest.raises(EdgeproofError, match=found):
            parse_grid("mnist_cnn", texts)

    def test_settings_reach_the_recipe(self) -> None:
        settings = {"epochs": 3, "optimizer": "sgd", "rotation_degrees": 4}
        phase = apply_settings(find_model("mnist_cnn").spec, settings).phases[-1]
        assert (phase.epochs, phase.optimizer) == (3, "sgd")
        assert phase.augmentation is not None
        assert phase.augmentation.rotation_degrees == 4

    def test_the_models_own_options_are_settings(self) -> None:
        assert {"filters", "dropout"} <= set(known_settings("mnist_cnn"))


class TestSweep:
    @pytest.fixture(autouse=True)
    def _fake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sweeps, "train_point", fake_training)

    def test_does_not_train_again_what_is_finished(self, tmp_path: Path) -> None:
        first, second = Immediate(), Immediate()
        points = parse_grid("mnist_cnn", ["epochs=5,10"])
        sweep("mnist_cnn", points, first, tmp_path, print)
        done = sweep("mnist_cnn", parse_grid("mnist_cnn", ["epochs=5,10,20"]), second, tmp_path, print)
        assert first.submitted == points
        assert second.submitted == [{"epochs": 20}]
        assert [point.settings["epochs"] for point in done] == [5, 10, 20]

    def test_a_damaged_file_of_a_point_is_named(self, tmp_path: Path) -> None:
        points = parse_grid("mnist_cnn", ["epochs=5"])
        sweep("mnist_cnn", points, Immediate(), tmp_path, print)
        (file,) = (tmp_path / "points").iterdir()
        file.write_text('{"settings": {"epochs": 5}, "seconds": "long"}')
        with pytest.raises(EdgeproofError, match=rf"{file.name}: document\.seconds is 'long', expected .*: remove it"):
            sweep("mnist_cnn", points, Immediate(), tmp_path, print)

    def test_a_point_that_fails_is_a_row_with_its_reason_and_is_tried_again(self, tmp_path: Path) -> None:
        points = parse_grid("mnist_cnn", ["epochs=5", "optimizer=adam,sgd"])
        done = sweep("mnist_cnn", points, Immediate(), tmp_path, print)
        assert [point.error for point in done] == [None, "ValueError: the loss is nan"]
        again = Immediate()
        sweep("mnist_cnn", points, again, tmp_path, print)
        assert again.submitted == [points[1]]

    def test_writes_one_table_and_one_plot_best_first(self, tmp_path: Path) -> None:
        points = parse_grid("mnist_cnn", ["epochs=5,10", "optimizer=adam,sgd"])
        sweeps.write_summary("mnist_cnn", sweep("mnist_cnn", points, Immediate(), tmp_path, print), tmp_path)
        lines = (tmp_path / "sweep.md").read_text().splitlines()
        assert lines[4].startswith("| 10 | adam | 91.00 | 0.1000 | 1 | 93,962 |")
        assert "the loss is nan" in lines[-1]
        assert (tmp_path / "sweep.png").stat().st_size > 10_000
        assert len(json.loads((tmp_path / "sweep.json").read_text())) == 4

    @pytest.mark.parametrize("text", HOSTILE_TEXTS)
    def test_shows_what_a_library_said_as_it_is(self, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reason of a point that failed, its settings and the name of the model."""
        monkeypatch.setattr(sweeps, "_plot", lambda *_: None)
        sweeps.write_summary(text, [sweeps.Point({text: text}, error=f"reason {text}")], tmp_path)
        seen = shown((tmp_path / "sweep.md").read_text())
        assert seen.acts == []
        assert f"{as_shown(text)}: validation accuracy" in seen.text
        assert f"reason {as_shown(text)}" in seen.text

    def test_another_data_set_is_another_point(self, tmp_path: Path) -> None:
        points = parse_grid("mnist_cnn", ["epochs=5"])
        sweep("mnist_cnn", points, Immediate(), tmp_path, print)
        again = Immediate()
        sweep("mnist_cnn", points, again, tmp_path, print, DataReference("d", "/elsewhere"))
        assert len(again.submitted) == 1


@pytest.mark.slow
def test_an_address_without_a_scheduler_is_one_line(tmp_path: Path) -> None:
    options = ["--set", "epochs=1", "--dask", "tcp://127.0.0.1:9"]
    result = run_module("train", "sweep", "mnist_cnn", *options, cwd=tmp_path)
    assert result.code == 2
    assert "no scheduler answers" in result.error_line


GRID = ["--set", "epochs=1,2", "--set", "training_images=256", "--set", "batch_size=32"]


@pytest.mark.slow
def test_processes_train_the_grid(digit_folder: Path, tmp_path: Path) -> None:
    options = [*GRID, "--data", str(digit_folder), "--jobs", "2", "--set", "learning_rate=0.001,1e38"]
    result = run_module("train", "sweep", "mnist_cnn", *options, cwd=tmp_path)
    assert result.code == 1, result.stderr
    points = json.loads((tmp_path / "build" / "mnist_cnn@sweep" / "sweep.json").read_text())
    assert [point["error"] is None for point in points] == [True, False, True, False]
    assert {point["parameters"] for point in points if point["error"] is None} == {93_962}


@pytest.mark.slow
def test_a_dask_cluster_survives_the_death_of_a_worker(digit_folder: Path, tmp_path: Path) -> None:
    with dask_cluster(tmp_path, workers=2) as cluster:
        options = [*GRID, "--set", "dropout=0.4,0.5,0.6", "--data", str(digit_folder), "--dask", cluster.address]
        sweeping = subprocess.Popen(
            [sys.executable, "-m", "train", "sweep", "mnist_cnn", *options],
            cwd=tmp_path,
            env=cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        points = tmp_path / "build" / "mnist_cnn@sweep" / "points"
        deadline_s = time.monotonic() + 300
        while not (points.exists() and len(list(points.glob("*.json"))) >= 2):
            assert sweeping.poll() is None, sweeping.communicate()
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        cluster.kill_worker()  # in the middle
        stdout, stderr = sweeping.communicate(timeout=300)
        assert sweeping.returncode == 0, stdout + stderr
        done = json.loads((tmp_path / "build" / "mnist_cnn@sweep" / "sweep.json").read_text())
        assert [point["error"] for point in done] == [None] * 6
