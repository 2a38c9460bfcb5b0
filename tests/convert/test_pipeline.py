"""Conversion: the variants' promises, the card in the file, calibration."""

import json
import os
import shutil
import signal
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

from convert import calibration as calibrate
from convert.child import Child, Crashed, Workplace
from convert.formats import tflite_reader, to_onnx, to_tflite
from convert.formats.card_writer import embed
from convert.pipeline import convert_model
from convert.trained_model import TrainedModel
from convert.variants import VARIANTS, Variant, find_variants
from convert.verification import verify
from device.card import Card
from device.errors import CardError, CheckFailed, EdgeproofError
from device.formats.model_file import read_card
from device.open_model import open_session
from tests.conftest import CONVERTED, Tiny, run_module
from tests.support.children import Here
from tests.support.models.model_files import bare_copy, own_bytes
from train.data.dataset import Dataset

KEYS = [variant.key for variant in CONVERTED]


def variant(key: str) -> Variant:
    return find_variants([key])[0]


class TestVariants:
    def test_a_name_means_every_format_and_a_key_one(self) -> None:
        assert [v.key for v in find_variants(["int8"])] == ["int8.tflite", "int8.onnx"]
        assert [v.key for v in find_variants(["int8.onnx"])] == ["int8.onnx"]

    def test_no_name_means_those_that_are_made_by_default(self) -> None:
        assert {v.key for v in VARIANTS} - {v.key for v in find_variants([])} == {
            "int16x8.tflite",
            "int8_fixed.tflite",
            "int8_fixed.onnx",
        }

    def test_an_unknown_one_lists_those_there_are(self) -> None:
        with pytest.raises(EdgeproofError, match=r"float16\.tflite"):
            find_variants(["int4"])


