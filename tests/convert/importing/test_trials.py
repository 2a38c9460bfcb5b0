"""What labelled pictures say of how a model takes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert.importing.import_model import import_model
from convert.importing.import_options import ImportOptions
from convert.trained_model import TrainedModel
from tests.support.models.imported_models import save

SIDE = 16
PICTURES = 36  # two thirds calibrate: at least 20 are needed


def side_network() -> Any:
    """Return a network that tells on which side of a picture the light is, by its outermost columns alone."""
    import keras

    image = keras.Input((SIDE, SIDE, 3))
    scores = keras.layers.Dense(2, activation="softmax", name="side")
    network = keras.Model(image, scores(keras.layers.Flatten()(image)))
    weights = np.zeros((SIDE, SIDE, 3, 2))
    weights[:, 0, :, 0] = weights[:, -1, :, 1] = 0.01
    scores.set_weights([weights.reshape(-1, 2), np.zeros(2)])
    return network


@pytest.fixture
def wide_pictures(tmp_path: Path) -> Path:
    """Return wide pictures whose outermost eighth is light on one side: cutting the middle out loses it."""
    for number in range(PICTURES):
        pixels = np.random.default_rng(number).integers(0, 60, (32, 128, 3), np.uint8)
        side = ("left", "right")[number % 2]
        pixels[:, slice(0, 16) if side == "left" else slice(112, 128)] = 255
        path = tmp_path / "pictures" / side / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "pictures"


def taken(tmp_path: Path, pictures: Path, fit: str | None = None) -> tuple[list[str], list[str]]:
    """Return the names of the steps of a model that was taken in, and what was said."""
    labels = tmp_path / "labels.txt"
    said: list[str] = []
    labels.write_text("left\nright\n")
    path = save(side_network(), tmp_path)
    trained = TrainedModel(import_model(ImportOptions(path, labels, pictures, input_range="0..255", fit=fit), said.append))
    trained.close()
    return [step.name for step in trained.steps], said


class TestFit:
    def test_pictures_are_stretched_where_more_are_answered_rightly_so(
        self, tmp_path: Path, wide_pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        steps, said = taken(tmp_path, wide_pictures)
        assert "stretch" in steps
        assert any("pictures are stretched: of 12 labelled pictures" in line and "12 stretched" in line for line in said)

    @pytest.mark.parametrize(("fit", "step"), [("crop", "center_crop"), ("stretch", "stretch")])
    def test_what_is_told_is_done_and_nothing_is_tried(
        self, tmp_path: Path, wide_pictures: Path, monkeypatch: pytest.MonkeyPatch, fit: str, step: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        steps, said = taken(tmp_path, wide_pictures, fit)
        assert step in steps
        assert not any("--fit" in line for line in said)

    def test_without_labels_the_middle_is_cut_out_and_that_is_said(
        self, tmp_path: Path, wide_pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        flat = tmp_path / "flat"
        flat.mkdir()
        for number, path in enumerate(sorted(wide_pictures.rglob("*.png"))):
            path.rename(flat / f"{number}.png")
        steps, said = taken(tmp_path, flat)
        assert "center_crop" in steps
        assert any("the middle is cut out; --fit crop or --fit stretch" in line for line in said)
