"""Robust training: resume, streaming from disk, unusable pictures."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from device.errors import EdgeproofError
from tests.conftest import ROOT, Tiny, run_module, write_class_folders
from tests.support.training import PLAIN, examples
from train.data import dataset
from train.data.dataset import Dataset, empty_array
from train.examples import Examples
from train.fitting.checkpoint import Checkpoint
from train.fitting.fit import fit
from train.models import find_model
from train.spec import Augmentation, Phase, Recipe

THOROUGH = replace(
    PLAIN, epochs=3, augmentation=Augmentation(10, 0.1, 2, stroke=0.2), cosine=True, weight_average=0.9, label_smoothing=0.05
)
SETTINGS = {"model": "mnist_cnn", "seed": 3}


class PowerCut(Exception):
    """Raised to end a run at this point."""


def network_of_seed(seed: int) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    return find_model("mnist_cnn").build(10)


def pooling_name(network: Any) -> str:
    return [str(layer.name) for layer in network.layers if "pooling" in layer.name][0]  # noqa: RUF015


def phases_for(network: Any) -> Recipe:
    """Return two phases, the first with a frozen part: names of layers count up with each network that is built."""
    frozen = replace(THOROUGH, name="head", epochs=2, frozen_through=pooling_name(network), copies=2)
    return Recipe((frozen, THOROUGH))


def whole_run(pixels: Examples) -> tuple[list[Any], list[float]]:
    network = network_of_seed(3)
    history = fit(network, phases_for(network), pixels, examples(seed=1), 3)
    return network.get_weights(), [epoch.loss for epoch in history]


def history_of(workspace: Path, name: str) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = json.loads((workspace / "build" / f"mnist_cnn@{name}" / "history.json").read_text())
    return history


@pytest.fixture(scope="module")
def uninterrupted() -> tuple[list[Any], list[float]]:
    return whole_run(examples())


class TestResume:
    @pytest.mark.parametrize("cut_after", [1, 3, *(pytest.param(epoch, marks=pytest.mark.slow) for epoch in (2, 5))])
    def test_gives_the_same_result_as_an_uninterrupted_run(
        self, uninterrupted: tuple[list[Any], list[float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_after: int
    ) -> None:
        expected_weights, expected_losses = uninterrupted
        saved = Checkpoint.save

        def save_then_cut(self: Checkpoint, *arguments: Any) -> None:
            saved(self, *arguments)
            if len(arguments[2].history) == cut_after:
                raise PowerCut

        monkeypatch.setattr(Checkpoint, "save", save_then_cut)
        first = network_of_seed(3)
        with pytest.raises(PowerCut):
            fit(first, phases_for(first), examples(), examples(seed=1), 3, Checkpoint(tmp_path, SETTINGS))
        monkeypatch.setattr(Checkpoint, "save", saved)
        again = network_of_seed(3)
        history = fit(again, phases_for(again), examples(), examples(seed=1), 3, Checkpoint(tmp_path, SETTINGS))
        assert [epoch.loss for epoch in history] == expected_losses
        assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), expected_weights, strict=True))

    def test_keeps_the_files_of_one_epoch_only(self, tmp_path: Path) -> None:
        network = network_of_seed(3)
        fit(network, Recipe((THOROUGH,)), examples(), examples(seed=1), 3, Checkpoint(tmp_path, SETTINGS))
        assert len(list(tmp_path.iterdir())) == 3

    def test_refuses_a_checkpoint_of_other_settings_and_names_the_first(self, tmp_path: Path) -> None:
        network = network_of_seed(3)
        fit(network, Recipe((replace(THOROUGH, epochs=1),)), examples(), examples(), 3, Checkpoint(tmp_path, SETTINGS))
        with pytest.raises(EdgeproofError, match="seed 3, not 4"):
            Checkpoint(tmp_path, {**SETTINGS, "seed": 4}).restore(network)

    @pytest.mark.slow
    @pytest.mark.parametrize("damage", ["state.json", ".weights.h5"])
    def test_refuses_a_damaged_checkpoint(self, tmp_path: Path, damage: str) -> None:
        network = network_of_seed(3)
        fit(network, Recipe((replace(THOROUGH, epochs=1),)), examples(), examples(), 3, Checkpoint(tmp_path, SETTINGS))
        for path in tmp_path.iterdir():
            if path.name.endswith(damage):
                path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(EdgeproofError, match=r"damaged|no readable JSON"):
            Checkpoint(tmp_path, SETTINGS).restore(network)

    @pytest.fixture(scope="class")
    def few_digits(self, mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("data") / "few"
        for part in ("train", "val", "test"):
            write_class_folders(folder / part, mnist, part, a_class=4)
        return folder

    @pytest.fixture(scope="class")
    def losses(self, few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
        """Return the losses of a command that is not interrupted."""
        workspace = tmp_path_factory.mktemp("whole")
        whole = run_module("train", "run", "mnist_cnn", "--data", few_digits, "--name", "whole", cwd=workspace)
        assert whole.code == 0, whole.stderr
        return [epoch["loss"] for epoch in history_of(workspace, "whole")]

    @pytest.mark.slow
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_an_interrupted_command_goes_on_to_the_same_model(
        self, few_digits: Path, losses: list[float], tmp_path: Path, how: signal.Signals
    ) -> None:
        command = ["run", "mnist_cnn", "--data", str(few_digits), "--name", "cut"]
        state = tmp_path / "build" / "mnist_cnn@cut" / "checkpoint" / "state.json"
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"}
        full = [sys.executable, "-m", "train", *command]
        process = subprocess.Popen(
            full, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 300
        while not (state.exists() and json.loads(state.read_text())["epochs"] >= 3):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(how)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == (-9 if how == signal.SIGKILL else 130)
        assert "Traceback" not in stderr
        resumed = run_module("train", *command, "--resume", cwd=tmp_path)
        assert resumed.code == 0, resumed.stderr
        assert "continuing after epoch" in resumed.stdout
        assert [epoch["loss"] for epoch in history_of(tmp_path, "cut")] == losses
        assert not state.exists()


class TestStreaming:
    @pytest.mark.slow
    def test_a_set_larger_than_memory_gives_the_same_weights(
        self, uninterrupted: tuple[list[Any], list[float]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        in_memory, _ = uninterrupted
        monkeypatch.setattr(dataset, "IN_MEMORY_SHARE", 0.0)
        plain = examples()
        on_disk = empty_array(plain.pixels.shape, np.uint8)
        on_disk[:] = plain.pixels
        assert isinstance(on_disk, np.memmap)
        streamed, _ = whole_run(Examples(on_disk, plain.labels))
        assert all(np.array_equal(a, b) for a, b in zip(in_memory, streamed, strict=True))


class TestUnusablePictures:
    @pytest.fixture
    def spoiled(self, digit_folder: Path, tmp_path: Path) -> Path:
        folder = tmp_path / "spoiled"
        shutil.copytree(digit_folder, folder)
        first = sorted((folder / "train" / "3").iterdir())[0]
        first.write_text("no picture")
        return folder

    def test_are_listed_and_refused(self, spoiled: Path, tmp_path: Path) -> None:
        result = run_module("train", "run", "mnist_cnn", "--data", spoiled, cwd=tmp_path)
        assert result.code == 2
        assert "1 unusable pictures" in result.stderr
        assert "train/3/" in result.error_line
        assert not (tmp_path / "build").exists()

    @pytest.mark.slow
    def test_are_listed_and_left_out_when_asked(self, spoiled: Path, tmp_path: Path) -> None:
        options = ["--data", str(spoiled), "--skip-bad", "--recipe", "tutorial", "--name", "s"]
        result = run_module("train", "run", "mnist_cnn", *options, cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert result.stdout.count("skipped, not usable: train/3/") == 1
        converted = run_module("convert", "run", "mnist_cnn@s", "--variants", "float32.tflite", cwd=tmp_path)
        assert converted.code == 0, converted.stderr  # opens the same pictures again


class TestFolders:
    def test_freeze_needs_a_base(self, tmp_path: Path) -> None:
        result = run_module("train", "run", "mnist_cnn", "--freeze", cwd=tmp_path)
        assert result.code == 2
        assert "no pretrained base" in result.error_line

    @pytest.mark.parametrize(("images", "recipe"), [(80, "few"), (500, "few"), (501, "default"), (48_000, "default")])
    def test_a_handful_of_pictures_gets_the_recipe_for_it(self, images: int, recipe: str) -> None:
        assert find_model("mobilenet_v2").spec.recipe_name_for(images) == recipe

    @pytest.mark.slow
    def test_pictures_of_anything_in_colour_are_learned(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        for name, colour in (("red things", (200, 40, 40)), ("green ✓", (40, 200, 40)), ("blue", (40, 40, 200))):
            folder = tmp_path / "pictures" / name
            folder.mkdir(parents=True)
            for number in range(12):
                noise = random.integers(0, 40, (90 + number, 120, 3))
                Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(folder / f"picture {number}.png")
        options = ["--data", str(tmp_path / "pictures"), "--weights", "bundled", "--freeze", "--name", "colours"]
        result = run_module("train", "run", "mobilenet_v2", *options, cwd=tmp_path)
        assert result.code == 0, result.stderr
        card = json.loads((tmp_path / "build" / "mobilenet_v2@colours" / "mobilenet_v2.card.json").read_text())
        assert card["labels"] == ["blue", "green ✓", "red things"]
        assert [step[0] for step in card["preprocess"]] == ["exif_orientation", "rgb", "resize", "center_crop"]
        assert card["accuracy"]["keras_test"]["correct"] == card["accuracy"]["keras_test"]["total"] == 3


def test_phases_have_sane_bounds() -> None:
    for name in ("mnist_cnn", "mnist_cnn_crop", "mobilenet_v2"):
        for recipe in find_model(name).spec.recipes.values():
            for phase in recipe.phases:
                assert isinstance(phase, Phase)
                assert phase.copies_an_epoch <= phase.copies or phase.frozen_through is None


def test_the_tiny_models_history_is_kept(tiny: Tiny) -> None:
    history = json.loads((tiny.folder / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3, 4, 5]
