"""The pictures that a recipe trains with."""

from dataclasses import replace

import numpy as np

from train.data.dataset import Dataset
from train.data.pen_digits import prepared_pen_digits
from train.examples import prepared_examples
from train.models.mnist_cnn import SPEC
from train.spec import Phase, Recipe


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
