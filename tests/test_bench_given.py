"""Models that were not made here: latency always, accuracy where a person tells how."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.given import Given, Told, describe
from bench.given_session import GivenSession, OnnxModel, Tensor, resolved
from bench.measurement import ANY
from bench.results import Row, load_results
from device.classify import EdgeproofError, ModelError
from tests.conftest import Finished, Tiny, run_room

LABELS = ("dark", "light")
Info = tuple[str, str, list[Any]]


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


def brightness_model(path: Path, side: Any = 8) -> Path:
    """Write an NCHW model over -1..1 that answers "light" where the mean is above 0."""
    nodes: list[Any] = [
        ("GlobalAveragePool", ["in"], ["mean"], {}),
        ("Flatten", ["mean"], ["flat"], {}),
        ("MatMul", ["flat", "weight"], ["out"], {}),
    ]
    return write_onnx(path, [("in", "FLOAT", ["batch", 3, side, side])], nodes, [("out", "FLOAT", ["batch", 2])])


def two_input_model(path: Path) -> Path:
    nodes: list[Any] = [
        ("Cast", ["ids"], ["real"], {"to": 1}),
        ("Add", ["real", "in"], ["sum"], {}),
        ("MatMul", ["sum", "weight"], ["out"], {}),
    ]
    inputs = [("in", "FLOAT", ["batch", 3]), ("ids", "INT64", ["batch", 3])]
    return write_onnx(path, inputs, nodes, [("out", "FLOAT", ["batch", 2]), ("sum", "FLOAT", ["batch", 3])])


def bench(folder: Path, *arguments: str | Path) -> tuple[Finished, list[Row], list[Row]]:
    finished = run_room("bench", "run", *arguments, "--seconds", "0.02", "--output", "bench.json", cwd=folder)
    if not (folder / "bench.json").exists():
        return finished, [], []
    results = load_results(folder / "bench.json")
    return finished, results.rows, [skip for skip in results.skipped if skip["model"] != ANY]  # those: no GPU here


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of dark and light pictures, one of which lies in the wrong class."""
    for name, values in (("dark", (10, 60, 100, 250)), ("light", (140, 180, 240))):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for value in values:
            Image.new("RGB", (20, 16), (value, value, value)).save(tmp_path / "pictures" / name / f"{value}.png")
    return tmp_path / "pictures"


def told(folder: Path, document: Any) -> list[str | Path]:
    (folder / "labels.txt").write_text("\n".join(LABELS))
    (folder / "steps.json").write_text(json.dumps(document))
    return ["--labels", folder / "labels.txt", "--preprocess", folder / "steps.json"]


STEPS = [["rgb"], ["resize", {"size": 8}], ["center_crop", {"size": 8}]]
NCHW = {"preprocess": STEPS, "input": {"scale": 1 / 127.5, "offset": -1, "layout": "NCHW"}}


