"""ONNX files as exporters write them: understood, answered as onnxruntime answers them, or refused by what they take."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from convert.formats.onnx_network import ENDING
from convert.importing.sources import Opening, Wrapping, open_source
from convert.importing.sources.onnx_file import OnnxSource
from device.errors import CheckFailed, EdgeproofError
from device.pictures.input_range import parse_range
from tests.support.models.imported_models import COLOURS, SIDE
from tests.support.models.onnx_models import (
    HUGGING_FACE,
    KERAS,
    NEW,
    OLD,
    TIMM,
    TORCH,
    TORCH_DYNAMO,
    Export,
    colour_graph,
    save_onnx,
)

EXPORTS = {
    "torch": TORCH,
    "torch dynamo": TORCH_DYNAMO,
    "timm": TIMM,
    "Hugging Face": HUGGING_FACE,
    "Keras": KERAS,
    "opset 9": OLD,
    "opset 11": dataclasses.replace(TORCH, opset=11),
    "opset 13": dataclasses.replace(TORCH, opset=13),
    "opset 21": NEW,
    "opset 23": dataclasses.replace(NEW, opset=23),
    "float16": dataclasses.replace(TORCH, half=True),
    "a view with the batch in it": dataclasses.replace(TORCH, pooled_by="view"),
    "a batch of four": dataclasses.replace(TORCH, pooled_by="view", batch=4),
    "a folded class token": dataclasses.replace(TORCH, pooled_by="token"),
}
WANTED = parse_range("-1..1")


def opened(export: Export, folder: Path) -> OnnxSource:
    source = open_source(save_onnx(export, folder), Opening())
    assert isinstance(source, OnnxSource)
    return source


def coloured(count: int = 6) -> Any:
    """Return pictures (N, H, W, C) of the colours in turn, with noise."""
    random, colours = np.random.default_rng(0), np.array(list(COLOURS.values()))
    pixels = colours[np.arange(count) % 3][:, None, None, :] + random.normal(0, 20, (count, SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def test_a_name_in_capital_letters_is_of_an_onnx_file_too(tmp_path: Path) -> None:
    source = open_source(save_onnx(TORCH, tmp_path).rename(tmp_path / "COLOURS.ONNX"), Opening())
    assert isinstance(source, OnnxSource)


@pytest.mark.parametrize("export", EXPORTS.values(), ids=EXPORTS)
class TestExports:
    def test_the_wrapped_model_answers_as_the_file_does(self, tmp_path: Path, export: Export) -> None:
        source, pixels = opened(export, tmp_path), coloured()
        told = "logits" if export.ends_in == "logits" else "softmax"
        assert source.understood.activation is not None
        assert source.understood.activation.value == told
        found = source.wrapped(Wrapping((SIDE, SIDE, 3), WANTED, told)).scores(pixels)
        answers = source.answers(np.stack([WANTED.values(picture) for picture in pixels]))
        expected = np.exp(answers) / np.exp(answers).sum(axis=1, keepdims=True) if told == "logits" else answers
        assert answers.argmax(axis=1).tolist() == [0, 1, 2, 0, 1, 2]
        assert np.abs(found - expected).max() < (5e-3 if export.half else 1e-6)

    def test_what_is_written_takes_pixels_of_any_number_of_pictures(self, tmp_path: Path, export: Export) -> None:
        wrapped = opened(export, tmp_path).wrapped(Wrapping((SIDE, SIDE, 3), WANTED))
        path = tmp_path / f"paint{ENDING}"
        wrapped.save(path)
        graph = onnx.load(path).graph
        onnx.checker.check_model(onnx.load(path), full_check=True)
        assert [entry.name for entry in (*graph.input, *graph.output)] == ["image", "probabilities"]
        kinds = {tensor.data_type for tensor in graph.initializer}
        assert TensorProto.FLOAT16 not in kinds
        free = export.pooled_by != "token"  # a token for one picture lets no second one in
        sides = [side.dim_param or side.dim_value for side in graph.input[0].type.tensor_type.shape.dim]
        assert sides == ["batch" if free else 1, SIDE, SIDE, 3]


class TestOneOutput:
    @pytest.mark.parametrize(("end", "activation"), [("sigmoid", "sigmoid"), ("logit", "logits")])
    def test_is_the_probability_of_the_second_of_two_classes(self, tmp_path: Path, end: Any, activation: Any) -> None:
        source, pixels = opened(dataclasses.replace(TORCH, ends_in=end), tmp_path), coloured()
        found = source.wrapped(Wrapping((SIDE, SIDE, 3), WANTED, activation)).scores(pixels)
        answers = source.answers(np.stack([WANTED.values(picture) for picture in pixels]))
        second = answers if end == "sigmoid" else 1 / (1 + np.exp(-answers))
        assert np.abs(found - np.concatenate([1 - second, second], axis=1)).max() < 1e-6
        assert found.argmax(axis=1).tolist() == [1, 0, 0, 1, 0, 0]


class TestUnderstood:
    def test_says_what_it_takes_and_where_that_was_learnt(self, tmp_path: Path) -> None:
        told = opened(TORCH, tmp_path).understood
        assert told.description == "ONNX model of pytorch 2.9.0 (opset 17)"
        assert (told.shape.value, told.layout.value, told.layout.learnt_from) == ((1, 3, 24, 24), "NCHW", "its first Conv")
        assert (told.output_shape.value, told.dtype.value, told.input_range) == ((1, 3), "float32", None)
        assert json.dumps(told.to_json())

    def test_free_sides_and_channels_of_hugging_face_are_understood(self, tmp_path: Path) -> None:
        told = opened(HUGGING_FACE, tmp_path).understood
        assert told.shape.value == (None, 3, None, None)
        assert "--size PIXELS" in told.missing

    def test_a_first_transpose_shows_channels_last(self, tmp_path: Path) -> None:
        told = opened(KERAS, tmp_path).understood
        assert (told.layout.value, told.layout.learnt_from) == ("NHWC", "its first Transpose")

    def test_a_uint8_input_takes_pixels(self, tmp_path: Path) -> None:
        told = opened(dataclasses.replace(KERAS, takes="uint8"), tmp_path).understood
        assert told.input_range is not None
        assert told.input_range.value.is_pixels
        assert told.input_range.learnt_from == "its input is uint8"


class TestLayout:
    """A file whose sides and operators leave it open where the channels are."""

    def path(self, folder: Path, *sides: int | str) -> Path:
        shape = helper.make_tensor("shape", INT64, [2], [1, -1])
        nodes = [
            helper.make_node("Reshape", ["image", "shape"], ["flat"]),
            helper.make_node("Slice", ["flat", "from", "to", "axis"], ["scores"]),
        ]
        places = [helper.make_tensor(name, INT64, [1], [at]) for name, at in (("from", 0), ("to", 10), ("axis", 1))]
        model = graph_of([tensor("image", FLOAT, *sides)], [tensor("scores", FLOAT, 1, 10)], nodes)
        model.graph.initializer.extend([shape, *places])
        (folder / "open.onnx").write_bytes(model.SerializeToString())
        return folder / "open.onnx"

    @pytest.mark.parametrize("sides", [(1, 3, 8, 3), (1, "a", "b", "c")])
    def test_is_asked_for_and_then_taken_from_the_option(self, tmp_path: Path, sides: Any) -> None:
        path = self.path(tmp_path, *sides)
        with pytest.raises(EdgeproofError, match=r'may be channels first or last: .* as {"input": {"layout": "NCHW"}}, or'):
            open_source(path)
        for layout in ("NCHW", "NHWC"):
            understood = open_source(path, Opening(layout=layout)).understood
            assert (understood.layout.value, understood.layout.learnt_from) == (layout, "--preprocess")

    def test_the_sides_are_believed_before_the_option(self, tmp_path: Path) -> None:
        found = open_source(self.path(tmp_path, 1, 3, 8, 8), Opening(layout="NHWC")).understood
        assert (found.layout.value, found.layout.learnt_from) == ("NCHW", "its sides")


def graph_of(inputs: list[Any], outputs: list[Any], nodes: list[Any]) -> Any:
    graph = helper.make_graph(nodes, "main_graph", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tensor(name: str, kind: int, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SCORES = tensor("scores", FLOAT, "N", 10)
REFUSED = {
    "tokens": (
        graph_of(
            [tensor("input_ids", INT64, "N", 128)], [SCORES], [helper.make_node("Cast", ["input_ids"], ["scores"], to=1)]
        ),
        r"takes input_ids \(\?, 128\) int64: expected a picture",
    ),
    "two inputs": (
        graph_of(
            [tensor("image", FLOAT, "N", 3, 8, 8), tensor("mask", FLOAT, "N", 8, 8)],
            [SCORES],
            [helper.make_node("Flatten", ["image"], ["scores"]), helper.make_node("Identity", ["mask"], ["unused"])],
        ),
        r"takes image \(\?, 3, 8, 8\) float32, mask \(\?, 8, 8\) float32: expected one picture",
    ),
    "two outputs": (
        graph_of(
            [tensor("image", FLOAT, "N", 3, 8, 8)],
            [SCORES, tensor("aux", FLOAT, "N", 10)],
            [helper.make_node("Flatten", ["image"], ["scores"]), helper.make_node("Flatten", ["image"], ["aux"])],
        ),
        r"gives scores \(\?, 10\) float32, aux \(\?, 10\) float32: expected only the scores",
    ),
    "sound": (
        graph_of([tensor("wave", FLOAT, 1, 16000)], [SCORES], [helper.make_node("Identity", ["wave"], ["scores"])]),
        r"takes wave \(1, 16000\) float32: expected a picture",
    ),
    "five channels": (
        graph_of([tensor("bands", FLOAT, 1, 5, 8, 8)], [SCORES], [helper.make_node("Flatten", ["bands"], ["scores"])]),
        r"takes bands \(1, 5, 8, 8\) float32: expected a picture of 1 or 3 channels",
    ),
    "a class number": (
        graph_of(
            [tensor("image", FLOAT, "N", 3, 8, 8)],
            [tensor("number", INT64, "N", 1)],
            [
                helper.make_node("Flatten", ["image"], ["values"]),
                helper.make_node("ArgMax", ["values"], ["number"], axis=1),
            ],
        ),
        r"its output is a class number \(int64, of ArgMax\): export the scores that go into ArgMax",
    ),
    "a type that is not taken": (
        graph_of(
            [tensor("image", TensorProto.DOUBLE, "N", 3, 8, 8)],
            [SCORES],
            [helper.make_node("Flatten", ["image"], ["scores"])],
        ),
        r"takes image \(\?, 3, 8, 8\) double: expected values of type float32, uint8, float16: export it with one of these",
    ),
    "no batch axis": (
        graph_of(
            [tensor("image", FLOAT, 3, 8, 8)],
            [tensor("scores", FLOAT, 3)],
            [helper.make_node("ReduceMean", ["image"], ["scores"], axes=[1, 2], keepdims=0)],
        ),
        r"takes \(3, 8, 8\) and gives \(3\): the batch axis is missing: export it with pictures \(1, 3, 8, 8\)",
    ),
    "a picture for a picture": (
        graph_of(
            [tensor("image", FLOAT, 1, 3, 8, 8)],
            [tensor("masks", FLOAT, 1, 3, 8, 8)],
            [helper.make_node("Relu", ["image"], ["masks"])],
        ),
        r"gives \(1, 3, 8, 8\), expected \(batch, classes\)",
    ),
    "integers inside": (
        graph_of(
            [tensor("image", FLOAT, 1, 3, 8, 8)],
            [tensor("scores", TensorProto.UINT8, 1, 192)],
            [
                helper.make_node("DynamicQuantizeLinear", ["image"], ["whole", "scale", "zero"]),
                helper.make_node("Flatten", ["whole"], ["scores"]),
            ],
        ),
        r"is quantized already \(DynamicQuantizeLinear\): give the float model",
    ),
}


class TestRefused:
    @pytest.mark.parametrize(("model", "found"), REFUSED.values(), ids=REFUSED)
    def test_what_is_no_picture_classifier_is_refused_by_what_it_takes(self, tmp_path: Path, model: Any, found: str) -> None:
        path = tmp_path / "other.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(EdgeproofError, match=found):
            open_source(path)

    def test_a_fixed_batch_that_cannot_be_taken_out_is_refused(self, tmp_path: Path) -> None:
        model = colour_graph(dataclasses.replace(TORCH, batch=4))
        shape = onnx.numpy_helper.from_array(np.array([8, 4]), "odd")  # mixes the pictures
        back = onnx.numpy_helper.from_array(np.array([4, 8]), "even")
        place = next(place for place, node in enumerate(model.graph.node) if node.op_type == "Gemm")
        flat = model.graph.node[place].input[0]
        mixed = [
            helper.make_node("Reshape", [flat, "odd"], ["turned"], name="odd"),
            helper.make_node("Reshape", ["turned", "even"], ["mixed"], name="even"),
        ]
        model.graph.node[place].input[0] = "mixed"
        model.graph.initializer.extend([shape, back])
        nodes = [*model.graph.node[:place], *mixed, *model.graph.node[place:]]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        path = tmp_path / "mixed.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(EdgeproofError, match="its batch is fixed at 4, and it answers otherwise with another"):
            open_source(path).wrapped(Wrapping((SIDE, SIDE, 3), WANTED))

    def test_a_model_that_answers_otherwise_than_its_source_is_not_taken_in(self, tmp_path: Path) -> None:
        from convert.importing.source_check import check_against_source

        source = opened(TORCH, tmp_path)
        wrapped = source.wrapped(Wrapping((SIDE, SIDE, 3), parse_range("0..1"), "logits"))
        with pytest.raises(CheckFailed, match="scores differ by up to"):
            check_against_source(source, wrapped, Wrapping((SIDE, SIDE, 3), WANTED, "logits"), coloured())