class TestPromises:
    @pytest.mark.parametrize("key", KEYS)
    def test_every_variant_is_written_under_its_name(self, tiny: Tiny, key: str) -> None:
        assert tiny.artifact(key).is_file()

    @pytest.mark.parametrize(
        ("file", "claimed"),
        [
            ("int8.tflite", "float32.tflite"),
            ("dynamic_int8.tflite", "float32.tflite"),
            ("float16.tflite", "float32.tflite"),
            ("float32.tflite", "float16.tflite"),
            ("float32.tflite", "dynamic_int8.tflite"),
            ("float32.tflite", "int8.tflite"),
            ("dynamic_int8.tflite", "int8.tflite"),
            ("int8.tflite", "int8_mixed.tflite"),
            ("int8_mixed.tflite", "int8.tflite"),
            ("float32.tflite", "int8_mixed.tflite"),
            ("int8_mixed.tflite", "int16x8.tflite"),
            ("float32.onnx", "int8.onnx"),
            ("float32.onnx", "float16.onnx"),
            ("float16.onnx", "float32.onnx"),
            ("int8.onnx", "float32.onnx"),
        ],
    )
    def test_a_file_under_another_variants_name_is_found_out(self, tiny: Tiny, file: str, claimed: str) -> None:
        with pytest.raises(CheckFailed, match="the variant promises"):
            verify.check_types(tiny.artifact(file), variant(claimed))

    @pytest.mark.slow
    def test_int8_takes_pixels_as_they_are_whatever_the_calibration_pictures_range(self, tiny: Tiny) -> None:
        trained = TrainedModel(tiny.folder / "mnist_cnn.keras")
        pale = replace(trained.calibration, pixels=trained.calibration.pixels.clip(40, 200))
        data = to_tflite.convert(to_tflite.Source(trained.saved_model, pale), variant("int8.tflite"))
        (image,), _ = tflite_reader.ends(tflite_reader.read_model(data))
        assert (image.type, image.scale, image.zero_point) == ("UINT8", 1.0, 0)

    def test_an_int8_input_of_another_scale_is_found_out(self, tiny: Tiny, tmp_path: Path) -> None:
        model = tflite_reader.read_model(tiny.artifact("int8.tflite").read_bytes())
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization.scale = [0.5]
        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), b"TFL3")
        path = tmp_path / "halved.tflite"
        path.write_bytes(bytes(builder.Output()))
        with pytest.raises(CheckFailed, match=r"has scale 0\.5 and zero point 0, expected 1 and 0"):
            verify.check_types(path, variant("int8.tflite"))

    def test_float_nodes_that_the_card_does_not_name_are_found_out(self, tiny: Tiny) -> None:
        card = read_card(tiny.artifact("int8.onnx"))
        assert card is not None
        named = card.document["float_layers"]
        verify.check_types(tiny.artifact("int8.onnx"), variant("int8.onnx"), named)
        assert len(named) == 1
        with pytest.raises(CheckFailed, match="is not quantized"):
            verify.check_types(tiny.artifact("int8.onnx"), variant("int8.onnx"), [])

    @pytest.mark.parametrize(
        ("agree", "total", "kept"),
        [(990, 1_000, True), (989, 1_000, False), (59, 60, True), (40, 60, False)],
    )
    def test_agreement_is_asked_for_as_far_as_the_sample_carries(self, agree: int, total: int, kept: bool) -> None:
        found = verify.Agreement(agree, total)
        if kept:
            verify.check_agreement(variant("int8.tflite"), found)
        else:
            with pytest.raises(CheckFailed, match="differently from float"):
                verify.check_agreement(variant("int8.tflite"), found)

    @pytest.mark.parametrize("key", ["float32.tflite", "float32.onnx"])
    def test_float_scores_are_those_of_keras(self, tiny: Tiny, key: str, mnist: Dataset) -> None:
        trained = TrainedModel(tiny.folder / "mnist_cnn.keras")
        pixels = mnist.test.prepared(trained.steps, list(range(20)))
        expected = trained.network.predict(pixels, verbose=0)
        session = open_session(tiny.artifact(key), read_card(tiny.artifact(key)))
        for picture, scores in zip(pixels, expected, strict=True):
            assert session.scores(session.infer(session.tensor(picture))) == pytest.approx(scores, abs=1e-5)
        trained.close()

    def test_int8_takes_pixels_as_they_are(self, tiny: Tiny) -> None:
        session = open_session(tiny.artifact("int8.tflite"), None)
        pixels = np.arange(784, dtype=np.uint8).reshape(28, 28, 1)
        assert session.input_dtype == np.uint8
        assert np.array_equal(session.tensor(pixels)[0], pixels)

    def test_onnx_takes_any_batch(self, tiny: Tiny) -> None:
        import onnxruntime as ort

        session = ort.InferenceSession(str(tiny.artifact("float32.onnx")), providers=["CPUExecutionProvider"])
        assert session.run(None, {"image": np.zeros((5, 28, 28, 1), np.float32)})[0].shape == (5, 10)

    def test_a_broken_promise_leaves_no_file_and_the_others_stand(
        self, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "mnist_cnn@copy"
        shutil.copytree(tiny.folder, folder)

        def garbled(*_: Any) -> verify.Agreement:
            return verify.Agreement(100, 1_000)

        monkeypatch.setattr(verify, "agreement", garbled)
        failures: list[str] = []
        written = list(convert_model(Here(), folder / "mnist_cnn.keras", find_variants(["float32.tflite"]), failures.append))
        assert written == []
        assert len(failures) == 1
        assert not (folder / "mnist_cnn.float32.tflite").exists()
        assert (folder / "mnist_cnn.int8.tflite").exists()
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]


