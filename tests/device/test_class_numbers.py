"""Models whose output is the number of the class, and no scores: refused by what made it."""

from pathlib import Path

import onnx
import pytest

from bench.artifacts.cardless import CardlessRunOptions, describe as describe_for_bench
from convert.importing.sources import open_source
from device.card import CardlessOptions
from device.errors import ModelError
from device.formats.class_number import class_number_of
from device.formats.model_graph import Graph, Node, TensorFacts
from device.formats.onnx_graph import read_onnx_graph
from device.open_model import open_model
from device.preprocessing.encoding import Quantization
from tests.support.models.tflite_files import brightness_tflite


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_one_of_argmax_is_refused_by_its_type_before_anything_else_is_asked(tmp_path: Path, dtype: str) -> None:
    model = brightness_tflite(tmp_path / "argmax.tflite", picks=dtype)
    said = rf"its output is a class number \({dtype}, of ArgMax\): export the scores that go into ArgMax"
    with pytest.raises(ModelError, match=said):
        open_model(model, CardlessOptions(), 1, None)


def test_bench_and_convert_refuse_it_too(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("dark\nlight\n")
    model = brightness_tflite(labels.with_name("argmax.tflite"), picks="int64")
    with pytest.raises(ModelError, match="class number"):
        open_source(model)
    with pytest.raises(ModelError, match="class number"):
        describe_for_bench(model, CardlessRunOptions(labels, data=labels.parent, input_range="0..1"))


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("ArgMax (values)", "int64, of ArgMax"),
        ("Cast <to = 1> (number)", "float32, of ArgMax"),  # a float is no score either
        ("Cast <to = 6> (number)", "int32, of ArgMax"),
        ("Cast <to = 6> (values)", "int32, of Relu"),
        ("QuantizeLinear (values, scale, zero)", None),
        ("Identity (values)", None),
    ],
)
def test_an_onnx_output_is_followed_to_what_made_it(output: str, found: str | None) -> None:
    kinds = {"ArgMax": "int64", "Cast <to = 1>": "float", "Cast <to = 6>": "int32", "QuantizeLinear": "uint8"}
    kind = next((kind for start, kind in kinds.items() if output.startswith(start)), "float")
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 3, 8, 8] image) => ({kind}[1, 3] result) <float scale = {{0.1}}, uint8 zero = {{0}}> {{
          values = Relu (image)
          number = ArgMax <axis = 1> (values)
          result = {output}
        }}"""
    graph = read_onnx_graph(onnx.parser.parse_model(text).SerializeToString())
    assert class_number_of(graph) == found


def test_quantized_scores_are_scores() -> None:
    """A uint8 output is a score with or without a scale of its own: many converters leave it out."""
    for quantization in (Quantization(1 / 256, 0), Quantization()):
        output = TensorFacts(1, (1, 3), "uint8", quantization)
        assert class_number_of(Graph((output,), (output,), (Node("Softmax", (0,), (1,)),), {})) is None
    whole = TensorFacts(1, (1, 3), "int32", Quantization(1 / 256, 0))
    assert class_number_of(Graph((whole,), (whole,), (), {})) is None
