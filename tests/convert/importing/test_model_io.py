"""What the outputs of a model from elsewhere are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convert.importing.model_io import resolve_activation
from convert.importing.sources import Opening, open_source
from device.errors import EdgeproofError
from tests.support.models.model_files import write_onnx

SHARES = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2], [0.1, 0.1, 0.8]], np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Any:
    """Return a source whose last operations say nothing of its outputs."""
    return SimpleNamespace(understood=SimpleNamespace(path=tmp_path / "m.onnx", activation=None))


@pytest.mark.parametrize("factor", [100, 255])
def test_shares_of_another_number_than_1_are_refused_and_get_no_second_softmax(source: Any, factor: int) -> None:
    with pytest.raises(EdgeproofError, match=rf"sum to {factor} for each picture: they are shares, not logits: leave out"):
        resolve_activation(source, SHARES * factor)


@pytest.mark.parametrize(
    "scores", [SHARES * 100 - 20, SHARES * np.array([[100], [120], [90]], np.float32), (SHARES * 100)[:1]], ids=str
)
def test_logits_are_logits(source: Any, scores: Any) -> None:
    assert resolve_activation(source, scores) == "logits"


def test_one_number_a_picture_without_an_axis_of_classes_is_named_with_what_to_do(tmp_path: Path) -> None:
    nodes: list[Any] = [
        ("ReduceMean", ["in"], ["mean"], {"axes": [1, 2, 3], "keepdims": 0}),
        ("Sigmoid", ["mean"], ["out"], {}),
    ]
    path = write_onnx(tmp_path / "m.onnx", [("in", "FLOAT", ["batch", 3, 8, 8])], nodes, [("out", "FLOAT", ["batch"])])
    with pytest.raises(EdgeproofError, match=r"gives \(1,\), one number a picture .*: leave out the Squeeze at its end"):
        open_source(path, Opening())
