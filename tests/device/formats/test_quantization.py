"""Scales and zero points as model files say them, damaged ones too."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from device.errors import ModelError
from device.formats.model_facts import model_facts
from device.formats.onnx_graph import read_onnx_graph
from device.preprocessing.encoding import Quantization
from tests.support.models.tflite_graphs import OperationOf, TensorOf, graph_bytes

ONNX = Path("model.onnx")
NUMBERS_OF_NOTHING = [math.inf, -math.inf, math.nan]


def quantizing(scale: float, zero_point: Any) -> bytes:
    """Return an `.onnx` that begins with QuantizeLinear."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 4, 1]) for name in ("x", "y")]
    constants = {"scale": np.array(scale, np.float32), "zero": np.array(zero_point)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors))
    return bytes(onnx.ModelProto.SerializeToString(model))


def test_a_scale_and_a_zero_point_are_read() -> None:
    assert read_onnx_graph(quantizing(0.5, np.uint8(3))).quantized == {"q": ("uint8", Quantization(0.5, 3))}


@pytest.mark.parametrize("zero_point", [*NUMBERS_OF_NOTHING, 1.5])
def test_a_zero_point_that_is_no_whole_number_says_nothing(zero_point: float) -> None:
    facts = model_facts(ONNX, quantizing(0.5, np.float32(zero_point)))
    assert facts.front.covered is None


@pytest.mark.parametrize("scale", NUMBERS_OF_NOTHING)
def test_a_scale_that_is_not_finite_says_nothing_in_an_onnx(scale: float) -> None:
    assert model_facts(ONNX, quantizing(scale, np.uint8(3))).front.covered is None


@pytest.mark.parametrize("scale", NUMBERS_OF_NOTHING)
def test_a_scale_that_is_not_finite_is_a_damaged_tflite(scale: float) -> None:
    """With an infinite one every range would be that of the input."""
    data = graph_bytes([TensorOf("x", "UINT8", scales=(scale,)), TensorOf("y")], [OperationOf("DEQUANTIZE", (0,), (1,))])
    with pytest.raises(ModelError, match=r"is damaged \(tensor 0 has the scale"):
        model_facts(Path("model.tflite"), data)
