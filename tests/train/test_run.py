"""The command `train run`, and the pictures that it trains with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import run_module
from train.data.dataset import Dataset
from train.data.pen_digits import prepared_pen_digits
from train.models.mnist_cnn import SPEC
from train.run import prepared_examples
from train.spec import Phase, Recipe


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["resnet"], "unknown model 'resnet'"),
        (["mnist_cnn", "--recipe", "grandmothers"], "unknown recipe"),
        (["mnist_cnn", "--data", "nowhere"], "no such folder"),
        (["mnist_cnn", "--name", "../../etc"], "--name"),
        (["mnist_cnn", "--name", ".hidden"], "give another name with --name"),
        (["mnist_cnn", "--side", "56"], "--side 56: mnist_cnn takes 28 alone"),
        (["mobilenet_v2", "--side", "100"], "--side 100: mobilenet_v2 takes 96, 128, 160, 192, 224"),
    ],
)
def test_a_training_request_that_cannot_be_met_is_one_line_and_leaves_nothing(
    tmp_path: Path, arguments: list[str], found: str
) -> None:
    result = run_module("train", "run", *arguments, cwd=tmp_path)
    assert result.code == 2
    assert found in result.error_line
    assert list(tmp_path.iterdir()) == []


def test_training_leaves_all_its_files(tiny: "object") -> None:
    from tests.conftest import Tiny

    assert isinstance(tiny, Tiny)
    names = {path.name for path in tiny.folder.iterdir()}
    expected = ("mnist_cnn.keras", "mnist_cnn.card.json", "history.json", "history.png", "layers.png", "summary.txt")
    assert set(expected) <= names


class TestDrawnDigits:
    RECIPE = Recipe((Phase("train", 1, 8, 1e-3, images=48),), validation_images=4, drawn_share=0.25)

    def test_are_mixed_with_the_bundled_pictures_and_change_none(self, mnist: Dataset) -> None:
        plain, _ = prepared_examples(mnist, SPEC.preprocess, replace(self.RECIPE, drawn_share=0.0), 3)
        mixed, validation = prepared_examples(mnist, SPEC.preprocess, self.RECIPE, 3)
        drawn, labels = prepared_pen_digits(12, SPEC.preprocess, 3)
        expected = [*zip(map(bytes, plain.pixels), plain.labels, strict=True), *zip(map(bytes, drawn), labels, strict=True)]
        found = list(zip(map(bytes, mixed.pixels), mixed.labels, strict=True))
        assert sorted(found) == sorted(expected)
        assert found[:48] != expected[:48]
        assert len(validation.labels) == 4

    def test_the_same_seed_mixes_alike(self, mnist: Dataset) -> None:
        first, second = (prepared_examples(mnist, SPEC.preprocess, self.RECIPE, 3)[0] for _ in range(2))
        assert np.array_equal(first.pixels, second.pixels)

    def test_a_folder_of_pictures_gets_none(self, mnist: Dataset) -> None:
        folder = replace(mnist, reference=replace(mnist.reference, path="flowers"))
        train, _ = prepared_examples(folder, SPEC.preprocess, self.RECIPE, 3)
        assert len(train.labels) == 48
