"""Unused pixels: leaving them out in training changes only the time."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from train.fitting.unused_pixels import without_unseen_pixels
from train.models import find_model


def pictures(side: int = 28, count: int = 24) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 1)).astype(np.float32)


def gradients(model: Any) -> list[npt.NDArray[np.float32]]:
    """Return the gradient of a loss by each trainable variable, without dropout."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.math.log(model(pictures(), training=False)[:, 3]))
    return [gradient.numpy() for gradient in tape.gradient(loss, [v.value for v in model.trainable_variables])]


@pytest.fixture
def network() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    return find_model("mnist_cnn").build(10)


def test_the_tutorials_network_sees_the_first_22_rows_and_columns(network: Any) -> None:
    cropped = without_unseen_pixels(network)
    assert cropped.layers[1].cropping == ((0, 6), (0, 6))
    other = pictures()
    other[:, 22:, :] = 255 - other[:, 22:, :]
    other[:, :, 22:] = 255 - other[:, :, 22:]
    assert np.array_equal(network(other), network(pictures()))


def test_answers_gradients_and_variables_are_the_networks(network: Any) -> None:
    cropped = without_unseen_pixels(network)
    assert [id(variable) for variable in cropped.variables] == [id(variable) for variable in network.variables]
    assert cropped(pictures()).numpy() == pytest.approx(network(pictures()).numpy(), abs=1e-6)
    for ours, its in zip(gradients(cropped), gradients(network), strict=True):
        assert ours == pytest.approx(its, abs=1e-6 + 1e-4 * np.abs(its).max())


@pytest.mark.parametrize("name", ["mnist_cnn_crop", "mobilenet_v2"])
def test_a_network_that_sees_all_of_its_input_is_itself(name: str) -> None:
    network = find_model(name).build(10)
    assert without_unseen_pixels(network) is network


def test_one_pixel_more_on_one_side_is_left_out_there_alone() -> None:
    import keras
    from keras import layers

    image = keras.Input((9, 8, 1))
    x = layers.AveragePooling2D(2)(layers.Conv2D(2, 3, strides=2, activation="relu")(image))
    network = keras.Model(image, layers.GlobalAveragePooling2D()(x))  # convolution: 4×3, pooling: 2×1
    assert without_unseen_pixels(network).layers[1].cropping == ((0, 0), (0, 3))


def padded(x: Any) -> Any:
    from keras import layers

    return layers.MaxPooling2D(2)(layers.Conv2D(2, 3, padding="same")(x))


def dilated(x: Any) -> Any:
    from keras import layers

    return layers.MaxPooling2D(2)(layers.Conv2D(2, 3, dilation_rate=2)(x))


def branched(x: Any) -> Any:
    from keras import layers

    x = layers.MaxPooling2D(2)(x)
    return layers.add([x, layers.ReLU()(x)])


def mixed(x: Any) -> Any:
    from keras import layers

    return layers.MaxPooling2D(2)(layers.LayerNormalization((1, 2))(x))


@pytest.mark.parametrize("beginning", [padded, dilated, branched, mixed], ids=lambda beginning: beginning.__name__)
def test_what_is_not_understood_stays_whole(beginning: Any) -> None:
    import keras
    from keras import layers

    image = keras.Input((9, 9, 1))
    network = keras.Model(image, layers.GlobalAveragePooling2D()(beginning(image)))
    assert without_unseen_pixels(network) is network
