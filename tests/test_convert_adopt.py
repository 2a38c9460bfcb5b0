"""Models that were not trained here: what they take and give is settled or refused, then they are models like any other."""

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert import golden, verify
from convert.adopt import Outside, adopt
from convert.input_range import InputRange, parse_range, range_from_json, scaling_layers, trained_on
from convert.outside import folder_sha256, open_source
from convert.preprocess_file import read_preprocess
from convert.run import TrainedModel, convert_model, keras_path
from convert.variant import Variant, find_variants
from device.classify import Card, CheckFailed, EdgeproofError, read_card
from tests.conftest import Finished, classify, run_room
from train.calibration_folder import calibration_reference, load_calibration
from train.data import NO_LABEL, DataReference, open_dataset
from train.files import sha256_of

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 40, 220)}
SIDE, A_CLASS = 24, 12
KINDS = ("keras", "h5", "saved_model")


def colour_network(**options: Any) -> Any:
    """Return a network over values -1..1 that tells a picture's colour: its weights are set, not trained."""
    import keras

    settings: dict[str, Any] = {"shape": (SIDE, SIDE, 3), "activation": "softmax", "classes": 3} | options
    image = keras.Input(settings["shape"], batch_size=settings.get("batch"), name="photo")
    values = settings.get("front", lambda tensor: tensor)(image)
    values = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="look")(values)
    values = keras.layers.GlobalAveragePooling2D(name="mean")(values)
    scores = keras.layers.Dense(settings["classes"], activation=settings["activation"], name="colour")(values)
    network = keras.Model(image, scores, name=settings.get("name", "paint"))
    channels = settings["shape"][2]
    kernel = np.random.default_rng(0).normal(0, 0.02, (3, 3, channels, 8))
    kernel[1, 1, :, :channels] += np.eye(channels)
    network.get_layer("look").set_weights([kernel])
    if settings["classes"] == 3:
        network.get_layer("colour").set_weights([np.eye(8, 3) * settings.get("gain", 6.0), np.zeros(3)])
    return network


def save(network: Any, folder: Path, kind: str = "keras") -> Path:
    path = folder / ("paint" if kind == "saved_model" else f"paint.{kind}")
    if kind == "saved_model":
        network.export(str(path), format="tf_saved_model", verbose=False)
    else:
        network.save(path)
    return path


@dataclass(frozen=True)
class Paint:
    """Labels and coloured pictures, as class folders and in one folder."""

    folder: Path
    labels: Path
    classes: Path
    flat: Path


@pytest.fixture(scope="session")
def paint(tmp_path_factory: pytest.TempPathFactory) -> Paint:
    folder = tmp_path_factory.mktemp("paint")
    labels = folder / "labels.txt"
    labels.write_text("\n".join(COLOURS) + "\n")
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        for number in range(A_CLASS):
            pixels = np.array(colour) + random.normal(0, 20, (30, 40, 3)) + random.normal(0, 8, 3)
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            for path in (folder / "classes" / name / f"{number}.png", folder / "flat" / f"{name}{number}.png"):
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
    return Paint(folder, labels, folder / "classes", folder / "flat")


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def outside(paint: Paint, path: Path, **told: Any) -> Outside:
    settings: dict[str, Any] = {"labels": paint.labels, "calibration": paint.classes, "input_range": "-1..1"}
    return Outside(path, **settings | told)


def taken_in(told: Outside) -> tuple[TrainedModel, list[str]]:
    said: list[str] = []
    return TrainedModel(adopt(told, said.append)), said


def some_pixels(count: int = 5) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.float32)