class TestCommand:
    def test_a_model_without_a_card_is_measured_with_random_input_and_its_accuracy_is_unknown(self, tmp_path: Path) -> None:
        finished, rows, skipped = bench(tmp_path, two_input_model(tmp_path / "two.onnx"))
        assert (finished.code, skipped) == (0, []), finished.stderr
        (row,) = rows
        assert (row["model"], row["variant"], row["runtime"], row["path"]) == ("two", "given", "onnxruntime", None)
        assert row["latency"]["queries"] >= 64
        assert (row["accuracy"]["total"], row["accuracy"]["top1"]) == (0, None)
        assert "| two | given.onnx |" in (tmp_path / "report.md").read_text()

    def test_accuracy_is_measured_where_labels_steps_and_pictures_are_told(self, tmp_path: Path, pictures: Path) -> None:
        model = brightness_model(tmp_path / "light.onnx")
        finished, rows, _ = bench(tmp_path, model, *told(tmp_path, NCHW), "--data", pictures)
        assert finished.code == 0, finished.stderr
        assert (rows[0]["accuracy"]["correct"], rows[0]["accuracy"]["total"]) == (6, 7)
        assert rows[0]["path"]["end_to_end_ms"] > 0

    def test_free_sides_are_asked_for_by_name_and_taken_from_the_option(self, tmp_path: Path) -> None:
        model = brightness_model(tmp_path / "free.onnx", side="side")
        _, rows, skipped = bench(tmp_path, model)
        assert rows == []
        assert "--input-shape 'in=SIDES'" in skipped[0]["reason"]
        finished, rows, skipped = bench(tmp_path, model, "--input-shape", "1,3,32,32")
        assert (finished.code, len(rows), skipped) == (0, 1, []), finished.stderr

    def test_layout_and_steps_that_do_not_fit_the_model_are_a_skipped_row_with_both_shapes(
        self, tmp_path: Path, pictures: Path
    ) -> None:
        model = brightness_model(tmp_path / "light.onnx")
        _, rows, skipped = bench(tmp_path, model, *told(tmp_path, STEPS), "--data", pictures)
        assert rows == []
        assert "(1, 8, 8, 3)" in skipped[0]["reason"]
        assert "(1, 3, 8, 8)" in skipped[0]["reason"]

    @pytest.mark.parametrize(
        ("document", "found"),
        [
            ([["no_such_step"]], "unknown step"),
            ({"preprocess": STEPS, "inputs": {}}, "expected the card's list of steps"),
            ({"preprocess": STEPS, "input": {"layout": "CHWN"}}, "NHWC or NCHW"),
            ({"preprocess": STEPS, "input": {"scale": "1/255"}}, "expected a number"),
            ({"preprocess": STEPS, "input": {"scale": [1, 2]}}, "one a channel, 3 here"),
        ],
    )
    def test_steps_that_cannot_be_used_are_named_and_code_2(
        self, tmp_path: Path, pictures: Path, document: Any, found: str
    ) -> None:
        model = brightness_model(tmp_path / "light.onnx")
        _, labels, _, steps = told(tmp_path, document)
        with pytest.raises(EdgeproofError, match=found):
            describe(model, Told(Path(labels), Path(steps), pictures))

    def test_half_of_what_accuracy_needs_is_refused_with_the_rest_named(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match="--labels FILE, --preprocess FILE and --data FOLDER"):
            describe(tmp_path / "m.onnx", Told(labels=tmp_path))

    def test_two_files_that_would_be_one_row_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        models = [two_input_model(tmp_path / "two.onnx"), two_input_model(tmp_path / "a" / "two.onnx")]
        finished, _, _ = bench(tmp_path, *models)
        assert finished.code == 2
        assert "both would be the row" in finished.error_line

    @pytest.mark.parametrize("key", ["float32.tflite", "int8.tflite"])
    def test_a_tflite_without_its_card_answers_as_with_it(self, tiny: Tiny, tmp_path: Path, key: str) -> None:
        from device.classify import read_card
        from tests.test_convert import bare_copy

        card = read_card(tiny.artifact(key))
        assert card is not None
        (tmp_path / "labels.txt").write_text("\n".join(card.labels))
        (tmp_path / "steps.json").write_text(json.dumps([step.to_json() for step in card.preprocess]))
        data: list[str | Path] = ["--data", tiny.data / "test", "--runtime", "litert"]
        options: list[str | Path] = ["--labels", tmp_path / "labels.txt", "--preprocess", tmp_path / "steps.json"]
        _, bare, _ = bench(tmp_path, bare_copy(tiny.artifact(key), tmp_path), *options, *data)
        (tmp_path / "bench.json").unlink()
        _, carded, _ = bench(tmp_path, tiny.artifact(key), *data)
        assert bare[0]["accuracy"] == carded[0]["accuracy"]

    def test_a_card_and_options_that_stand_in_for_one_are_refused(self, tiny: Tiny, tmp_path: Path) -> None:
        finished, _, _ = bench(tmp_path, tiny.artifact("int8.tflite"), "--input-shape", "1,28,28,1")
        assert finished.code == 2
        assert "has a card" in finished.error_line


class TestTensors:
    @pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int32", "int64", "bool"])
    def test_random_values_have_the_tensor_s_type_and_shape(self, dtype: str) -> None:
        values = Tensor("in", (2, 3), np.dtype(dtype)).random(np.random.default_rng(0))
        assert (values.shape, values.dtype) == ((2, 3), np.dtype(dtype))

    def test_quantizes_real_values_with_scale_and_zero_point_within_the_type(self) -> None:
        tensor = Tensor("in", (4,), np.dtype(np.int8), scale=0.5, zero_point=-10)
        assert tensor.quantized(np.array([0, 1, -30, 1000], np.float32)).tolist() == [-10, -8, -70, 127]

    def test_encodes_pixels_by_channel_into_the_layout(self) -> None:
        pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        encoded = Given({}, (1.0, 2.0, 3.0), (0.0, 10.0, 0.0), "NCHW").encode(pixels)
        assert encoded.shape == (1, 3, 2, 2)
        assert encoded[0, 1].tolist() == [[12.0, 18.0], [24.0, 30.0]]

    def test_a_told_shape_that_contradicts_the_model_is_refused(self) -> None:
        with pytest.raises(ModelError, match="--input-shape says"):
            resolved(Path("m"), "in", [None, 3, None], {"": (1, 4, 9)}, 1)
        assert resolved(Path("m"), "in", [None, 3, None], {"in": (2, 3, 9)}, 2) == (2, 3, 9)

    def test_all_inputs_are_fed_and_all_outputs_come_back(self, tmp_path: Path) -> None:
        session = GivenSession(OnnxModel(two_input_model(tmp_path / "two.onnx"), 1, {}), Given())
        feed = session.random(2)[0]
        out, total = session.infer(feed)
        assert np.allclose(total, feed[0] + feed[1])
        assert out.shape == (1, 2)
