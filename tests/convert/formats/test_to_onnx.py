"""Quantization to ONNX: the results are the same on processors with and without VNNI."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from convert.formats.to_onnx import INPUT_NAME, OnnxModel, convert_float32, quantize

Values = npt.NDArray[np.float32]
SIDE, CHANNELS = 8, 16
SEVEN_BITS = 64  # 2 · 255 · 64 is within 16 bits, 2 · 255 · 127 is not


@pytest.fixture(scope="module")
def bright() -> OnnxModel:
    """Return a network whose activations and weights are at the top of their ranges, so that products are largest."""
    import keras

    image = keras.Input((SIDE, SIDE, 3), name=INPUT_NAME)
    wide = keras.layers.Conv2D(CHANNELS, 1, kernel_initializer="ones", name="wide")(image)
    deep = keras.layers.DepthwiseConv2D(3, padding="same", depthwise_initializer="ones", name="deep")(wide)
    point = keras.layers.Conv2D(CHANNELS, 1, kernel_initializer="ones", name="point")(deep)
    means = keras.layers.GlobalAveragePooling2D()(point)
    return convert_float32(keras.Model(image, keras.layers.Dense(2, kernel_initializer="ones", name="scores")(means)))


@pytest.fixture(scope="module")
def quantized(bright: OnnxModel) -> bytes:
    pixels = np.full((20, SIDE, SIDE, 3), 255, np.uint8)
    calibration: Any = SimpleNamespace(pixels=pixels)
    return quantize(bright, calibration).data


def test_weights_have_seven_bits_but_for_depthwise_ones(quantized: bytes) -> None:
    import onnx

    graph = onnx.load_from_string(quantized).graph
    largest: dict[bool, int] = {}
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1:
            depthwise = tuple(tensor.dims[:2]) == (CHANNELS, 1)
            values = np.abs(onnx.numpy_helper.to_array(tensor).astype(int))
            largest[depthwise] = max(largest.get(depthwise, 0), int(values.max()))
    assert largest == {False: SEVEN_BITS, True: 127}


def test_the_largest_products_do_not_overflow(bright: OnnxModel, quantized: bytes) -> None:
    picture = np.full((1, SIDE, SIDE, 3), 255, np.float32)
    exact, found = (_answer(model, picture) for model in (bright.data, quantized))
    assert found == pytest.approx(exact, rel=0.02)


def _answer(model: bytes, picture: Values) -> Values:
    import onnxruntime as ort

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    scores: Values = session.run(None, {INPUT_NAME: picture})[0]
    return scores