class TestDoors:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_gives_the_scores_of_the_original_for_pixels(self, paint: Paint, tmp_path: Path, kind: str) -> None:
        network = colour_network()
        path = save(network, tmp_path, kind)
        trained, _ = taken_in(outside(paint, path))
        pixels = some_pixels()
        expected = np.asarray(network(pixels / 127.5 - 1))
        assert np.asarray(trained.network(pixels)) == pytest.approx(expected, abs=1e-6)
        source = trained.common["provenance"]["source"]
        assert source["format"] == kind
        assert source["sha256"] == (folder_sha256(path) if kind == "saved_model" else sha256_of(path))
        assert source["input_range"] == {"name": "-1..1", "scale": [2 / 255], "offset": [-1.0], "order": "rgb"}
        assert keras_path("paint").resolve() == trained.path.resolve()
        trained.close()

    def test_logits_get_a_softmax_and_any_size_the_one_that_is_asked_for(self, paint: Paint, tmp_path: Path) -> None:
        network = colour_network(activation=None, shape=(None, None, 3))
        trained, said = taken_in(outside(paint, save(network, tmp_path), size=SIDE, calibration=paint.flat))
        pixels = some_pixels()
        scores, logits = np.asarray(trained.network(pixels)), np.asarray(network(pixels / 127.5 - 1))
        assert scores.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)
        assert np.log(scores[:, 1:] / scores[:, :1]) == pytest.approx(logits[:, 1:] - logits[:, :1], abs=1e-3)
        assert (trained.card.height, trained.card.width) == (SIDE, SIDE)
        assert any("Softmax" in line for line in said)
        assert any("without labels" in line for line in said)
        trained.close()

    def test_a_model_that_scales_by_itself_needs_no_range_and_gets_no_layer(self, paint: Paint, tmp_path: Path) -> None:
        import keras

        network = colour_network(front=keras.layers.Rescaling(1 / 127.5, offset=-1))
        trained, said = taken_in(outside(paint, save(network, tmp_path), input_range=None))
        assert any("it takes 0..255: it scales by itself (Rescaling(0.007843, -1))" in line for line in said)
        assert trained.common["provenance"]["source"]["added"] == []
        assert np.asarray(trained.network(some_pixels())) == pytest.approx(np.asarray(network(some_pixels())), abs=1e-6)
        trained.close()

    def test_code_in_a_model_runs_only_when_asked_for_and_is_not_kept(self, paint: Paint, tmp_path: Path) -> None:
        import keras

        network = colour_network(front=keras.layers.Lambda(lambda tensor: tensor / 127.5 - 1, name="by_hand"))
        path = save(network, tmp_path)
        told = outside(paint, path, input_range="0..255")
        with pytest.raises(EdgeproofError, match=r"Lambda layers \(by_hand\).*--unsafe-code"):
            adopt(told, print)
        trained, _ = taken_in(replace(told, unsafe=True))
        assert zipfile.is_zipfile(trained.path)
        assert trained.path.name == "paint.saved_model.zip"
        assert np.asarray(trained.network(some_pixels())) == pytest.approx(np.asarray(network(some_pixels())), abs=1e-6)
        trained.close()

    def test_a_saved_model_that_reaches_the_file_system_is_not_loaded(self, paint: Paint, tmp_path: Path) -> None:
        import tensorflow as tf

        class Reader(tf.Module):  # type: ignore[misc]  # tensorflow is untyped
            @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3))])  # type: ignore[untyped-decorator]
            def __call__(self, image: Any) -> Any:
                size = tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)
                return tf.reduce_mean(image, [1, 2]) + 0 * size

        module = Reader()
        tf.saved_model.save(module, str(tmp_path / "reader"), signatures=module.__call__.get_concrete_function())
        with pytest.raises(EdgeproofError, match="ReadFile"):
            adopt(outside(paint, tmp_path / "reader"), print)

    def test_a_model_of_the_name_is_replaced_whatever_its_kind_and_one_that_was_trained_here_is_not(
        self, paint: Paint, tmp_path: Path
    ) -> None:
        network = colour_network()
        first = adopt(outside(paint, save(network, tmp_path), name="mine"), print)
        second = adopt(outside(paint, save(network, tmp_path, "saved_model"), name="mine"), print)
        assert (first.exists(), second.exists()) == (False, True)
        card_path = second.parent / "mine.card.json"
        card = json.loads(card_path.read_text())
        del card["provenance"]["source"]
        card_path.write_text(json.dumps(card))
        with pytest.raises(EdgeproofError, match="trained here"):
            adopt(outside(paint, tmp_path / "paint.keras", name="mine"), print)


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


