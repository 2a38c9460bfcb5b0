"""Models that were not made here: latency is always measured, accuracy if the options say how."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.artifacts.cardless import CardlessRunOptions, describe
from bench.results.row import ANY, ResultRow, Skipped
from bench.results.store import load_results
from bench.runtimes.support.cardless_session import CardlessSession, OnnxModel, Tensor, resolved
from device.errors import EdgeproofError, ModelError
from tests.conftest import Finished, Tiny, run_module
from tests.support.models.model_files import two_input_model, write_onnx
from tests.support.models.tflite_files import brightness_tflite

LABELS = ("dark", "light")
Info = tuple[str, str, list[Any]]


def brightness_model(path: Path, side: Any = 8) -> Path:
    """Write an NCHW model over -1..1 that answers "light" where the mean is above 0."""
    nodes: list[Any] = [
        ("GlobalAveragePool", ["in"], ["mean"], {}),
        ("Flatten", ["mean"], ["flat"], {}),
        ("MatMul", ["flat", "weight"], ["out"], {}),
    ]
    return write_onnx(path, [("in", "FLOAT", ["batch", 3, side, side])], nodes, [("out", "FLOAT", ["batch", 2])])


def bench(folder: Path, *arguments: str | Path) -> tuple[Finished, list[ResultRow], list[Skipped]]:
    finished = run_module("bench", "run", *arguments, "--seconds", "0.02", "--output", "bench.json", cwd=folder)
    if not (folder / "bench.json").exists():
        return finished, [], []
    results = load_results(folder / "bench.json")
    return finished, results.rows, [skip for skip in results.skipped if skip.subject.model != ANY]  # those: no GPU here


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of dark and light pictures. One of them is in the folder of the wrong class."""
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
    @pytest.mark.slow
    def test_a_model_without_a_card_is_measured_with_random_input_and_its_accuracy_is_unknown(self, tmp_path: Path) -> None:
        finished, rows, skipped = bench(tmp_path, two_input_model(tmp_path / "two.onnx"))
        assert (finished.code, skipped) == (0, []), finished.stderr
        (row,) = rows
        assert (row.subject.model, row.subject.variant, row.subject.runtime, row.path) == (
            "two",
            "given",
            "onnxruntime",
            None,
        )
        assert row.latency.queries >= 64
        assert row.accuracy is None
        assert "| two | given.onnx |" in (tmp_path / "report.md").read_text()

    @pytest.mark.slow
    def test_accuracy_is_measured_where_labels_steps_and_pictures_are_told(self, tmp_path: Path, pictures: Path) -> None:
        model = brightness_model(tmp_path / "light.onnx")
        finished, rows, _ = bench(tmp_path, model, *told(tmp_path, NCHW), "--data", pictures)
        assert finished.code == 0, finished.stderr
        assert rows[0].accuracy is not None
        assert (rows[0].accuracy.correct, rows[0].accuracy.total) == (6, 7)
        assert rows[0].path is not None
        assert rows[0].path.end_to_end_ms > 0

    @pytest.mark.slow
    def test_free_sides_are_asked_for_by_name_and_taken_from_the_option(self, tmp_path: Path) -> None:
        model = brightness_model(tmp_path / "free.onnx", side="side")
        finished, rows, skipped = bench(tmp_path, model)
        assert (finished.code, rows) == (1, [])
        assert finished.error_line == f"failed: {model}: was measured in no runtime: each skipped row says why"
        assert "--input-shape 'in=SIDES'" in skipped[0].reason
        finished, rows, skipped = bench(tmp_path, model, "--input-shape", "1,3,32,32")
        assert (finished.code, len(rows), skipped) == (0, 1, []), finished.stderr

    @pytest.mark.slow
    def test_layout_and_steps_that_do_not_fit_the_model_are_a_skipped_row_with_both_shapes(
        self, tmp_path: Path, pictures: Path
    ) -> None:
        model = brightness_model(tmp_path / "light.onnx")
        wrong = {"preprocess": STEPS, "input": {"range": "-1..1", "layout": "NHWC"}}
        _, rows, skipped = bench(tmp_path, model, *told(tmp_path, wrong), "--data", pictures)
        assert rows == []
        assert "(1, 8, 8, 3)" in skipped[0].reason
        assert "(1, 3, 8, 8)" in skipped[0].reason

    @pytest.mark.slow
    def test_size_and_layout_are_read_from_the_file_and_the_range_is_asked_for(self, tmp_path: Path, pictures: Path) -> None:
        model = brightness_model(tmp_path / "light.onnx")
        options = [*told(tmp_path, STEPS)[:2], "--data", pictures]
        finished, rows, _ = bench(tmp_path, model, *options)
        assert (finished.code, rows) == (2, [])
        assert "nothing in it says which values it takes: give --input-range" in finished.error_line
        finished, rows, _ = bench(tmp_path, model, *options, "--input-range", "-1..1", "--fit", "stretch")
        assert finished.code == 0, finished.stderr
        assert rows[0].accuracy is not None
        assert (rows[0].accuracy.correct, rows[0].accuracy.total) == (6, 7)
        assert "8×8×3 float32 NCHW, values -1..1 (--input-range); pictures are stretched" in finished.stderr

    @pytest.mark.slow
    def test_a_byte_of_a_quantized_input_goes_in_as_it_is(self, tmp_path: Path, pictures: Path) -> None:
        model = brightness_tflite(tmp_path / "light.tflite", "uint8", 1 / 128, 128, middle=0.0)
        options = [*told(tmp_path, STEPS), "--data", pictures, "--runtime", "litert"]
        finished, rows, skipped = bench(tmp_path, model, *options)
        assert (finished.code, skipped) == (0, []), finished.stderr
        assert rows[0].accuracy is not None
        assert (rows[0].accuracy.correct, rows[0].accuracy.total) == (6, 7)

    @pytest.mark.parametrize(
        ("document", "found"),
        [
            ([["no_such_step"]], "unknown step"),
            ({"preprocess": STEPS, "inputs": {}}, "found inputs, expected preprocess and input"),
            ({"preprocess": STEPS, "input": {"layout": "CHWN"}}, "NHWC or NCHW"),
            ({"preprocess": STEPS, "input": {"scale": "1/255"}}, "expected a number"),
            ({"preprocess": STEPS, "input": {"scale": [1, 2]}}, "or three of them for red, green and blue"),
        ],
    )
    def test_steps_that_cannot_be_used_are_named_and_code_2(
        self, tmp_path: Path, pictures: Path, document: Any, found: str
    ) -> None:
        model = brightness_model(tmp_path / "light.onnx")
        _, labels, _, steps = told(tmp_path, document)
        with pytest.raises(EdgeproofError, match=found):
            describe(model, CardlessRunOptions(Path(labels), str(steps), pictures))

    def test_half_of_what_accuracy_needs_is_refused_with_the_rest_named(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match="needs --labels FILE and --data FOLDER; without --labels and --fit"):
            describe(tmp_path / "m.onnx", CardlessRunOptions(labels=tmp_path, fit="crop"))

    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("m.keras", r"has no m.card.json beside it"),
            ("m.h5", "expected a .tflite, .onnx or .keras"),
            ("m", "is a folder"),
        ],
    )
    def test_a_model_that_is_not_converted_leads_to_the_command_that_does(
        self, tmp_path: Path, name: str, found: str
    ) -> None:
        if name == "m":
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_bytes(b"a model")
        finished, rows, _ = bench(tmp_path, name)
        assert (finished.code, rows) == (2, [])
        assert f"{name}: {found}" in finished.stderr
        assert f"`edgeproof convert inspect {name}` says how it is converted" in finished.stderr

    def test_two_files_that_would_be_one_row_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        models = [two_input_model(tmp_path / "two.onnx"), two_input_model(tmp_path / "a" / "two.onnx")]
        finished, _, _ = bench(tmp_path, *models)
        assert finished.code == 2
        assert "both would be the row" in finished.error_line

    @pytest.mark.slow
    @pytest.mark.parametrize("key", ["float32.tflite", "int8.tflite"])
    def test_a_tflite_without_its_card_answers_as_with_it(self, tiny: Tiny, tmp_path: Path, key: str) -> None:
        from device.formats.model_file import read_card
        from tests.support.models.model_files import bare_copy

        card = read_card(tiny.artifact(key))
        assert card is not None
        (tmp_path / "labels.txt").write_text("\n".join(card.labels))
        (tmp_path / "steps.json").write_text(json.dumps([step.to_json() for step in card.preprocess]))
        data: list[str | Path] = ["--data", tiny.data / "test", "--runtime", "litert"]
        options: list[str | Path] = ["--labels", tmp_path / "labels.txt", "--preprocess", tmp_path / "steps.json"]
        _, bare, _ = bench(tmp_path, bare_copy(tiny.artifact(key), tmp_path), *options, *data)
        (tmp_path / "bench.json").unlink()
        _, carded, _ = bench(tmp_path, tiny.artifact(key), *data)
        assert bare[0].accuracy == carded[0].accuracy is not None

    def test_a_card_and_options_that_stand_in_for_one_are_refused(self, tiny: Tiny, tmp_path: Path) -> None:
        finished, _, _ = bench(tmp_path, tiny.artifact("int8.tflite"), "--input-shape", "1,28,28,1")
        assert finished.code == 2
        assert "has a card" in finished.error_line


