"""SavedModels as people bring them: each gives the scores of the function that it was made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.importing.import_model import import_model
from convert.pipeline import convert_model
from convert.trained_model import TrainedModel
from convert.variants import find_variants
from device.errors import EdgeproofError
from tests.support.children import Here
from tests.support.models.imported_models import SIDE, Paint, normalization, outside, save, sequential, some_pixels


def function_over(network: Any, **spec: Any) -> Any:
    """Return a tf.function of a network of tf_keras, and its signature over pictures."""
    import tensorflow as tf

    settings: dict[str, Any] = {"dtype": tf.float32, "batch": None} | spec
    pictures = tf.TensorSpec((settings["batch"], SIDE, SIDE, 3), settings["dtype"], name="picture")
    pixels = settings["dtype"] is tf.uint8

    def answer(picture: Any) -> dict[str, Any]:
        values = tf.cast(picture, tf.float32) / 127.5 - 1 if pixels else picture
        return {"probabilities": network(values, training=False)}

    return tf.function(answer).get_concrete_function(pictures)


def saved(folder: Path, network: Any, **signatures: Any) -> Path:
    import tensorflow as tf

    module = tf.Module()
    module.network = network
    tf.saved_model.save(module, str(folder / "paint"), signatures=signatures)
    return folder / "paint"


def old_network() -> Any:
    import tf_keras

    return sequential(normalization(tf_keras), library=tf_keras)


def check(paint: Paint, path: Path, network: Any, **told: Any) -> TrainedModel:
    """Take a model in and compare it with the network that it was made of, and in both formats."""
    trained = TrainedModel(import_model(outside(paint, path, **told), print))
    pixels = some_pixels(4)
    expected = np.asarray(network(pixels / 127.5 - 1, training=False))
    assert np.asarray(trained.network.predict_on_batch(pixels)) == pytest.approx(expected, abs=1e-5)
    trained.close()
    failures: list[str] = []
    made = list(convert_model(Here(), trained.path, find_variants(["float32"]), failures.append))
    assert failures == []
    assert [(one.agreement.agree, one.agreement.total) for one in made] == [(12, 12)] * 2
    return trained


@pytest.mark.slow
def test_one_that_takes_bytes_needs_no_range(paint: Paint, tmp_path: Path) -> None:
    import tensorflow as tf

    network = old_network()
    path = saved(tmp_path, network, serving_default=function_over(network, dtype=tf.uint8))
    trained = check(paint, path, network, input_range=None)
    assert trained.common["provenance"]["source"]["added"] == []


@pytest.mark.slow
def test_the_slots_of_an_old_optimizer_are_left_out(paint: Paint, tmp_path: Path) -> None:
    import tf_keras

    network = old_network()
    network.compile(tf_keras.optimizers.legacy.Adam(1e-9), "sparse_categorical_crossentropy")
    network.fit(np.zeros((4, SIDE, SIDE, 3)), np.zeros(4), verbose=0)
    network.save(tmp_path / "paint", save_format="tf")
    check(paint, tmp_path / "paint", network)


@pytest.mark.slow
def test_one_of_several_signatures_is_asked_for_by_name(paint: Paint, tmp_path: Path) -> None:
    import tensorflow as tf

    network = old_network()
    pictures = tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32, name="picture")
    features = tf.function(lambda picture: {"features": tf.reduce_mean(picture, [1, 2])}).get_concrete_function(pictures)
    path = saved(tmp_path, network, features=features, classify=function_over(network))
    with pytest.raises(EdgeproofError, match=r"has the signatures classify, features: say which one .* --signature NAME"):
        import_model(outside(paint, path), print)
    with pytest.raises(EdgeproofError, match="has no signature 'train': there are classify, features"):
        import_model(outside(paint, path, signature="train"), print)
    check(paint, path, network, signature="classify")


@pytest.mark.slow
def test_one_that_computes_in_16_bits_is_converted(paint: Paint, tmp_path: Path) -> None:
    import keras

    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        network = sequential(normalization())
    finally:
        keras.mixed_precision.set_global_policy("float32")
    trained = TrainedModel(import_model(outside(paint, save(network, tmp_path, "saved_model")), print))
    pixels = some_pixels(4)
    expected = np.asarray(network(pixels / 127.5 - 1, training=False), np.float32)
    assert np.asarray(trained.network.predict_on_batch(pixels)) == pytest.approx(expected, abs=5e-3)
    trained.close()
    failures: list[str] = []
    made = list(convert_model(Here(), trained.path, find_variants(["float32"]), failures.append))
    assert failures == []
    assert [(one.agreement.agree, one.agreement.total) for one in made] == [(12, 12)] * 2


@pytest.mark.slow
def test_a_batch_of_one_becomes_free(paint: Paint, tmp_path: Path) -> None:
    network = old_network()
    check(paint, saved(tmp_path, network, serving_default=function_over(network, batch=1)), network)


@pytest.mark.slow
def test_a_subclassed_model_is_taken_by_its_own_signature(paint: Paint, tmp_path: Path) -> None:
    import tf_keras

    class Painter(tf_keras.Model):  # type: ignore[misc]  # tf_keras is untyped
        def __init__(self) -> None:
            super().__init__()
            self.network = old_network()

        def call(self, picture: Any, training: bool = False) -> Any:
            return self.network(picture, training=training)

    network = Painter()
    network(np.zeros((1, SIDE, SIDE, 3), np.float32))
    network.save(tmp_path / "paint", save_format="tf")
    check(paint, tmp_path / "paint", network)


def test_words_are_no_pictures(paint: Paint, tmp_path: Path) -> None:
    import tensorflow as tf

    words = tf.TensorSpec((None, SIDE, SIDE, 3), tf.string, name="words")
    function = tf.function(lambda words: {"length": tf.strings.length(words)}).get_concrete_function(words)
    with pytest.raises(EdgeproofError, match="its input is string, expected pictures"):
        import_model(outside(paint, saved(tmp_path, old_network(), serving_default=function)), print)
