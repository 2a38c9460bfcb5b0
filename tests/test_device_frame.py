"""The digit frame: MNIST's own pictures pass, photos are brought to the same form, what is no digit is said."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from device.classify import NoDigit, PictureError, SeveralDigits, digit_frame, exif_orientation, gray
from tests.photos import Scene, photo_like, side_by_side
from train.data import Dataset

Pixels = npt.NDArray[np.uint8]
MEAN_DISTANCE = 9.0  # of 255 a pixel: an enlarged digit comes back blurred, and centred to whole pixels


def distance(one: Image.Image, other: Image.Image | Pixels) -> float:
    """Return the mean absolute difference a pixel, of 255."""
    return float(np.abs(np.asarray(one, np.int32) - np.asarray(other, np.int32)).mean())


def on_paper(digit: Pixels, times: int, random: np.random.Generator) -> Image.Image:
    """Draw a digit (28, 28) enlarged, dark, off-centre on unevenly lit paper."""
    side = 28 * times
    large = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), np.float32)
    width, height = side + int(random.integers(50, 400)), side + int(random.integers(50, 400))
    ink = np.zeros((height, width), np.float32)
    top, left = random.integers(0, height - side), random.integers(0, width - side)
    ink[top : top + side, left : left + side] = large
    light = 1 - 0.3 * np.linspace(0, 1, width, dtype=np.float32)
    return Image.fromarray(((255 - ink) * light).astype(np.uint8))


class TestMnist:
    @pytest.mark.parametrize("part", ["train", "val", "test"])
    def test_every_picture_comes_back_as_it_is(self, mnist: Dataset, part: str) -> None:
        split = getattr(mnist, part)
        for index in range(len(split)):
            image = split.open(index)
            assert digit_frame(image) is image

    def test_drawn_large_on_paper_comes_back_within_a_small_distance(self, mnist: Dataset) -> None:
        random = np.random.default_rng(0)
        distances = []
        for index in range(100):
            digit = np.asarray(mnist.test.open(index))
            photo = on_paper(digit, int(random.integers(10, 31)), random)
            distances.append(distance(digit_frame(photo), digit))
        assert np.mean(distances) <= MEAN_DISTANCE

    def test_is_told_apart_from_its_neighbours_at_that_distance(self, mnist: Dataset) -> None:
        digits = [np.asarray(mnist.test.open(index)) for index in range(100)]
        apart = [distance(Image.fromarray(one), other) for one, other in pairwise(digits)]
        assert np.mean(apart) > 4 * MEAN_DISTANCE

    def test_is_the_same_as_chalk_and_as_pen(self, mnist: Dataset) -> None:
        for index in range(20):
            large = mnist.test.open(index).resize((280, 280), Image.Resampling.BICUBIC)
            padded = Image.new("L", (400, 400))
            padded.paste(large, (60, 60))
            inverted = Image.fromarray(255 - np.asarray(padded))
            assert distance(digit_frame(padded), digit_frame(inverted)) < 3


class TestForm:
    @pytest.fixture
    def framed(self, mnist: Dataset) -> list[Pixels]:
        random = np.random.default_rng(1)
        return [np.asarray(digit_frame(on_paper(np.asarray(mnist.test.open(i)), 12, random))) for i in range(30)]

    def test_the_longer_side_of_the_ink_has_20_pixels(self, framed: list[Pixels]) -> None:
        for pixels in framed:
            rows, columns = np.nonzero(pixels)
            assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)

    def test_the_centre_of_mass_is_in_the_middle(self, framed: list[Pixels]) -> None:
        for pixels in framed:
            mass = pixels.astype(np.int64)
            row = (mass.sum(axis=1) @ np.arange(28)) / mass.sum()
            column = (mass.sum(axis=0) @ np.arange(28)) / mass.sum()
            assert abs(row - 14) <= 0.6
            assert abs(column - 14) <= 0.6

    def test_the_strokes_are_bright_on_black(self, framed: list[Pixels]) -> None:
        for pixels in framed:
            assert pixels.max() == 255
            assert pixels[0].max() == 0

    def test_a_picture_turned_by_its_exif_tag_is_framed_upright(self, mnist: Dataset) -> None:
        digit = np.asarray(mnist.test.open(0))
        upright = on_paper(digit, 12, np.random.default_rng(2))
        turned = upright.transpose(Image.Transpose.ROTATE_90)
        turned.getexif()[0x0112] = 6  # to be seen, turn it clockwise
        assert distance(digit_frame(exif_orientation(turned)), digit_frame(upright)) == 0

    def test_transparent_ink_on_nothing_is_ink_on_white(self, mnist: Dataset) -> None:
        digit = mnist.test.open(0).resize((280, 280))
        transparent = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
        transparent.paste(Image.new("RGBA", digit.size, (0, 0, 120, 255)), (50, 70), digit)
        assert np.asarray(digit_frame(gray(transparent))).max() == 255


def test_light_and_noise_make_little_difference(mnist: Dataset) -> None:
    calm = Scene(height=0.4, noise=0.0)
    rough = Scene(height=0.4, noise=5.0, gradient=0.5, vignette=0.3, blur=0.6, jpeg=70)
    for index in range(20):
        digit = np.asarray(mnist.test.open(index))
        one, other = (gray(photo_like(digit, np.random.default_rng(3), scene)) for scene in (calm, rough))
        assert distance(digit_frame(one), digit_frame(other)) < 12


def blanks() -> dict[str, Image.Image]:
    random = np.random.default_rng(0)
    noise = random.normal(200, 8, (300, 400))
    slope = np.linspace(250, 120, 400) + np.zeros((300, 1))
    return {
        "white": Image.new("L", (300, 300), 255),
        "black": Image.new("L", (28, 28), 0),
        "one pixel": Image.new("L", (1, 1), 9),
        "a line of pixels": Image.new("L", (500, 1), 77),
        "noise": Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)),
        "blurred noise": Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2)),
        "a slope of light": Image.fromarray(slope.astype(np.uint8)),
    }


@pytest.mark.parametrize("name", blanks())
def test_a_picture_without_ink_is_said_not_guessed(name: str) -> None:
    with pytest.raises(NoDigit, match="no digit found"):
        digit_frame(blanks()[name])


def test_two_digits_are_said_not_guessed(mnist: Dataset) -> None:
    random = np.random.default_rng(4)
    for index in range(0, 20, 2):
        left, right = (np.asarray(mnist.test.open(index + side)) for side in (0, 1))
        photo = gray(side_by_side(left, right, random, Scene()))
        with pytest.raises(SeveralDigits, match="more than one digit"):
            digit_frame(photo)


def test_what_the_frame_cannot_see_is_a_picture_error() -> None:
    assert issubclass(NoDigit, PictureError)
    assert issubclass(SeveralDigits, PictureError)