def channels_first() -> Any:
    import keras

    image = keras.Input((3, SIDE, SIDE))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(image)))


def not_finite() -> Any:
    network = colour_network()
    network.get_layer("colour").set_weights([np.full((8, 3), np.nan), np.zeros(3)])
    return network


class TestRefusals:
    @pytest.mark.parametrize(
        ("build", "told", "found"),
        [
            (several("inputs"), {}, r"2 inputs \(left \(\?, 24, 24, 3\), right"),
            (several("outputs"), {}, r"2 outputs \((softmax|colour)"),
            (headless, {}, "classifying head"),
            (channels_first, {}, "channels first"),
            (not_finite, {}, "not finite"),
            (lambda: colour_network(batch=4), {}, "batch is fixed at 4"),
            (lambda: colour_network(activation="sigmoid"), {}, "sigmoid"),
            (
                lambda: colour_network(classes=4),
                {},
                "3 labels, the model has 4 outputs: its first class may be 'background'",
            ),
            (lambda: colour_network(classes=7), {}, "3 labels, the model has 7 outputs$"),
            (lambda: colour_network(shape=(None, None, 3)), {}, "any size: give --size"),
            (lambda: colour_network(shape=(SIDE, 2 * SIDE, 3)), {}, "24×48 .* squares"),
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
            adopt(outside(paint, path, **told), print)
        assert list(inside.iterdir()) == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_no_word_on_the_values_it_takes_is_refused_with_hints(self, paint: Paint, tmp_path: Path, kind: str) -> None:
        path = save(colour_network(name="mobilenetv2_mine", gain=1.0), tmp_path, kind)
        with pytest.raises(EdgeproofError, match="--input-range") as refusal:
            adopt(outside(paint, path, input_range=None), print)
        assert "'mobilenetv2_mine" in str(refusal.value)
        assert "take -1..1" in str(refusal.value)
        assert "of 12 labelled pictures it answers rightly 12 with 0..255, 12 with 0..1, 12 with -1..1, " in str(
            refusal.value
        )

    def test_labels_in_another_order_and_scaling_twice_are_said(self, paint: Paint, tmp_path: Path) -> None:
        import keras

        labels = tmp_path / "other.txt"
        labels.write_text("green\nblue\nred\n")
        path = save(colour_network(front=keras.layers.Rescaling(1 / 127.5, offset=-1)), tmp_path)
        _, said = taken_in(outside(paint, path, labels=labels))
        assert any("no better than guessing" in line for line in said)
        assert any("scales by itself too" in line for line in said)

    @pytest.mark.parametrize(
        ("name", "content", "found"),
        [
            ("paint.keras", b"PK nonsense", "Keras cannot load it"),
            ("paint.h5", b"nonsense", "Keras cannot load it"),
            ("paint.weights.h5", b"nonsense", "weights without a model"),
            (
                "paint.tflite",
                b"nonsense",
                r"expected a \.keras or \.h5 file or the folder of a SavedModel, found '\.tflite'",
            ),
            ("paint/variables", b"nonsense", r"without saved_model\.pb"),
            ("paint/saved_model.pb", b"nonsense", r"damaged|no graph"),
        ],
    )
    def test_a_file_that_is_no_model_is_said(self, tmp_path: Path, name: str, content: bytes, found: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(EdgeproofError, match=found):
            open_source(path if path.parent == tmp_path else path.parent)


class TestPictures:
    def test_a_seeded_third_is_held_out_with_every_class_in_both_parts(self, paint: Paint) -> None:
        reference = calibration_reference(paint.classes)
        dataset = load_calibration(reference, tuple(COLOURS))
        assert (len(dataset.train), len(dataset.val)) == (24, 12)
        assert not {str(path) for path in dataset.train.sources} & {str(path) for path in dataset.val.sources}
        assert np.bincount(dataset.train.labels).tolist() == [8, 8, 8]
        again = open_dataset(DataReference.from_json(json.loads(json.dumps(reference.to_json()))), tuple(COLOURS))
        assert (again.train.sha256, again.val.sha256) == (dataset.train.sha256, dataset.val.sha256)

    def test_folders_that_are_no_labels_give_pictures_without_labels(self, paint: Paint) -> None:
        dataset = load_calibration(calibration_reference(paint.classes), ("tench", "goldfish"))
        assert set(dataset.train.labels) == {NO_LABEL}
        assert not dataset.val.labelled

    def test_other_pictures_verify_where_there_are_some(self, paint: Paint) -> None:
        dataset = load_calibration(calibration_reference(paint.flat, paint.classes), tuple(COLOURS))
        assert (len(dataset.train), len(dataset.val)) == (36, 36)
        assert (dataset.train.labelled, dataset.val.labelled) == (False, True)

    @pytest.mark.parametrize(
        ("files", "found"),
        [
            ([], "holds no pictures"),
            (["a.png"], "holds 1 usable pictures, too few"),
            (["red/a.png", "b.png"], "expected one or the other"),
            (["red/a.png", "pink/b.png"], "pink are none of the 3 labels"),
        ],
    )
    def test_a_folder_that_cannot_be_used_is_said(self, tmp_path: Path, files: Sequence[str], found: str) -> None:
        for name in files:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8)).save(tmp_path / name)
        with pytest.raises(EdgeproofError, match=found):
            load_calibration(calibration_reference(tmp_path), tuple(COLOURS))

    def test_unreadable_ones_are_listed_or_left_out(self, paint: Paint, tmp_path: Path) -> None:
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        for path in paint.flat.iterdir():
            (pictures / path.name).write_bytes(path.read_bytes())
        (pictures / "broken.jpg").write_bytes(b"no picture")
        told = outside(paint, save(colour_network(), tmp_path), calibration=pictures)
        with pytest.raises(EdgeproofError, match=r"1 unusable pictures; .*--skip-bad:\n  broken\.jpg: not a picture"):
            adopt(told, print)
        trained, said = taken_in(replace(told, skip_bad=True))
        assert any("left out 1 unusable pictures: broken.jpg" in line for line in said)
        assert trained.dataset.reference.skipped == ("broken.jpg",)
        trained.close()


class TestInputRange:
    @pytest.mark.parametrize(
        ("module", "text"), [("mobilenet_v2", "-1..1"), ("resnet50", "caffe"), ("densenet", "torch"), ("vgg16", "caffe")]
    )
    def test_named_ranges_are_those_of_keras_applications(self, module: str, text: str) -> None:
        import importlib

        import keras

        applied = parse_range(text).applied(keras.ops.convert_to_tensor(some_pixels()))
        expected = importlib.import_module(f"keras.applications.{module}").preprocess_input(some_pixels().copy())
        assert np.asarray(applied) == pytest.approx(np.asarray(expected), rel=1e-5, abs=1e-4)
        assert trained_on([module.replace("_", "")]) == (module.replace("_", ""), text)

    def test_json_tells_scale_offset_and_order(self) -> None:
        found = range_from_json({"scale": 0.5, "offset": [1, 2, 3], "order": "bgr"}, "card.json")
        assert found == InputRange("as in card.json", (0.5,), (1.0, 2.0, 3.0), "bgr")
        assert range_from_json({"height": 3}, "card.json") is None
        assert parse_range("0..255").is_pixels

    @pytest.mark.parametrize(
        "shape",
        [
            {"range": "0..1", "scale": 1},
            {"scale": "1/255"},
            {"scale": [1, 2]},
            {"scale": 0},
            {"offset": float("nan")},
            {"order": "grb"},
            {"range": 1},
        ],
    )
    def test_json_that_says_nothing_clear_is_refused(self, shape: dict[str, Any]) -> None:
        with pytest.raises(EdgeproofError, match=r"card\.json: input"):
            range_from_json(shape, "card.json")

    def test_only_layers_in_front_that_scale_pixels_down_count(self) -> None:
        import keras

        assert scaling_layers(colour_network(front=keras.layers.Rescaling(2.0))) == []
        assert scaling_layers(colour_network(front=keras.layers.Rescaling(1 / 255))) == ["Rescaling(0.003922, 0)"]
        assert scaling_layers(colour_network(front=keras.layers.Normalization(mean=120.0, variance=9.0))) == [
            "Normalization"
        ]
        assert scaling_layers(colour_network(front=keras.layers.Normalization(mean=0.5, variance=0.1))) == []

    @pytest.mark.parametrize(
        ("document", "found"),
        [
            ([], "JSON object"),
            ({}, "expected preprocess and input"),
            ({"steps": []}, "found steps"),
            ({"preprocess": []}, "list of steps"),
            ({"preprocess": [["blur"]]}, "unknown step 'blur'"),
            ({"input": {"mean": 1}}, "input mean: expected height"),
            ({"input": {"height": 8}}, "height and width"),
            ({"input": {"height": "8", "width": 8}}, "input.height '8'"),
        ],
    )
    def test_a_preprocess_file_that_is_unclear_is_refused(self, tmp_path: Path, document: Any, found: str) -> None:
        path = tmp_path / "card.json"
        path.write_text(json.dumps(document))
        with pytest.raises(EdgeproofError, match=found):
            read_preprocess(path)

    def test_a_preprocess_file_gives_steps_and_range_and_must_lead_to_the_input(self, paint: Paint, tmp_path: Path) -> None:
        file = tmp_path / "card.json"
        steps = [["rgb"], ["resize", {"size": SIDE, "filter": "bicubic"}], ["center_crop", {"size": SIDE}]]
        file.write_text(json.dumps({"preprocess": steps, "input": {"scale": 2 / 255, "offset": -1}}))
        path = save(colour_network(), tmp_path)
        trained, _ = taken_in(outside(paint, path, input_range=None, preprocess=file))
        assert trained.common["preprocess"] == steps
        assert np.asarray(trained.network(some_pixels())) == pytest.approx(
            np.asarray(colour_network()(some_pixels() / 127.5 - 1)), abs=1e-6
        )
        trained.close()
        file.write_text(json.dumps({"preprocess": steps[:2]}))
        with pytest.raises(EdgeproofError, match=r"the steps make .* the model takes \(24, 24, 3\)|must end in one size"):
            adopt(outside(paint, path, preprocess=file), print)


def found_agreement(scores: Any, reference: Any, key: str, margin: float) -> verify.Agreement:
    """Compare rows of scores with rows of Keras's."""

    class Canned:
        def __init__(self) -> None:
            self.rows = iter(np.array(scores, np.float32))

        def tensor(self, _: Any) -> Any:
            return None

        def infer(self, _: Any) -> Any:
            return None

        def scores(self, _: Any) -> Any:
            return next(self.rows)

    (variant,) = find_variants([key])
    pixels = np.zeros((len(reference), 1, 1, 1), np.uint8)
    return verify.agreement(Canned(), pixels, np.array(reference, np.float32), variant, margin)  # type: ignore[arg-type]


class TestUndecided:
    KERAS = ((0.9, 0.1), (0.52, 0.48), (0.2, 0.8))
    FOUND = ((0.8, 0.2), (0.49, 0.51), (0.3, 0.7))

    def test_only_pictures_that_keras_decides_count_and_how_many_is_said(self) -> None:
        found = found_agreement(self.FOUND, self.KERAS, "int8.tflite", 0.1)
        assert (found.agree, found.total, found.undecided, found.scores) == (2, 2, 1, None)
        assert verify.describe(found) == (
            "answers 2 of the 2 of 3 validation pictures that Keras decides by 0.1 and more as Keras does"
        )
        assert found.to_json() == {"agree": 2, "total": 2, "margin": 0.1, "undecided": 1}

    def test_of_a_model_that_was_trained_here_every_picture_counts(self) -> None:
        (variant,) = find_variants(["int8.tflite"])
        assert verify.counted_margin(variant, trained_here=True) == 0
        found = found_agreement(self.FOUND, self.KERAS, "int8.tflite", 0.0)
        assert found.to_json() == {"agree": 2, "total": 3}

    @pytest.mark.parametrize(
        ("key", "worst", "kept"),
        [("float32.onnx", 1e-5, True), ("float32.onnx", 1e-3, False), ("int8.onnx", 0.02, True), ("int8.onnx", 0.06, False)],
    )
    def test_where_none_is_decided_scores_are_compared(self, key: str, worst: float, kept: bool) -> None:
        keras = np.full((4, 3), 1 / 3)
        found = found_agreement(keras + np.array((worst, -worst, 0)), keras, key, 0.1)
        assert found.total == 0
        assert found.scores is not None
        assert found.scores.worst == pytest.approx(worst, rel=0.02)
        (variant,) = find_variants([key])
        if kept:
            verify.check_agreement(variant, found)
        else:
            with pytest.raises(CheckFailed, match="Keras decides none of 4"):
                verify.check_agreement(variant, found)

    def test_a_comparison_that_shows_little_says_so(self) -> None:
        thousand = np.full((2, 1_000), 0.001)
        assert "shows little" in verify.describe(found_agreement(thousand, thousand, "int8.tflite", 0.1))
        assert "shows little" not in verify.describe(found_agreement(thousand, thousand, "int8.onnx", 0.1))


def test_golden_pictures_of_a_large_input_stay_within_200_kb_and_are_eight(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(random.integers(0, 256, (140, 140, 3), np.uint8)).save(tmp_path / f"{number}.png")
    labels = [f"class {number}" for number in range(1_000)]
    shape = {"height": 128, "width": 128, "channels": 3, "pixels": "0..255"}
    steps = [["rgb"], ["resize", {"size": 128}], ["center_crop", {"size": 128}]]
    card = Card.from_json({"schema": 1, "model": "m", "variant": "v", "labels": labels, "input": shape, "preprocess": steps})
    split = load_calibration(calibration_reference(tmp_path, tmp_path), labels).val
    probabilities = np.full((12, 1_000), 0.01 / 998, np.float32)
    probabilities[np.arange(12), np.arange(12)], probabilities[:, 999] = 0.98, 0.01
    asked: list[Any] = []

    def answer(pixels: Any) -> Any:
        asked.append(pixels)
        return np.full((1, 1_000), 0.001, np.float32)

    chosen = golden.choose(split, np.arange(12), probabilities, card, answer)
    assert len(chosen) >= 8
    assert sum(len(picture.png) for picture in chosen) * 4 / 3 <= 200_000
    assert len(asked) == len(chosen)  # in fewer colours each is another picture
    assert not any(picture.clear for picture in chosen)


KEYS = [variant.key for variant in find_variants([])]


@dataclass(frozen=True)
class Converted:
    """A model from elsewhere that the command has converted."""

    result: Finished
    folder: Path
    workspace: Path


@pytest.fixture(scope="module")
def converted(paint: Paint, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    workspace = tmp_path_factory.mktemp("elsewhere")
    path = save(colour_network(), workspace)
    options: list[str | Path] = [
        "--labels",
        paint.labels,
        "--calibration",
        paint.classes,
        "--input-range",
        "-1..1",
        "--name",
        "colours",
    ]
    result = run_room("convert", "run", path, *options, cwd=workspace)
    return Converted(result, workspace / "build" / "colours", workspace)


class TestCommand:
    def test_makes_every_default_variant_and_says_what_it_compared(self, converted: Converted) -> None:
        assert converted.result.code == 0, converted.result.stdout + converted.result.stderr
        made = {path.name.removeprefix("colours.") for path in converted.folder.iterdir()}
        assert made == {*KEYS, "keras", "card.json"}
        assert "24 to calibrate with, 12 held out of them" in converted.result.stdout
        assert "note: 24 pictures are few" in converted.result.stdout
        assert "Keras answers 12 of 12" in converted.result.stdout
        assert converted.result.stdout.count("answers 12 of 12 validation pictures as Keras does") == len(KEYS)

    @pytest.mark.parametrize("key", KEYS)
    def test_each_carries_the_whole_card(self, converted: Converted, key: str) -> None:
        card = read_card(converted.folder / f"colours.{key}")
        assert card is not None
        provenance = card.document["provenance"]
        assert card.labels == tuple(COLOURS)
        assert provenance["source"]["file"] == "paint.keras"
        assert provenance["source"]["sha256"] == sha256_of(converted.workspace / "paint.keras")
        assert provenance["source_sha256"] == sha256_of(converted.folder / "colours.keras")
        assert len(card.document["golden"]) >= 8
        agreement = card.document["accuracy"]["validation_agreement"]
        assert (agreement["agree"], agreement["total"], agreement["undecided"]) == (12, 12, 0)
        assert agreement["margin"] == (0.1 if "int8" in key else 0.005)
        assert ("calibration" in provenance) == key.startswith("int")
        if "calibration" in provenance:
            assert (provenance["calibration"]["count"], provenance["calibration"]["classes"]) == (24, [8, 8, 8])

    def test_the_artifacts_pass_their_self_test_and_classify(self, converted: Converted, paint: Paint) -> None:
        for key in ("int8.tflite", "int8.onnx"):
            result = classify(f"colours.{key}", "--self-test", cwd=converted.folder)
            assert result.code == 0, result.stdout
        result = classify("colours.int8.tflite", paint.flat / "blue3.png", "--json", cwd=converted.folder)
        assert json.loads(result.stdout)["top"][0]["label"] == "blue"

    def test_the_doctor_finds_it_healthy_by_its_name(self, converted: Converted) -> None:
        result = run_room("convert", "doctor", "colours", "--variant", "int8.tflite", cwd=converted.workspace)
        assert result.code == 0, result.stdout + result.stderr
        assert "no finding" in result.stdout
        assert "look" in result.stdout

    def test_it_can_be_converted_again_by_its_name(self, converted: Converted) -> None:
        result = run_room("convert", "run", "colours", "--variants", "float32.onnx", cwd=converted.workspace)
        assert result.code == 0, result.stderr

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["paint.keras"], "give --labels FILE and --calibration DIR"),
            (["colours"], "unknown model 'colours'"),
            (["paint.keras", "--labels", "labels.txt"], "needs both --labels FILE and --calibration DIR"),
            (["paint.keras", "--input-range", "0..1"], "needs both"),
            (["a.keras", "b.keras", "--labels", "x", "--calibration", "y"], "of one FILE"),
            (["nowhere.keras", "--labels", "labels.txt", "--calibration", "."], "no such file"),
            (["paint.keras", "--labels", "nowhere.txt", "--calibration", "."], "nowhere.txt: cannot be read"),
        ],
    )
    def test_wrong_usage_is_one_line_and_code_2(
        self, paint: Paint, tmp_path: Path, arguments: list[str], found: str
    ) -> None:
        (tmp_path / "paint.keras").write_bytes(b"")
        (tmp_path / "labels.txt").write_bytes(paint.labels.read_bytes())
        result = run_room("convert", "run", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line
        assert not (tmp_path / "build").exists()

    def test_bench_measures_it(self, converted: Converted, tmp_path: Path) -> None:
        told: list[str | Path] = [converted.folder / "colours.float32.onnx", "--seconds", "0.1"]
        result = run_room("bench", "run", *told, cwd=tmp_path)
        assert result.code == 0, result.stderr
        row = json.loads((tmp_path / "build" / "bench.json").read_text())["measurements"][0]
        assert (row["model"], row["accuracy"]["correct"], row["accuracy"]["total"]) == ("colours", 12, 12)

    def test_bench_measures_latency_and_asks_for_labels_where_there_are_none(self, paint: Paint, tmp_path: Path) -> None:
        path = save(colour_network(), tmp_path)
        options: list[str | Path] = [
            "--labels",
            paint.labels,
            "--calibration",
            paint.flat,
            "--input-range",
            "-1..1",
            "--variants",
            "float32.onnx",
        ]
        assert run_room("convert", "run", path, *options, cwd=tmp_path).code == 0
        artifact = tmp_path / "build" / "paint" / "paint.float32.onnx"
        result = run_room("bench", "run", artifact, "--seconds", "0.1", cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert "have no labels: for its accuracy give --data FOLDER" in result.stdout
        row = json.loads((tmp_path / "build" / "bench.json").read_text())["measurements"][0]
        assert (row["accuracy"]["total"], row["latency"]["queries"] > 0) == (0, True)


def photo_like(folder: Path, count: int) -> Path:
    """Write pictures of soft patches of colour with noise."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        patches = random.integers(0, 256, (*random.integers(2, 8, 2), 3), np.uint8)
        soft = np.asarray(Image.fromarray(patches).resize((140, 120), Image.Resampling.BICUBIC))
        noisy = np.clip(soft + random.normal(0, 8, soft.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:02}.png")
    return folder


def application(name: str, side: int) -> Any:
    """Build a model of keras.applications with random weights, its 1,000-class head on."""
    import keras

    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "side", "input_range", "parameters", "variants"),
    [
        ("MobileNetV2", "keras", 96, "-1..1", 3_538_984, None),
        ("MobileNetV3Small", "saved_model", 64, "0..255", 2_554_968, ["float32", "int8"]),
        ("EfficientNetB0", "h5", 64, None, 5_330_571, ["float32", "int8"]),
        ("ResNet50", "keras", 64, "caffe", 25_636_712, ["float32", "int8"]),
    ],
)
def test_models_of_keras_applications_with_a_thousand_classes_are_converted(
    tmp_path: Path,
    name: str,
    kind: str,
    side: int,
    input_range: str | None,
    parameters: int,
    variants: list[str] | None,
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"class {number}\n" for number in range(1_000)))
    path = save(application(name, side), tmp_path, kind)
    trained, said = taken_in(Outside(path, labels, photo_like(tmp_path / "pictures", 30), input_range=input_range))
    assert f"{parameters:,} parameters" in "\n".join(said)
    trained.close()
    chosen: tuple[Variant, ...] = find_variants(variants or [])
    failures: list[str] = []
    artifacts = list(convert_model(trained.path, chosen, failures.append))
    assert failures == []
    assert len(artifacts) == len(chosen)
    for artifact in artifacts:
        assert artifact.agreement.total + artifact.agreement.undecided == 10
        card = read_card(artifact.path)
        assert card is not None
        assert len(card.document["golden"]) >= 8
        assert len(card.labels) == 1_000
    for key in ("float32.tflite", "int8.onnx"):
        result = classify(f"paint.{key}", "--self-test", cwd=trained.folder)
        assert result.code == 0, result.stdout
