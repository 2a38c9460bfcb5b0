"""Which pictures are used for calibration."""

import hashlib

import numpy as np
import pytest

from convert.calibration import CALIBRATION_COUNT, CALIBRATION_SEED, Calibration, balanced_choice, check, choose
from device.card import Step
from device.errors import EdgeproofError
from train.data.dataset import NO_LABEL, array_split

LABELS = np.array([0] * 5 + [1] * 20 + [2] * 20)


class TestChoice:
    @pytest.mark.parametrize(
        ("count", "classes"),
        [(0, [0, 0, 0]), (3, [1, 1, 1]), (4, [2, 1, 1]), (15, [5, 5, 5]), (25, [5, 10, 10]), (99, [5, 20, 20])],
    )
    def test_classes_take_turns_and_leave_their_places_to_the_others(self, count: int, classes: list[int]) -> None:
        chosen = balanced_choice(LABELS, count, 0)
        assert np.bincount(LABELS[chosen], minlength=3).tolist() == classes
        assert len(set(chosen.tolist())) == len(chosen)

    def test_a_smaller_choice_is_the_beginning_of_a_larger(self) -> None:
        assert balanced_choice(LABELS, 7, 3).tolist() == balanced_choice(LABELS, 30, 3)[:7].tolist()

    def test_the_seed_decides(self) -> None:
        assert balanced_choice(LABELS, 9, 1).tolist() == balanced_choice(LABELS, 9, 1).tolist()
        assert balanced_choice(LABELS, 9, 1).tolist() != balanced_choice(LABELS, 9, 2).tolist()


class TestChoose:
    def test_300_pictures_are_taken_by_seed_0_without_other_wishes(self) -> None:
        images = np.random.default_rng(0).integers(0, 256, (400, 4, 4), np.uint8)
        labels = np.arange(400) % 10
        chosen = choose(array_split(images, labels), [Step("gray")])
        places = balanced_choice(labels, 300, 0)
        assert (CALIBRATION_COUNT, CALIBRATION_SEED, chosen.seed) == (300, 0, 0)
        assert np.array_equal(chosen.pixels[..., 0], images[places])
        assert chosen.labels.tolist() == labels[places].tolist()
        assert len(choose(array_split(images, labels), [Step("gray")], 20, 7).pixels) == 20

    def test_what_is_told_of_it(self) -> None:
        pixels = np.arange(48, dtype=np.uint8).reshape(3, 4, 4, 1)
        assert Calibration(pixels, np.array([2, 0, 2]), 5).to_json() == {
            "count": 3,
            "classes": [1, 0, 2],
            "seed": 5,
            "sha256": hashlib.sha256(bytes(range(48))).hexdigest(),
        }
        assert Calibration(pixels, np.array([-1, -1, -1]), 5).to_json()["classes"] is None
        assert Calibration(pixels, np.array([0, -1, 0]), 5).to_json()["classes"] is None


class TestUnusable:
    LABELS = ("cat", "dog")

    def calibration(self, count: int = 20, classes: int = 2, contrast: bool = True) -> Calibration:
        pixels = np.full((count, 4, 4, 1), 128, np.uint8)
        if contrast:
            pixels[:, 0] = 0
        return Calibration(pixels, np.arange(count) % classes, 0)

    def test_twenty_pictures_of_every_class_are_enough(self) -> None:
        check(self.calibration(), self.LABELS, "here")

    def test_pictures_of_unknown_classes_are_not_judged_by_them(self) -> None:
        healthy = self.calibration()
        check(Calibration(healthy.pixels, np.full(20, NO_LABEL), 0), self.LABELS, "here")

    def test_too_few_are_refused(self) -> None:
        with pytest.raises(EdgeproofError, match="here: found 19 pictures to calibrate with, expected at least 20"):
            check(self.calibration(count=19), self.LABELS, "here")

    def test_one_class_is_refused(self) -> None:
        with pytest.raises(EdgeproofError, match=r"found 20 calibration pictures of class 'cat' only, .* all 2 classes"):
            check(self.calibration(classes=1), self.LABELS, "here")

    def test_pictures_without_contrast_are_refused(self) -> None:
        with pytest.raises(EdgeproofError, match="found 20 calibration pictures without contrast"):
            check(self.calibration(contrast=False), self.LABELS, "here")
