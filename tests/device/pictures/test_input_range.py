"""The values that a model takes for a pixel: ranges as `--input-range` names them."""

import numpy as np
import pytest

from device.errors import EdgeproofError
from device.pictures.input_range import parse_range


@pytest.mark.parametrize(
    ("text", "values", "limits"),
    [
        ("0..255", [0, 51, 255], (0, 255)),
        ("0..1", [0, 0.2, 1], (0, 1)),
        ("-1..1", [-1, -0.6, 1], (-1, 1)),
        ("-128..127", [-128, -77, 127], (-128, 127)),
    ],
)
def test_a_pixel_becomes_its_place_in_the_range(text: str, values: list[float], limits: tuple[float, float]) -> None:
    pixels = np.array([[[0], [51], [255]]], np.uint8)
    assert parse_range(text).values(pixels).ravel() == pytest.approx(values, abs=1e-5)
    assert parse_range(text).limits == pytest.approx(limits)


def test_caffe_turns_the_order_of_the_channels_and_subtracts_the_means() -> None:
    pixels = np.array([[[10, 20, 30]]], np.uint8)
    assert parse_range("caffe").values(pixels).ravel() == pytest.approx([30 - 103.939, 20 - 116.779, 10 - 123.68])


def test_torch_is_one_scale_a_channel() -> None:
    low, high = parse_range("torch").limits
    assert (round(low, 3), round(high, 3)) == (-2.118, 2.64)


@pytest.mark.parametrize(
    "text", ["", "1", "1..0", "0..0", "0...1", "nan..1", "imagenet", "0.." + "9" * 400, "-1" + "0" * 40 + "..1"]
)
def test_what_is_no_range_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(EdgeproofError, match="any other A"):
        parse_range(text)
