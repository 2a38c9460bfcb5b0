"""Keras models of every kind that people bring: each converts, and answers as it does in its own framework."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.importing.import_model import import_model
from convert.importing.picture_tensors import in_batches
from convert.importing.sources import open_source
from convert.pipeline import convert_model
from convert.trained_model import TrainedModel
from convert.variants import find_variants
from device.errors import EdgeproofError
from tests.conftest import run
from tests.support.children import Here
from tests.support.models.imported_models import SIDE, Paint, normalization, outside, save, sequential, some_pixels

FLOAT = ("float32.tflite", "float32.onnx")


@dataclass(frozen=True)
class Kind:
    """A kind of model: how it is built, its ending, and the width of what its scores may differ by."""

    build: Callable[[], Any]
    ending: str = "keras"
    tolerance: float = 1e-5


def nested() -> Any:
    import keras

    whole = sequential()
    inner = keras.Sequential([keras.Input((SIDE, SIDE, 3)), whole.get_layer("look")])
    outer = keras.Sequential([keras.Input((SIDE, SIDE, 8)), whole.get_layer("mean"), whole.get_layer("colour")])
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), inner, outer])


def augmented() -> Any:
    from keras import layers

    return sequential(layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomContrast(0.2), normalization())


def resized() -> Any:
    from keras import layers

    return sequential(layers.Resizing(20, 20), normalization())


def cropped() -> Any:
    from keras import layers

    return sequential(layers.CenterCrop(20, 20), normalization())


def smooth() -> Any:
    from keras import layers

    return sequential(between=(layers.Activation("gelu"),))


def grouped() -> Any:
    from keras import layers

    layer = layers.Conv2D(8, 1, groups=2, use_bias=False)
    network = sequential(between=(layer,))
    layer.set_weights([np.tile(np.eye(4), (1, 2)).reshape(1, 1, 4, 8)])
    return network


def half() -> Any:
    import keras

    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        return sequential(normalization())
    finally:
        keras.mixed_precision.set_global_policy("float32")


def never_built_by_input() -> Any:
    import keras

    whole = sequential()
    network = keras.Sequential([whole.get_layer(name) for name in ("look", "mean", "colour")])
    network(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return network


def row_of_maps() -> Any:
    import keras

    whole = sequential()
    image = keras.Input((SIDE, SIDE, 3))
    values = keras.layers.GlobalAveragePooling2D(keepdims=True)(whole.get_layer("look")(image))
    scores = keras.layers.Conv2D(3, 1, name="maps")
    network = keras.Model(image, keras.layers.Softmax()(scores(values)))
    scores.set_weights([np.eye(8, 3).reshape(1, 1, 8, 3) * 6, np.zeros(3)])
    return network


def fixed_batch() -> Any:
    import keras

    whole = sequential()
    return keras.Sequential([keras.Input((SIDE, SIDE, 3), batch_size=4), *whole.layers])


def recurrent() -> Any:
    from keras import layers

    return sequential(
        between=(layers.Reshape((SIDE, SIDE * 8)), layers.LSTM(6), layers.Reshape((1, 1, 6)), layers.Conv2D(8, 1))
    )


def old_depthwise() -> Any:
    """Return a Keras 2 model with a layer that Keras 3 refuses to read."""
    import tf_keras

    layer = tf_keras.layers.DepthwiseConv2D(1, use_bias=False, name="depthwise")
    network = sequential(layer, normalization(tf_keras), library=tf_keras)
    layer.set_weights([np.ones((1, 1, 3, 1))])
    return network


def old_operations() -> Any:
    """Return a Keras 2 model with operations as layers (TFOpLambda)."""
    import tf_keras

    whole = sequential(library=tf_keras)
    image = tf_keras.Input((SIDE, SIDE, 3))
    return tf_keras.Model(image, whole(image * 2.0 - image))


def old_half() -> Any:
    import tf_keras

    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        return sequential(normalization(tf_keras), library=tf_keras)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")


def old_recurrent() -> Any:
    import tf_keras

    layers = tf_keras.layers
    loop = (layers.Reshape((SIDE, SIDE * 8)), layers.GRU(6), layers.Reshape((1, 1, 6)), layers.Conv2D(8, 1))
    return sequential(between=loop, library=tf_keras)


def old_augmented() -> Any:
    import tf_keras

    return sequential(tf_keras.layers.RandomFlip(), normalization(tf_keras), library=tf_keras)


KINDS = {
    "sequential": Kind(sequential),
    "sequential in h5": Kind(sequential, "h5"),
    "sequential that was built by its first call": Kind(never_built_by_input),
    "nested": Kind(nested),
    "augmented": Kind(augmented),
    "augmented in h5": Kind(augmented, "h5"),
    "resized": Kind(resized),
    "cropped": Kind(cropped),
    "gelu": Kind(smooth),
    "grouped convolution": Kind(grouped),
    "mixed_float16": Kind(half, tolerance=5e-3),
    "outputs (N, 1, 1, classes)": Kind(row_of_maps),
    "fixed batch": Kind(fixed_batch),
    "logits": Kind(lambda: sequential(head=None)),
    "Keras 2 with depthwise convolution": Kind(old_depthwise, "h5"),
    "Keras 2 with operations as layers": Kind(old_operations, "h5"),
    "Keras 2 in mixed_float16": Kind(old_half, "h5", tolerance=5e-3),
    "Keras 2 augmented": Kind(old_augmented, "h5"),
}


def answers(network: Any, values: Any) -> Any:
    """Return the probabilities of a network of either library, as it infers."""
    scores = np.asarray(network(values, training=False), np.float32).reshape(len(values), -1)
    raised = np.exp(scores)
    return scores if np.allclose(scores.sum(axis=1), 1, atol=0.01) else raised / raised.sum(axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_converted_and_answers_rightly(paint: Paint, tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    network = kind.build()
    path = save(network, tmp_path, kind.ending)
    said: list[str] = []
    trained = TrainedModel(import_model(outside(paint, path), said.append))
    pixels = some_pixels(4)
    expected = answers(network, pixels / 127.5 - 1)
    assert np.asarray(trained.network.predict_on_batch(pixels)) == pytest.approx(expected, abs=kind.tolerance)
    assert trained.common["accuracy"]["keras_held_out"]["correct"] == 12, said
    trained.close()
    failures: list[str] = []
    made = list(convert_model(Here(), trained.path, find_variants(FLOAT), failures.append))
    assert failures == []
    assert [(one.agreement.agree, one.agreement.total) for one in made] == [(12, 12)] * len(FLOAT)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_answers_in_every_variant(paint: Paint, tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    path = import_model(outside(paint, save(kind.build(), tmp_path, kind.ending)), print)
    failures: list[str] = []
    made = list(convert_model(Here(), path, find_variants([]), failures.append))
    assert failures == []
    assert all(one.agreement.agree == one.agreement.total > 0 for one in made)


@pytest.mark.slow
def test_loops_are_quantized_in_onnx_and_one_line_in_tflite(paint: Paint, tmp_path: Path) -> None:
    # its weights are random: pictures without labels cannot contradict its range
    path = import_model(outside(paint, save(recurrent(), tmp_path), calibration=paint.flat), print)
    failures: list[str] = []
    made = {one.variant.key for one in convert_model(Here(), path, find_variants([]), failures.append)}
    assert {"float32.tflite", "dynamic_int8.tflite", "float32.onnx", "int8.onnx"} <= made
    assert len(failures) == 2
    assert all("loop (LSTM, GRU)" in line and "unroll=True" in line for line in failures)
    assert not (path.parent / "paint.int8.tflite").exists()


@pytest.mark.slow
def test_a_loop_of_keras_2_is_converted(paint: Paint, tmp_path: Path) -> None:
    path = import_model(outside(paint, save(old_recurrent(), tmp_path, "h5"), calibration=paint.flat), print)
    failures: list[str] = []
    made = list(convert_model(Here(), path, find_variants(["float32.tflite"]), failures.append))
    assert failures == []
    assert made[0].agreement.agree == made[0].agreement.total > 0


def test_a_layer_that_tensorflow_cannot_run_here_is_one_line() -> None:
    """As a convolution of channels first, on processors for which oneDNN has none."""
    import tensorflow as tf

    def refuse(_: Any) -> Any:
        raise tf.errors.UnimplementedError(None, None, "The Conv2D op only supports NHWC\nDetected at node Conv2D")

    expected = r"^paint\.keras: cannot be run on \(2, 3, 24, 24\): The Conv2D op only supports NHWC$"
    with pytest.raises(EdgeproofError, match=expected):
        in_batches(Path("paint.keras"), np.zeros((2, 3, SIDE, SIDE), np.float32), 2, True, refuse)


def channels_first(folder: Path) -> Path:
    import keras

    image = keras.Input((3, SIDE, SIDE))
    maps = keras.layers.Conv2D(3, 3, data_format="channels_first")(image)
    scores = keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D(data_format="channels_first")(maps))
    return save(keras.Model(image, scores), folder)


@pytest.mark.slow
@pytest.mark.parametrize("onednn", ["0", "1"])
def test_channels_first_is_converted_where_tensorflow_computes_it_and_else_is_one_line(
    paint: Paint, tmp_path: Path, onednn: str
) -> None:
    """Only oneDNN has such convolutions for a CPU; TensorFlow uses it on x86."""
    told: list[str | Path] = ["--labels", paint.labels, "--calibration", paint.flat, "--input-range", "-1..1"]
    told += ["--variants", "float32.tflite"]
    path = channels_first(tmp_path)
    result = run(["-m", "convert", "run", path, *told], tmp_path, TF_ENABLE_ONEDNN_OPTS=onednn)
    if onednn == "1" and platform.machine() == "x86_64":
        assert result.code == 0, result.stderr
        return
    assert result.code == 2
    assert f"{path}: cannot be run on (12, 3, 24, 24): The Conv2D op" in result.error_line


@pytest.mark.parametrize("head", ["sigmoid", None])
def test_one_output_becomes_two_probabilities_the_second_its_own(paint: Paint, tmp_path: Path, head: str | None) -> None:
    import keras

    image = keras.Input((SIDE, SIDE, 3))
    one = keras.layers.Dense(1, activation=head, name="one")
    network = keras.Model(image, one(keras.layers.GlobalAveragePooling2D()(image)))
    one.set_weights([np.array([[-6.0], [0.0], [6.0]]), np.zeros(1)])
    labels = tmp_path / "two.txt"
    labels.write_text("red\nblue\n")
    path = import_model(outside(paint, save(network, tmp_path), labels=labels, calibration=paint.flat), print)
    trained, pixels = TrainedModel(path), some_pixels(4)
    raw = np.asarray(network(pixels / 127.5 - 1))
    second = raw if head else 1 / (1 + np.exp(-raw))
    expected = np.concatenate([1 - second, second], axis=1)
    assert np.asarray(trained.network.predict_on_batch(pixels)) == pytest.approx(expected, abs=1e-6)
    trained.close()


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (SIDE, SIDE, 1), (20, 32, 3)])
def test_inputs_without_a_channel_axis_gray_or_not_square_are_taken(
    paint: Paint, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    import keras

    image = keras.Input(shape)
    scores = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(image))
    network = keras.Model(image, scores)
    trained = TrainedModel(import_model(outside(paint, save(network, tmp_path)), print))
    channels = shape[2] if len(shape) == 3 else 1
    pixels = np.random.default_rng(1).integers(0, 256, (4, *shape[:2], channels)).astype(np.float32)
    expected = np.asarray(network((pixels / 127.5 - 1).reshape(4, *shape)))
    assert np.asarray(trained.network.predict_on_batch(pixels)) == pytest.approx(expected, abs=1e-5)
    trained.close()


class TestCode:
    def test_a_keras_2_file_with_a_lambda_layer_runs_nothing(self, paint: Paint, tmp_path: Path) -> None:
        import tf_keras

        mark, name = tmp_path / "owned", str(tmp_path / "owned")
        layer = tf_keras.layers.Lambda(lambda tensor: (os.open(name, os.O_CREAT), tensor)[1], name="by_hand")
        path = save(sequential(layer, library=tf_keras), tmp_path, "h5")
        mark.unlink()
        with pytest.raises(EdgeproofError, match=r"holds code .*\(Lambda layer by_hand\).*--unsafe-code"):
            import_model(outside(paint, path), print)
        assert not mark.exists()

    def test_an_operation_that_writes_files_is_refused_by_its_name(self, paint: Paint, tmp_path: Path) -> None:
        import h5py

        path = save(old_operations(), tmp_path, "h5")
        with h5py.File(path, "r+") as file:
            text = file.attrs["model_config"].replace('"math.multiply"', '"io.write_file"')
            assert "io.write_file" in text
            file.attrs["model_config"] = text
        with pytest.raises(EdgeproofError, match=r"calls tf\.io\.write_file"):
            import_model(outside(paint, path), print)

    def test_a_class_of_another_python_module_is_refused(self, paint: Paint, tmp_path: Path) -> None:
        import h5py

        path = save(old_operations(), tmp_path, "h5")
        with h5py.File(path, "r+") as file:
            text = file.attrs["model_config"].replace(
                '"class_name": "TFOpLambda"', '"module": "os", "class_name": "system"', 1
            )
            file.attrs["model_config"] = text
        with pytest.raises(EdgeproofError, match="system of the Python module os"):
            import_model(outside(paint, path), print)


@pytest.mark.parametrize("name", ["ausgang_漢字", "look 2", "_hidden"])
def test_a_layer_may_have_any_name(paint: Paint, tmp_path: Path, name: str) -> None:
    """TensorFlow's graphs bear only some names; Keras bears all."""
    import keras

    image = keras.Input((SIDE, SIDE, 3))
    network = keras.Model(image, keras.layers.Activation("linear", name=name)(sequential()(image)))
    trained = TrainedModel(import_model(outside(paint, save(network, tmp_path)), print))
    pixels = some_pixels(4)
    expected = np.asarray(network(pixels / 127.5 - 1, training=False))
    assert np.asarray(trained.network.predict_on_batch(pixels)) == pytest.approx(expected, abs=1e-5)
    trained.close()


def test_a_class_whose_code_is_not_in_the_file_is_named(tmp_path: Path) -> None:
    import keras

    class Half(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        def call(self, values: Any) -> Any:
            return values * 0.5

    path = save(sequential(Half()), tmp_path)
    del Half
    with pytest.raises(EdgeproofError, match=r"holds the class Half, which is not Keras's own, .*: export the model where"):
        open_source(path)
