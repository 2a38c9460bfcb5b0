"""Opening third-party model files."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.files import sha256_of
from convert.formats.card_writer import embed
from convert.importing.import_model import import_model
from convert.importing.sources import open_source
from convert.importing.sources.saved_model import folder_sha256
from convert.trained_model import TrainedModel, keras_path
from device.errors import EdgeproofError
from tests.support.models.imported_models import SIDE, Paint, colour_network, imported, outside, save, some_pixels
from tests.support.models.model_files import write_onnx

KINDS = ("keras", "h5", "saved_model")


class TestDoors:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_gives_the_scores_of_the_original_for_pixels(self, paint: Paint, tmp_path: Path, kind: str) -> None:
        network = colour_network()
        path = save(network, tmp_path, kind)
        trained, _ = imported(outside(paint, path))
        pixels = some_pixels()
        expected = np.asarray(network(pixels / 127.5 - 1))
        assert np.asarray(trained.network(pixels)) == pytest.approx(expected, abs=1e-6)
        source = trained.common["provenance"]["source"]
        assert source["format"] == ("saved_model" if kind == "saved_model" else "keras_file")
        assert source["sha256"] == (folder_sha256(path) if kind == "saved_model" else sha256_of(path))
        assert source["input_range"] == {"name": "-1..1", "scale": [2 / 255], "offset": [-1.0], "order": "rgb"}
        assert keras_path("paint").resolve() == trained.path.resolve()
        trained.close()

    def test_logits_get_a_softmax_and_any_size_the_one_that_is_asked_for(self, paint: Paint, tmp_path: Path) -> None:
        network = colour_network(activation=None, shape=(None, None, 3))
        trained, said = imported(outside(paint, save(network, tmp_path), size=SIDE, calibration=paint.flat))
        pixels = some_pixels()
        scores, logits = np.asarray(trained.network(pixels)), np.asarray(network(pixels / 127.5 - 1))
        assert scores.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)
        assert np.log(scores[:, 1:] / scores[:, :1]) == pytest.approx(logits[:, 1:] - logits[:, :1], abs=1e-3)
        assert (trained.card.height, trained.card.width) == (SIDE, SIDE)
        assert any("Softmax" in line for line in said)
        assert any("without labels" in line for line in said)
        trained.close()

    def test_pictures_of_any_size_get_the_one_that_a_layer_resizes_them_to(self, paint: Paint, tmp_path: Path) -> None:
        import keras

        network = colour_network(shape=(None, None, 3), front=keras.layers.Resizing(20, 28))
        path = save(network, tmp_path)
        assert "--size PIXELS" not in open_source(path).understood.missing
        trained, _ = imported(outside(paint, path))
        assert (trained.card.height, trained.card.width) == (20, 28)
        trained.close()
        trained, _ = imported(outside(paint, path, size=SIDE))
        assert (trained.card.height, trained.card.width) == (SIDE, SIDE)
        trained.close()

    def test_a_model_that_scales_by_itself_needs_no_range_and_gets_no_layer(self, paint: Paint, tmp_path: Path) -> None:
        import keras

        network = colour_network(front=keras.layers.Rescaling(1 / 127.5, offset=-1))
        trained, said = imported(outside(paint, save(network, tmp_path), input_range=None))
        assert any("0..255 (it scales by itself: Rescaling(0.007843, -1))" in line for line in said)
        assert trained.common["provenance"]["source"]["added"] == []
        assert np.asarray(trained.network(some_pixels())) == pytest.approx(np.asarray(network(some_pixels())), abs=1e-6)
        trained.close()

    def test_code_in_a_model_runs_only_when_asked_for_and_is_not_kept(self, paint: Paint, tmp_path: Path) -> None:
        import keras

        network = colour_network(front=keras.layers.Lambda(lambda tensor: tensor / 127.5 - 1, name="by_hand"))
        path = save(network, tmp_path)
        told = outside(paint, path, input_range="0..255")
        with pytest.raises(EdgeproofError, match=r"holds code .*\(Lambda layer by_hand\).*--unsafe-code"):
            import_model(told, print)
        trained, _ = imported(replace(told, unsafe=True))
        assert zipfile.is_zipfile(trained.path)
        assert trained.path.name == "paint.saved_model.zip"
        assert np.asarray(trained.network(some_pixels())) == pytest.approx(np.asarray(network(some_pixels())), abs=1e-6)
        trained.close()

    def test_a_model_of_the_name_is_replaced_whatever_its_kind_and_one_that_was_trained_here_is_not(
        self, paint: Paint, tmp_path: Path
    ) -> None:
        network = colour_network()
        first = import_model(outside(paint, save(network, tmp_path), name="mine"), print)
        second = import_model(outside(paint, save(network, tmp_path, "saved_model"), name="mine"), print)
        assert (first.exists(), second.exists()) == (False, True)
        card_path = second.parent / "mine.card.json"
        card = json.loads(card_path.read_text())
        del card["provenance"]["source"]
        card_path.write_text(json.dumps(card))
        with pytest.raises(EdgeproofError, match="trained here"):
            import_model(outside(paint, tmp_path / "paint.keras", name="mine"), print)


class TestArtifactsOfAnEarlierModel:
    """What stands in build/NAME when another model gets that name."""

    def artifact(self, trained: TrainedModel) -> Path:
        """Write an artifact of an imported model; only its card matters here."""
        path = trained.folder / f"{trained.name}.float32.onnx"
        write_onnx(path, [("in", "FLOAT", [1, 2])], [("Identity", ["in"], ["out"], {})], [("out", "FLOAT", [1, 2])])
        embed(path, {**trained.common, "variant": "float32"})
        trained.close()
        return path

    def test_they_are_removed_and_named(self, paint: Paint, tmp_path: Path) -> None:
        path = self.artifact(imported(outside(paint, save(colour_network(), tmp_path), name="mine"))[0])
        _, said = imported(outside(paint, save(colour_network(gain=9.0), tmp_path), name="mine"))
        assert not path.exists()
        assert any("held another model, or this one imported otherwise: removed mine.float32.onnx made" in s for s in said)

    @pytest.mark.parametrize(("told", "kept"), [({}, True), ({"input_range": "torch"}, False), ({"fit": "stretch"}, False)])
    def test_those_of_the_same_file_stay_if_it_is_imported_in_the_same_way(
        self, paint: Paint, tmp_path: Path, told: dict[str, Any], kept: bool
    ) -> None:
        source = save(colour_network(), tmp_path)
        path = self.artifact(imported(outside(paint, source, name="mine", fit="crop"))[0])
        imported(outside(paint, source, **{"name": "mine", "fit": "crop", "confirm_range": True} | told))
        assert path.exists() is kept

    def test_a_refused_import_removes_nothing(self, paint: Paint, tmp_path: Path) -> None:
        path = self.artifact(imported(outside(paint, save(colour_network(), tmp_path), name="mine"))[0])
        before = {entry: entry.read_bytes() for entry in path.parent.iterdir()}
        with pytest.raises(EdgeproofError, match="sigmoid"):
            import_model(outside(paint, save(colour_network(activation="sigmoid"), tmp_path), name="mine"), print)
        assert {entry: entry.read_bytes() for entry in path.parent.iterdir()} == before

    def test_a_model_that_is_used_as_it_is_is_not_mixed_with_another(self, paint: Paint, tmp_path: Path) -> None:
        given = Path("build") / "mine" / "mine.given.tflite"
        given.parent.mkdir(parents=True)
        given.write_bytes(b"")
        with pytest.raises(EdgeproofError, match=r"mine\.given\.tflite: is a model that is used as it is: choose another"):
            import_model(outside(paint, save(colour_network(), tmp_path), name="mine"), print)


def several(what: str) -> Callable[[], Any]:
    def build() -> Any:
        import keras

        one, two = (keras.Input((SIDE, SIDE, 3), name=name) for name in ("left", "right"))
        mean = keras.layers.GlobalAveragePooling2D()
        if what == "inputs":
            return keras.Model([one, two], keras.layers.Softmax()(mean(one) + mean(two)))
        return keras.Model(one, [keras.layers.Softmax(name=name)(mean(one)) for name in ("colour", "shade")])

    return build


def headless() -> Any:
    import keras

    network = colour_network()
    return keras.Model(network.input, network.get_layer("look").output)


def not_finite() -> Any:
    network = colour_network()
    network.get_layer("colour").set_weights([np.full((8, 3), np.nan), np.zeros(3)])
    return network


def picking() -> Any:
    import keras

    network = colour_network()
    return keras.Model(network.input, keras.ops.argmax(network.output, axis=1, keepdims=True))


class TestRefusals:
    @pytest.mark.parametrize("kind", ["keras", "saved_model"])
    def test_a_class_number_is_refused_for_the_scores_that_it_is_made_of(self, tmp_path: Path, kind: str) -> None:
        with pytest.raises(EdgeproofError, match=r"class number \(int32, of ArgMax\): export the scores that go into"):
            open_source(save(picking(), tmp_path, kind))

    @pytest.mark.parametrize(
        ("build", "told", "found"),
        [
            (several("inputs"), {}, r"2 inputs \(left \(\?, 24, 24, 3\), right"),
            (several("outputs"), {}, r"2 outputs \(colour \(\?, 3\), shade"),
            (headless, {}, "classifying head"),
            (not_finite, {}, r"answers each of 12 pictures with scores that are no numbers .*: its weights are damaged"),
            (
                lambda: colour_network(activation="sigmoid"),
                {},
                "outputs come from a sigmoid: it answers each class by itself",
            ),
            (lambda: colour_network(activation="sigmoid", gain=90.0), {}, "come from a sigmoid"),  # they sum to 1 by chance
            (
                lambda: colour_network(classes=4),
                {},
                "3 labels, the model has 4 outputs: its first class may be 'background'",
            ),
            (lambda: colour_network(classes=7), {}, "3 labels, the model has 7 outputs$"),
            (lambda: colour_network(shape=(None, None, 3)), {}, "any size: give --size"),
            (colour_network, {"size": 32}, "takes 24×24 pixels, asked for are 32×32"),
            (lambda: colour_network(shape=(SIDE, SIDE, 1)), {"input_range": "caffe"}, "3 channels, the model takes 1"),
            (colour_network, {"input_range": "1..0"}, "expected 0..255, 0..1"),
            (colour_network, {"name": "../x"}, "--name"),
            (colour_network, {"name": "mnist_cnn"}, "model of this project"),
        ],
    )
    def test_what_does_not_fit_is_named_and_nothing_is_written(
        self, paint: Paint, inside: Path, tmp_path: Path, build: Callable[[], Any], told: dict[str, Any], found: str
    ) -> None:
        path = save(build(), tmp_path)
        with pytest.raises(EdgeproofError, match=found):
            import_model(outside(paint, path, **told), print)
        assert list(inside.iterdir()) == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_no_word_on_the_values_it_takes_is_refused_with_hints(self, paint: Paint, tmp_path: Path, kind: str) -> None:
        path = save(colour_network(name="mobilenetv2_mine", gain=1.0), tmp_path, kind)
        with pytest.raises(EdgeproofError, match="--input-range") as refusal:
            import_model(outside(paint, path, input_range=None), print)
        assert "'mobilenetv2_mine" in str(refusal.value)
        assert "take -1..1" in str(refusal.value)
        assert "of 12 labelled pictures it answers rightly 12 with 0..255, 12 with 0..1, 12 with -1..1, " in str(
            refusal.value
        )

    def test_labels_in_another_order_are_said(self, paint: Paint, tmp_path: Path) -> None:
        import keras

        labels = tmp_path / "other.txt"
        labels.write_text("green\nblue\nred\n")
        path = save(colour_network(front=keras.layers.Rescaling(1 / 127.5, offset=-1)), tmp_path)
        _, said = imported(outside(paint, path, labels=labels, input_range=None))
        assert any("no better than guessing" in line for line in said)

    def test_two_equal_labels_are_said(self, paint: Paint, tmp_path: Path) -> None:
        labels = tmp_path / "twice.txt"
        labels.write_text("crane\ncrane\nblue\n")
        _, said = imported(outside(paint, save(colour_network(), tmp_path), labels=labels, calibration=paint.flat))
        assert "note: 'crane' is label 0 and 1: answers do not tell them apart" in said

    @pytest.mark.parametrize("front", [lambda image: image / 127.5 - 1, lambda image: (image - 127.5) * (1 / 127.5)])
    def test_scaling_twice_is_refused_unless_it_is_confirmed(
        self, paint: Paint, tmp_path: Path, front: Callable[[Any], Any]
    ) -> None:
        path = save(colour_network(front=front), tmp_path)
        with pytest.raises(EdgeproofError, match=r"takes 0\.\.255 \(it scales by itself.*--confirm-range"):
            import_model(outside(paint, path), print)
        assert imported(outside(paint, path, confirm_range=True))[0].card.labels == ("red", "green", "blue")
        trained, _ = imported(outside(paint, path, input_range=None))
        assert trained.common["provenance"]["source"]["added"] == []

    def test_a_range_that_the_model_seems_to_say_is_refused_where_labelled_pictures_contradict_it(
        self, paint: Paint, tmp_path: Path
    ) -> None:
        network = colour_network(front=lambda pixels: (pixels - 0.5) / 0.5)
        network.get_layer("colour").set_weights(
            [np.eye(8, 3) * 6, np.array([0.0, 20.0, 0.0])]
        )  # green wins for small values
        path = save(network, tmp_path)
        with pytest.raises(
            EdgeproofError,
            match=r"seems to take 0\.\.1 \(.*answers 4 rightly with 0\.\.1, 12 with 0\.\.255.*: give --input-range",
        ):
            import_model(outside(paint, path, input_range=None), print)
        trained, _ = imported(outside(paint, path, input_range="0..255", confirm_range=True))
        trained.close()

    def test_a_range_that_labelled_pictures_contradict_is_refused_unless_it_is_confirmed(
        self, paint: Paint, tmp_path: Path
    ) -> None:
        network = colour_network()  # green wins where values are not negative
        network.get_layer("colour").set_weights([np.eye(8, 3) * 6, np.array([0.0, 6.0, 0.0])])
        path = save(network, tmp_path)
        with pytest.raises(
            EdgeproofError,
            match=r"answers 4 rightly with 0\.\.1, .*12 with -1\.\.1, 12 with torch: give another --input-range",
        ):
            import_model(outside(paint, path, input_range="0..1"), print)
        _, said = imported(outside(paint, path, input_range="0..1", confirm_range=True))
        assert any("answers 4 of 12" in line for line in said)
        _, said = imported(outside(paint, path, input_range="0..1", calibration=paint.flat))
        assert any("without labels: " in line for line in said)
        labels = paint.folder / "capitals.txt"
        labels.write_text("Red\nGreen\nBlue\n")
        _, said = imported(outside(paint, path, labels=labels))
        assert any("without labels (their folders blue, green, red are none of Red, Green, Blue, ...)" in s for s in said)

    @pytest.mark.parametrize(
        ("name", "content", "found"),
        [
            (
                "paint.keras",
                b"PK nonsense",
                r"no Keras model, or is cut off \(a \.keras is a ZIP archive, it begins with",
            ),
            ("paint.h5", b"nonsense", r"is no Keras model, or is cut off \(a \.h5 is a HDF5 file, it begins with"),
            ("paint.weights.h5", b"nonsense", "weights without a model"),
            (
                "paint.tflite",
                b"nonsense",
                "no TFLite model",
            ),
            ("paint/variables", b"nonsense", "folder without a model in it"),
            ("paint/saved_model.pb", b"nonsense", r"damaged|no graph"),
        ],
    )
    def test_a_file_that_is_no_model_is_said(self, tmp_path: Path, name: str, content: bytes, found: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(EdgeproofError, match=found):
            open_source(path if path.parent == tmp_path else path.parent)
