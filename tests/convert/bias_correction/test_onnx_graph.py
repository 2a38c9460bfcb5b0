"""Running a float ONNX model for the outputs of some of its nodes."""

from pathlib import Path

import numpy as np

from convert.bias_correction.arithmetic import affordable
from convert.bias_correction.onnx_graph import float_means, largest_output_bytes
from convert.importing.sources import Wrapping, open_source
from device.pictures.input_range import parse_range
from tests.support.models.imported_models import SIDE
from tests.support.models.onnx_models import TORCH, save_onnx


def test_nodes_that_a_model_does_not_have_give_nothing(tmp_path: Path) -> None:
    """With an empty list, onnxruntime would return every output."""
    wrapped = open_source(save_onnx(TORCH, tmp_path)).wrapped(Wrapping((SIDE, SIDE, 3), parse_range("-1..1"), "logits"))
    path = tmp_path / "model.onnx"
    wrapped.save(path)
    pixels = np.zeros((4, SIDE, SIDE, 3), np.uint8)
    for nodes in ([], ["nowhere"]):
        assert float_means(path.read_bytes(), nodes, pixels) == {}
        assert largest_output_bytes(path.read_bytes(), nodes, pixels) == 0
    assert affordable(4, 0) == 4
    assert list(float_means(path.read_bytes(), ["/look/Conv"], pixels)) == ["/look/Conv"]
