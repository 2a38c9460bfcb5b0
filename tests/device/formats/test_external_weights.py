"""ONNX weights in files beside the model."""

from pathlib import Path
from typing import Any

import pytest

from device.errors import ModelError
from device.formats.model_file import external_weights, model_size_bytes, read_card
from tests.support.models.model_files import write_onnx


def with_external_weights(path: Path, location: str, data: bool = True) -> Path:
    """Write a model that says that its only weight is in a file of that name."""
    import onnx
    from onnx.external_data_helper import set_external_data

    nodes: list[Any] = [("MatMul", ["in", "weight"], ["out"], {})]
    write_onnx(path, [("in", "FLOAT", [1, 3])], nodes, [("out", "FLOAT", [1, 2])])
    model = onnx.load(path)
    weight = model.graph.initializer[0]
    weight.raw_data = onnx.numpy_helper.to_array(weight).tobytes()
    weight.ClearField("float_data")
    content = bytes(weight.raw_data)
    set_external_data(weight, location, offset=0, length=len(content))
    weight.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    if data:
        (path.parent / location).write_bytes(content)
    return path


def test_they_count_in_the_size(tmp_path: Path) -> None:
    model = with_external_weights(tmp_path / "m.onnx", "m.onnx.data")
    assert external_weights(model, model.read_bytes()) == [tmp_path / "m.onnx.data"]
    assert model_size_bytes(model) == model.stat().st_size + 24
    assert read_card(model) is None


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("../m.onnx.data", "outside of its folder"),
        ("/etc/passwd", "outside of its folder"),
        ("", "outside of its folder"),
        ("missing.data", "missing beside it: copy both files"),
    ],
)
def test_one_that_is_elsewhere_or_missing_is_refused(tmp_path: Path, location: str, found: str) -> None:
    model = with_external_weights(tmp_path / "m.onnx", location, data=False)
    with pytest.raises(ModelError, match="its weights are in") as error:
        read_card(model)
    assert found in str(error.value)


def test_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"0" * 24)
    (tmp_path / "in").mkdir()
    model = with_external_weights(tmp_path / "in" / "m.onnx", "weights", data=False)
    (tmp_path / "in" / "weights").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="leads outside of its folder"):
        read_card(model)
