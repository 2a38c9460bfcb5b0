"""Small model files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from device.formats.model_file import split_card
from tests.conftest import ROOT


def write_onnx(
    path: Path, inputs: Sequence[tuple[str, str, list[Any]]], nodes: Sequence[Any], outputs: Sequence[Any]
) -> Path:
    """Write a model; an input is its name, element type and sides (text: a free side)."""
    import onnx
    from onnx import TensorProto, helper

    def info(name: str, kind: str, sides: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, getattr(TensorProto, kind), sides)

    graph = helper.make_graph(
        [helper.make_node(*node[:-1], **node[-1]) for node in nodes],
        "given",
        [info(*each) for each in inputs],
        [info(*each) for each in outputs],
        [helper.make_tensor("weight", TensorProto.FLOAT, [3, 2], [-1.0, 1.0] * 3)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def two_input_model(path: Path) -> Path:
    nodes: list[Any] = [
        ("Cast", ["ids"], ["real"], {"to": 1}),
        ("Add", ["real", "in"], ["sum"], {}),
        ("MatMul", ["sum", "weight"], ["out"], {}),
    ]
    inputs = [("in", "FLOAT", ["batch", 3]), ("ids", "INT64", ["batch", 3])]
    return write_onnx(path, inputs, nodes, [("out", "FLOAT", ["batch", 2]), ("sum", "FLOAT", ["batch", 3])])


PLANTED = ROOT / "tests" / "robustness" / "fake_runtimes"
READY = ROOT / "data" / "ready" / "mnist_cnn.int8.tflite"
ENVIRONMENT = {"PYTHONPATH": f"{PLANTED}{os.pathsep}{ROOT}"}


def model(folder: Path, name: str) -> Path:
    """Write a file that looks like a `.tflite` without a card; the fake runtime reads only its name."""
    path = folder / f"{name}.tflite"
    path.write_bytes(own_bytes(READY))  # in order: what is damaged never gets to a runtime
    return path


def own_bytes(path: Path) -> bytes:
    """Return the model's bytes without its card."""
    return split_card(path, path.read_bytes())[0]


def bare_copy(artifact: Path, folder: Path) -> Path:
    """Copy an artifact without its card."""
    bare = folder / artifact.name
    bare.write_bytes(own_bytes(artifact))
    return bare


def card_json(**changes: Any) -> dict[str, Any]:
    document = {
        "schema": 1,
        "model": "m",
        "variant": "int8",
        "labels": ["a", "b"],
        "input": {"height": 28, "width": 28, "channels": 1, "pixels": "0..255"},
        "preprocess": [["gray"], ["resize", {"size": 28, "filter": "bilinear"}], ["center_crop", {"size": 28}]],
    }
    return {**document, **changes}