class TestTensors:
    @pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8", "int32", "int64", "bool"])
    def test_random_values_have_the_tensor_s_type_and_shape(self, dtype: str) -> None:
        values = Tensor("in", (2, 3), np.dtype(dtype)).random(np.random.default_rng(0))
        assert (values.shape, values.dtype) == ((2, 3), np.dtype(dtype))

    def test_a_told_shape_that_contradicts_the_model_is_refused(self) -> None:
        with pytest.raises(ModelError, match="--input-shape says"):
            resolved(Path("m"), "in", [None, 3, None], {"": (1, 4, 9)}, 1)
        assert resolved(Path("m"), "in", [None, 3, None], {"in": (2, 3, 9)}, 2) == (2, 3, 9)

    def test_all_inputs_are_fed_and_all_outputs_come_back(self, tmp_path: Path) -> None:
        session = CardlessSession(OnnxModel(two_input_model(tmp_path / "two.onnx"), 1, {}))
        feed = session.random(2)[0]
        out, total = session.infer(feed)
        assert np.allclose(total, feed[0] + feed[1])
        assert out.shape == (1, 2)


class TestFit:
    def test_of_crop_and_stretch_the_one_that_labelled_pictures_show_is_taken_and_said(self, tmp_path: Path) -> None:
        model = brightness_tflite(tmp_path / "m.tflite", middle=127.5, gain=1.0)
        (tmp_path / "labels.txt").write_text("dark\nlight\n")
        for name, inside, around in (("dark", 255, 0), ("light", 0, 255)):  # the middle says the contrary of the whole
            (tmp_path / "pictures" / name).mkdir(parents=True)
            for number in range(3):
                pixels = np.full((16, 64, 3), around, np.uint8)
                pixels[:, 24 : 40 + number] = inside
                Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
        options = CardlessRunOptions(tmp_path / "labels.txt", data=tmp_path / "pictures", input_range="0..255")
        card, given = describe(model, options)
        assert "stretch" in {step.name for step in card.preprocess}
        assert "0 right cropped, 6 stretched" in given.understood
        card, given = describe(model, replace(options, fit="crop"))
        assert "center_crop" in {step.name for step in card.preprocess}
        assert "tried" not in given.understood
