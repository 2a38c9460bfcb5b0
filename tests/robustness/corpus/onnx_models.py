"""Bad ONNX files."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convert.formats.card_writer import embed
from tests.robustness.corpus.defect import Bad, no_files, write
from tests.robustness.corpus.models import CLASSIFIES, flips, good_card, truncations

# ---- .onnx ----------------------------------------------------------------------------------------------------------


def onnx_bytes(**changes: Any) -> bytes:
    """Return a small valid classifier of 28 × 28 gray pictures, or a changed one."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    told: dict[str, Any] = {"shape": [1, 28, 28, 1], "type": TensorProto.FLOAT, "weight": 1e-4, "outputs": 1, "inputs": 1}
    told |= {"domain": "", "opset": 17, "ir_version": 8, **changes}
    weights = np.random.default_rng(0).normal(0, 1, (784, 10)).astype(np.float32) * told["weight"]
    inputs = [helper.make_tensor_value_info(f"x{n or ''}", told["type"], told["shape"]) for n in range(told["inputs"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])][: told["outputs"]]
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], domain=told["domain"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", told["opset"])], ir_version=told["ir_version"])
    return bytes(onnx.ModelProto.SerializeToString(model))


def _bomb() -> bytes:
    """Return a model that is small and makes a tensor of 400 GB."""
    from onnx import TensorProto, helper, numpy_helper

    shape = numpy_helper.from_array(np.array([100_000, 1_000_000], np.int64), "shape")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceMax", ["huge"], ["most"], keepdims=0),
        helper.make_node("Add", ["x", "most"], ["y"]),
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 28, 28, 1]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [shape])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())


def onnx_models(folder: Path) -> Iterator[Bad]:
    """Write every defective `.onnx`."""
    own, card = onnx_bytes(), good_card()
    del card["golden"], card["golden_tolerance"], card["model_sha256"]
    good = write(folder / "odd" / "good.onnx", own)
    embed(good, card)
    whole = good.read_bytes()
    yield Bad(good, "valid", valid=True, by="PICTURE|--info|convert")
    yield from no_files(folder, ".onnx", whole)
    for kilobytes, data in truncations(whole):
        yield Bad(write(folder / f"truncated-at-{kilobytes:03}-kb.onnx", data), "truncated")
    for number, data in enumerate(flips(whole)):
        yield Bad(write(folder / f"flip-{number:03}.onnx", data), "a bit flipped", any_end=True)
    for number, data in enumerate(flips(own, seed=1)):
        path = write(folder / f"flip-{number:03}-with-a-card.onnx", data)
        try:
            embed(path, card)
        except Exception:  # noqa: S112  # some cannot carry a card: those stand among the others
            continue
        yield Bad(path, "a bit flipped, card signed for it", any_end=True)
    graphs: dict[str, tuple[dict[str, Any], str]] = {
        "two-inputs": ({"inputs": 2}, "2 inputs"),
        "no-outputs": ({"outputs": 0}, ""),
        "no-inputs": ({"inputs": 0}, ""),
        "dynamic-shapes": ({"shape": ["batch", None, None, 1]}, ""),
        "nan-weights": ({"weight": np.float32("nan")}, "not numbers"),
        "text-input": ({"type": 8}, ""),
        "int64-input": ({"type": 7}, ""),
        "unknown-domain": ({"domain": "no.such.domain"}, ""),
        "operator-set-of-tomorrow": ({"opset": 999}, ""),
        "ir-version-of-tomorrow": ({"ir_version": 999}, ""),
    }
    for name, (changes, says) in graphs.items():
        path = write(folder / f"{name}.onnx", onnx_bytes(**changes))
        embed(path, card)
        yield Bad(path, "a graph that is no classifier's", says, by=CLASSIFIES)
    path = write(folder / "huge-made-tensor.onnx", _bomb())
    embed(path, card)
    yield Bad(path, "a graph that is no classifier's", by=CLASSIFIES)
    yield Bad(write(folder / "card-missing.onnx", own), "card", "has no card", by="--self-test|convert show")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", "y")
    yield Bad(write(folder / "a-zip.onnx", buffer.getvalue()), "wrong magic")
