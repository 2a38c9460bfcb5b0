"""Golden pictures: which are chosen, what a card holds of them, and how much scores may differ."""

import base64
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from convert.variants import find_variants
from convert.verification import golden
from convert.verification.golden import GoldenPicture
from device.card import Card
from train.data.dataset import NO_LABEL, Split, array_split

SIDE = 8
Scores = npt.NDArray[np.float32]


def card_of(classes: int, side: int = SIDE) -> Card:
    shape = {"height": side, "width": side, "channels": 1, "pixels": "0..255"}
    labels = [str(number) for number in range(classes)]
    document = {"schema": 1, "model": "m", "variant": "v", "labels": labels, "input": shape, "preprocess": [["gray"]]}
    return Card.from_json(document)


def pictures(labels: list[int], side: int = SIDE) -> Split:
    """Return noise pictures, each with its number in its first pixel."""
    images = np.random.default_rng(0).integers(0, 256, (len(labels), side, side), np.uint8)
    images[:, 0, 0] = np.arange(len(labels))
    return array_split(images, np.array(labels))


def decided(answers: list[int], margins: list[float], classes: int) -> Scores:
    """Return scores (N, classes) with these answers and margins."""
    scores = np.zeros((len(answers), classes), np.float32)
    for row, answer, margin in zip(scores, answers, margins, strict=True):
        row[answer], row[(answer + 1) % classes] = (1 + margin) / 2, (1 - margin) / 2
    return scores


def unasked(pixels: Any) -> Scores:
    raise AssertionError(f"Keras was asked about {pixels.shape}")


def numbers(chosen: list[GoldenPicture]) -> list[int]:
    return [int(picture.pixels[0, 0, 0]) for picture in chosen]


class TestChoice:
    LABELS = (0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0, 0)
    ANSWERS = (0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0)  # class 2 is never answered rightly
    MARGINS = (0.5, 0.95, 0.92, 0.99, 0.98, 0.97, 0.3, 0.4, 0.6, 0.7, 0.01, 0.2)

    def chosen(self, **changes: Any) -> list[GoldenPicture]:
        split = changes.get("split", pictures(list(self.LABELS)))
        scores = decided(list(self.ANSWERS), list(self.MARGINS), 3)
        return golden.choose(split, np.arange(12), scores, card_of(3), unasked)

    def test_the_clearest_right_one_of_each_class_then_the_clearest_of_all_then_the_nearest_to_the_border(self) -> None:
        assert numbers(self.chosen()) == [1, 2, 3, 4, 5, 9, 8, 0, 10]

    def test_clear_is_a_margin_above_nine_tenths(self) -> None:
        assert [picture.clear for picture in self.chosen()] == [True] * 5 + [False] * 4
        assert golden.CLEAR_MARGIN == 0.9

    def test_a_border_picture_that_is_chosen_already_is_not_chosen_twice(self) -> None:
        chosen = golden.choose(pictures([0, 1]), np.arange(2), decided([0, 1], [0.2, 0.1], 2), card_of(2), unasked)
        assert numbers(chosen) == [0, 1]

    def test_without_labels_the_answers_count_as_right(self) -> None:
        unlabelled = Split(pictures(list(self.LABELS)).sources, np.full(12, NO_LABEL), "0" * 64)
        chosen = self.chosen(split=unlabelled)
        assert numbers(chosen) == [3, 4, 5, 1, 2, 9, 8, 0, 10]

    def test_pictures_are_those_at_the_indices(self) -> None:
        split = pictures([0] * 30)
        chosen = golden.choose(split, np.array([20, 25]), decided([0, 0], [0.5, 0.95], 2), card_of(2), unasked)
        assert numbers(chosen) == [25, 20]

    @pytest.mark.parametrize(("classes", "firsts"), [(10, 10), (11, 8), (30, 8)])
    def test_of_over_ten_classes_eight_have_one(self, classes: int, firsts: int) -> None:
        labels = list(range(classes)) * 2
        margins = [0.5] * classes + [0.91] * classes
        margins[classes - 1] = 0.02
        chosen = golden.choose(
            pictures(labels), np.arange(len(labels)), decided(labels, margins, classes), card_of(classes), unasked
        )
        assert numbers(chosen) == [*range(classes, classes + firsts), classes - 1]


