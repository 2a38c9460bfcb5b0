"""Digits drawn by code: labelled, seeded, framed as MNIST's are."""

import numpy as np
import pytest
from PIL import Image

from device.errors import NoDigit
from device.pictures.steps import gray
from device.preprocessing.prepare import run_steps
from train.data.pen_digits import Pen, drawn, pen_digit, prepared_pen_digits
from train.models import find_model

STEPS = find_model("mnist_cnn").spec.preprocess


def test_pictures_are_prepared_in_the_models_form_and_the_classes_take_turns() -> None:
    pixels, labels = prepared_pen_digits(40, STEPS, seed=3)
    assert pixels.shape == (40, 28, 28, 1)
    assert pixels.dtype == np.uint8
    assert pixels.reshape(40, -1).max(axis=1).tolist() == [255] * 40
    assert np.bincount(labels).tolist() == [4] * 10


def test_the_seed_names_the_pictures() -> None:
    first, again, other = (prepared_pen_digits(20, STEPS, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_more_pictures_are_others() -> None:
    few, more = prepared_pen_digits(10, STEPS, 1)[0], prepared_pen_digits(20, STEPS, 1)[0]
    assert not np.array_equal(few, more[:10])


@pytest.mark.parametrize("label", range(10))
def test_every_digit_is_drawn_within_its_canvas_and_seen(label: int) -> None:
    random = np.random.default_rng(label)
    for _ in range(30):
        picture = pen_digit(label, random)
        values = np.asarray(gray(picture))
        assert picture.width == picture.height
        assert int(values.max()) - int(values.min()) > 60


def test_an_outline_is_hollow() -> None:
    random = [np.random.default_rng(4) for _ in range(2)]
    solid, hollow = (
        np.asarray(gray(drawn(1, one, Pen(0.2, hollow=hollow), 140)))
        for one, hollow in zip(random, (False, True), strict=True)
    )
    paper = solid[0, 0]
    assert np.count_nonzero(hollow != paper) < 0.8 * np.count_nonzero(solid != paper)


def test_a_picture_that_the_frame_refuses_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = iter([Image.new("L", (28, 28)), pen_digit(0, np.random.default_rng(0))])
    expected = run_steps(pen_digit(0, np.random.default_rng(0)), STEPS)
    monkeypatch.setattr("train.data.pen_digits.pen_digit", lambda *_: next(pictures))
    assert np.array_equal(prepared_pen_digits(1, STEPS, 0)[0][0], expected)


def test_steps_that_refuse_every_digit_end_with_their_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NoDigit("no digit found")

    monkeypatch.setattr("train.data.pen_digits.run_steps", refuse)
    with pytest.raises(NoDigit):
        prepared_pen_digits(1, STEPS, 0)
