"""Pixels as an input tensor."""

import numpy as np

from device.card import Step
from device.pictures.input_range import InputRange, parse_range
from device.preprocessing.encoding import NOT_QUANTIZED, Encoding, Quantization, encoding_of

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def test_each_channel_has_its_scale_and_the_axes_their_layout() -> None:
    encoding = Encoding(InputRange("by channel", (1.0, 2.0, 3.0), (0.0, 10.0, 0.0)), "NCHW")
    tensor = encoding.tensor(PIXELS, (1, 3, 2, 2), np.dtype(np.float32), NOT_QUANTIZED)
    assert tensor.shape == (1, 3, 2, 2)
    assert tensor[0, 1].tolist() == [[12.0, 18.0], [24.0, 30.0]]


def test_real_values_are_quantized_by_scale_and_zero_point_within_the_type() -> None:
    quantization = Quantization(scale=0.5, zero_point=-10)
    tensor = Encoding(parse_range("-30..225")).tensor(
        np.array([[[30], [31], [0], [255]]], np.uint8), (1, 1, 4, 1), np.dtype(np.int8), quantization
    )
    assert tensor.ravel().tolist() == [-10, -8, -70, 127]


def test_a_batch_of_several_holds_the_picture_as_often() -> None:
    tensor = Encoding().tensor(PIXELS, (3, 2, 2, 3), np.dtype(np.uint8), NOT_QUANTIZED)
    assert np.array_equal(tensor, [PIXELS] * 3)


def test_the_steps_of_a_card_say_it_again() -> None:
    for encoding in (Encoding(), Encoding(None), Encoding(None, "NCHW"), Encoding(parse_range("caffe"), "NCHW")):
        steps = [Step.from_json(step.to_json()) for step in encoding.to_steps()]
        assert encoding_of([Step("rgb"), *steps]) == encoding