class TestCard:
    @pytest.mark.parametrize("key", KEYS)
    def test_tells_labels_preprocessing_and_provenance(self, tiny: Tiny, key: str) -> None:
        card = read_card(tiny.artifact(key))
        assert card is not None
        document = card.document
        assert card.labels == tuple("0123456789")
        assert f"{card.variant}.{tiny.artifact(key).suffix[1:]}" == key
        assert document["accuracy"]["validation_agreement"]["total"] == 80
        assert document["accuracy"]["keras_test"]["total"] == 80
        assert document["provenance"]["dataset"]["path"] == str(tiny.data)
        assert len(document["provenance"]["source_sha256"]) == 64

    @pytest.mark.parametrize("key", ["int8.tflite", "int8_mixed.tflite", "int16x8.tflite", "int8.onnx"])
    def test_names_the_calibration(self, tiny: Tiny, key: str) -> None:
        card = read_card(tiny.artifact(key))
        assert card is not None
        calibration = card.document["provenance"]["calibration"]
        assert (calibration["count"], calibration["classes"]) == (300, [30] * 10)

    def test_unzip_sees_the_card_in_a_tflite(self, tiny: Tiny) -> None:
        with zipfile.ZipFile(tiny.artifact("int8.tflite")) as archive:
            assert archive.namelist() == ["edgeproof/card.json", "labels.txt"]
            assert archive.read("labels.txt").decode().split() == list("0123456789")

    def test_onnx_readers_see_the_card(self, tiny: Tiny) -> None:
        import onnx

        model = onnx.load(str(tiny.artifact("float32.onnx")))
        onnx.checker.check_model(model)
        assert json.loads({p.key: p.value for p in model.metadata_props}["edgeproof/card.json"])["model"] == "mnist_cnn"

    @pytest.mark.parametrize("key", KEYS)
    def test_the_same_model_and_card_give_the_same_bytes(self, tiny: Tiny, tmp_path: Path, key: str) -> None:
        card = read_card(tiny.artifact(key))
        assert card is not None
        bare = bare_copy(tiny.artifact(key), tmp_path)
        document = {name: value for name, value in card.document.items() if name != "model_sha256"}
        embed(bare, document)
        assert bare.read_bytes() == tiny.artifact(key).read_bytes()

    def test_a_card_that_a_device_would_refuse_is_not_embedded(self, tiny: Tiny, tmp_path: Path) -> None:
        bare = tmp_path / "bare.tflite"
        bare.write_bytes(own_bytes(tiny.artifact("int8.tflite")))
        card = read_card(tiny.artifact("int8.tflite"))
        assert card is not None
        with pytest.raises(CardError, match="input"):
            embed(bare, {**card.document, "input": {"height": 0, "width": 0, "channels": 1, "pixels": "0..255"}})

    def test_a_changed_byte_in_the_model_is_noticed(self, tiny: Tiny, tmp_path: Path) -> None:
        for key in ("int8.tflite", "int8.onnx"):
            data = bytearray(tiny.artifact(key).read_bytes())
            data[len(data) // 2] ^= 1
            changed = tmp_path / f"changed.{key}"
            changed.write_bytes(data)
            with pytest.raises(CardError, match="model_sha256"):
                read_card(changed)

    def test_labels_that_are_not_the_models_are_an_error(self, tiny: Tiny) -> None:
        path = tiny.artifact("float32.tflite")
        card = read_card(path)
        assert card is not None
        wrong = Card.from_json({**card.document, "labels": ["a", "b"]})
        with pytest.raises(CardError, match="labels"):
            open_session(path, wrong)


class TestCalibration:
    def test_is_balanced_seeded_and_from_training_pictures(self, mnist: Dataset) -> None:
        steps = Card.from_json(card_like()).preprocess
        chosen = calibrate.choose(mnist.train, steps, count=100)
        assert np.bincount(chosen.labels).tolist() == [10] * 10
        assert chosen.to_json() == calibrate.choose(mnist.train, steps, count=100).to_json()
        assert chosen.to_json()["sha256"] != calibrate.choose(mnist.train, steps, count=100, seed=1).to_json()["sha256"]

    def test_a_class_that_runs_out_leaves_its_places_to_the_others(self) -> None:
        labels = np.array([0] * 2 + [1] * 50 + [2] * 50)
        chosen = calibrate.balanced_choice(labels, 30, seed=0)
        assert np.bincount(labels[chosen]).tolist() == [2, 14, 14]
        assert len(set(chosen.tolist())) == 30


def card_like() -> dict[str, Any]:
    shape = {"height": 28, "width": 28, "channels": 1, "pixels": "0..255"}
    return {"schema": 1, "model": "m", "variant": "v", "labels": ["a"], "input": shape, "preprocess": [["gray"]]}


class TestCommand:
    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["run", "mnist_cnn"], "train it with"),
            (["run", "resnet"], "unknown model 'resnet'"),
            (["run", "nowhere.keras"], "no such file"),
            (["run", "mnist_cnn@tiny", "--variants", "int3"], "unknown variant 'int3'"),
            (["show", "nowhere.tflite"], "cannot be read"),
        ],
    )
    def test_bad_input_is_one_line_and_code_2(self, tmp_path: Path, arguments: list[str], found: str) -> None:
        result = run_module("convert", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line

    def test_a_damaged_keras_file_is_named_and_its_artifacts_stay(self, tiny: Tiny, tmp_path: Path) -> None:
        folder = tmp_path / "build" / "mnist_cnn@tiny"
        shutil.copytree(tiny.folder, folder)
        keras_file = folder / "mnist_cnn.keras"
        keras_file.write_bytes(keras_file.read_bytes()[:10_000])
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        result = run_module("convert", "run", "mnist_cnn@tiny", cwd=tmp_path)
        assert result.code == 2
        assert "mnist_cnn.keras" in result.error_line
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_show_prints_the_whole_card_as_json(self, tiny: Tiny) -> None:
        result = run_module("convert", "show", "--json", tiny.artifact("int8.tflite"), cwd=tiny.workspace)
        assert result.code == 0
        assert json.loads(result.stdout)["variant"] == "int8"

    def test_show_says_in_words_what_the_card_holds(self, tiny: Tiny) -> None:
        result = run_module("convert", "show", tiny.artifact("int8.onnx"), cwd=tiny.workspace)
        assert result.code == 0
        said = {line.split(maxsplit=1)[0]: line for line in result.stdout.splitlines() if not line.startswith(" ")}
        assert " ".join(said) == "file model takes steps answers accuracy needs float biases proof made"
        assert "of 80 validation pictures answered differently from float without it" in said["biases"]
        assert "28 × 28 pixels, gray" in said["takes"]
        assert "disabled_optimizers = QDQPropagationTransformer" in said["needs"]
        assert "calibrated with 300 training pictures" in result.stdout

    @pytest.mark.parametrize(
        ("field", "value", "code", "found"),
        [
            ("accuracy", {"keras_test": "very good"}, 2, "a field of its card is damaged"),
            ("provenance", {"calibration": {"count": "many"}}, 2, "a field of its card is damaged"),
        ],
        ids=["accuracy-is-text", "calibration-without-hash"],
    )
    def test_show_survives_a_strange_card(
        self, tiny: Tiny, tmp_path: Path, field: str, value: object, code: int, found: str
    ) -> None:
        card = read_card(tiny.artifact("int8.tflite"))
        assert card is not None
        document = {**card.document, field: value}
        del document["model_sha256"]
        path = bare_copy(tiny.artifact("int8.tflite"), tmp_path)
        embed(path, document)
        result = run_module("convert", "show", path, cwd=tmp_path)
        assert result.code == code
        assert found in (result.stdout if code == 0 else result.error_line)


def test_the_onnx_first_convolution_over_one_channel_stays_float_and_the_card_says_how_to_open_it(tiny: Tiny) -> None:
    card = read_card(tiny.artifact("int8.onnx"))
    assert card is not None
    assert card.document["session"] == {"disabled_optimizers": [to_onnx.HARMFUL_TO_MIXED_MODELS]}


class CrashesOn(Here):
    """Crashes on one variant, as a converter may, and has no state after the restart."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def run(self, task: Any, *arguments: Any, **named: Any) -> Any:
        if self._key in arguments:
            self._workplace.exit.close()
            self._workplace = Workplace(print)
            raise Crashed("the converter crashed (SIGSEGV)")
        return super().run(task, *arguments, **named)


class TestCrash:
    def test_a_crash_is_one_line_and_leaves_the_other_variants(self, tiny: Tiny, tmp_path: Path) -> None:
        folder = tmp_path / "mnist_cnn@copy"
        shutil.copytree(tiny.folder, folder)
        failures: list[str] = []
        chosen = find_variants(["float16.tflite", "float32.tflite", "float32.onnx"])
        made = convert_model(CrashesOn("float32.tflite"), folder / "mnist_cnn.keras", chosen, failures.append)
        assert [one.variant.key for one in made] == ["float16.tflite", "float32.onnx"]
        assert failures == [f"{folder}/mnist_cnn.float32.tflite: the converter crashed (SIGSEGV): not written"]
        assert not (folder / "mnist_cnn.float32.tflite").exists()

    @pytest.mark.slow
    def test_it_is_done_in_a_child_that_is_there_again_after_a_crash(self, tiny: Tiny, tmp_path: Path) -> None:
        folder = tmp_path / "mnist_cnn@copy"
        shutil.copytree(tiny.folder, folder)
        chosen = find_variants(["float32.tflite", "float32.onnx"])
        failures: list[str] = []
        with Child(print) as child:
            made = convert_model(child, folder / "mnist_cnn.keras", chosen, failures.append)
            first = next(made)
            assert child._process is not None
            assert child._process.pid is not None
            os.kill(child._process.pid, signal.SIGSEGV)
            assert list(made) == []
            assert [one.variant.key for one in convert_model(child, first.path.with_name("mnist_cnn.keras"), chosen, print)]
        assert first.variant.key == "float32.tflite"
        assert len(failures) == 1
        assert "mnist_cnn.float32.onnx: the converter crashed (SIGSEGV)" in failures[0]