class TestSize:
    """Pictures that are too large: they share 150,000 bytes."""

    @staticmethod
    def one(answer: Callable[[Any], Scores], side: int) -> tuple[GoldenPicture, list[Any]]:
        asked: list[Any] = []

        def remembered(pixels: Any) -> Scores:
            asked.append(pixels)
            return answer(pixels)

        split = pictures([0], side)
        card = card_of(2, side)
        (chosen,) = golden.choose(split, np.array([0]), decided([0], [0.95], 2), card, remembered)
        return chosen, asked

    def test_what_fits_is_kept_as_it_is_and_keras_is_not_asked_again(self) -> None:
        chosen, asked = self.one(unasked, 380)  # 144,400 bytes of noise
        assert (chosen.clear, asked) == (True, [])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(chosen.png))), chosen.pixels[:, :, 0])

    @pytest.mark.parametrize(("scores", "clear"), [([0.96, 0.04], True), ([0.94, 0.06], False)])
    def test_a_larger_one_loses_colours_and_keras_is_asked_about_what_is_left(
        self, scores: list[float], clear: bool
    ) -> None:
        chosen, asked = self.one(lambda _: np.array([scores], np.float32), 400)
        assert len(chosen.png) <= 150_000
        assert len(np.unique(chosen.pixels)) == 64
        assert chosen.clear is clear
        assert np.array_equal(asked[0], chosen.pixels[None])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(chosen.png)).convert("L")), chosen.pixels[:, :, 0])

    def test_a_large_picture_of_colours_is_kept_as_prepared(self, tmp_path: Path) -> None:
        from train.data.dataset import file_split

        noise = np.random.default_rng(0).integers(0, 256, (400, 300, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.png")
        shape = {"height": 60, "width": 60, "channels": 3, "pixels": "0..255"}
        steps = [["rgb"], ["resize", {"size": 60}], ["center_crop", {"size": 60}]]
        document = {"schema": 1, "model": "m", "variant": "v", "labels": ["a", "b"], "input": shape, "preprocess": steps}
        split, scores = file_split([tmp_path / "a.png"], np.array([0])), decided([0], [0.95], 2)
        card = Card.from_json(document)
        (chosen,) = golden.choose(split, np.array([0]), scores, card, lambda _: scores)
        assert chosen.pixels.shape == (60, 60, 3)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(chosen.png))), chosen.pixels)
        assert np.array_equal(chosen.pixels, split.prepare(0, card.preprocess))


class Canned:
    """A session whose scores are the picture's first pixels."""

    runtime, runtime_version = "litert", "2.3.0"

    def tensor(self, pixels: Any) -> Any:
        return pixels[None]

    def infer(self, tensor: Any) -> Any:
        return tensor

    def scores(self, output: Any) -> Any:
        return output.reshape(-1).astype(np.float32) / 7


class TestJson:
    @pytest.mark.parametrize(("classes", "kept"), [(10, 10), (11, 5)])
    def test_keeps_every_score_of_ten_classes_and_the_five_highest_of_more(self, classes: int, kept: int) -> None:
        pixels = np.arange(classes, 0, -1, dtype=np.uint8).reshape(1, classes, 1)
        picture = GoldenPicture(b"png", pixels, True)
        (entry,) = golden.golden_json([picture], Canned())  # type: ignore[arg-type]
        assert entry == {
            "png": base64.b64encode(b"png").decode(),
            "input_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
            "top1": 0,
            "clear": True,
            "scores": {str(index): pytest.approx((classes - index) / 7, abs=2e-7) for index in range(kept)},
        }

    def test_scores_have_seven_digits(self) -> None:
        (entry,) = golden.golden_json([GoldenPicture(b"", np.ones((1, 1, 1), np.uint8), False)], Canned())  # type: ignore[arg-type]
        assert entry["scores"] == {"0": 0.1428571}

    @pytest.mark.parametrize(
        ("key", "anywhere", "own"),
        [
            ("float32.tflite", 1e-5, 1e-5),
            ("float16.tflite", 1e-5, 1e-5),
            ("float16.onnx", 2e-3, 2e-3),
            ("dynamic_int8.tflite", 0.04, 0.04),
            ("int8.onnx", 0.04, 0.04),
            ("int8.tflite", 0.04, 1.01 / 256),
        ],
    )
    def test_tolerances_are_a_variants_own(self, key: str, anywhere: float, own: float) -> None:
        (variant,) = find_variants([key])
        assert golden.tolerance_json(variant, Canned()) == {  # type: ignore[arg-type]
            "scores": anywhere,
            "runtime": "litert",
            "runtime_version": "2.3.0",
            "own_scores": own,
        }
