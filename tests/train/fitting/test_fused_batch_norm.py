"""Fused normalization: the same variables, answers and training as Keras's own, except for rounding."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from train.fitting.fused_batch_norm import with_fused_normalization


@pytest.fixture
def network() -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False)(image)
    x = layers.BatchNormalization(momentum=0.9, name="first")(x)
    x = layers.add([layers.ReLU()(x), x])
    x = layers.BatchNormalization(momentum=0.8, name="second")(layers.Conv2D(5, 3, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.BatchNormalization(name="flat")(x)  # not over pictures: stays Keras's
    return keras.Model(image, layers.Dense(2, activation="softmax")(x))


def pictures() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(3, 2, (48, 8, 8, 3)).astype(np.float32)


def trained_weights(network: Any, model: Any) -> list[npt.NDArray[np.float32]]:
    """Train `model`, which shares the variables of `network`, and return these variables."""
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model.fit(pictures(), np.arange(48) % 2, batch_size=12, epochs=3, shuffle=False, verbose=0)
    weights: list[npt.NDArray[np.float32]] = network.get_weights()
    return weights


def names(model: Any) -> list[str]:
    return [layer.name for layer in model.layers]


def test_only_normalization_of_pictures_is_fused_and_no_variable_is_new(network: Any) -> None:
    fused = with_fused_normalization(network)
    assert sorted(set(names(fused)[1:]) - set(names(network))) == ["first_fused", "second_fused"]
    assert {id(variable) for variable in fused.variables} == {id(variable) for variable in network.variables}


def test_a_model_without_normalization_is_itself() -> None:
    import keras

    image = keras.Input((8, 8, 3))
    plain = keras.Model(image, keras.layers.Conv2D(1, 3)(image))
    assert with_fused_normalization(plain) is plain


def test_answers_as_keras_does(network: Any) -> None:
    trained_weights(network, network)
    assert with_fused_normalization(network).predict(pictures(), verbose=0) == pytest.approx(
        network.predict(pictures(), verbose=0), abs=1e-6
    )


def test_trains_as_keras_does(network: Any) -> None:
    import keras

    own = keras.models.clone_model(network)
    own.set_weights(network.get_weights())
    before = network.get_layer("first").get_weights()
    expected, found = trained_weights(own, own), trained_weights(network, with_fused_normalization(network))
    after = network.get_layer("first").get_weights()  # scale, shift, moving mean and variance
    assert all(np.abs(was - now).max() > 1e-4 for was, now in zip(before, after, strict=True))
    assert max(np.abs(one - other).max() for one, other in zip(expected, found, strict=True)) < 1e-4


def test_a_frozen_layer_keeps_its_statistics(network: Any) -> None:
    first = network.get_layer("first")
    first.trainable = False
    before = first.get_weights()
    trained_weights(network, with_fused_normalization(network))
    assert all((was == now).all() for was, now in zip(before, first.get_weights(), strict=True))


def test_the_network_is_saved_as_if_it_had_never_been_fused(network: Any, tmp_path: Any) -> None:
    import keras

    config = network.get_config()
    trained_weights(network, with_fused_normalization(network))
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert network.get_config() == config
    assert names(again) == names(network)
    assert again.predict(pictures(), verbose=0) == pytest.approx(network.predict(pictures(), verbose=0), abs=1e-6)
