"""Training without the pixels that a network never sees: the same answers and gradients, for less.

A pooling that floors an odd side drops its last row and column, and with them all that only they depended on: of 28×28
pixels, the tutorial's CNN sees the first 22×22. Computing the others would be a third of its training.
"""

from itertools import pairwise, takewhile
from typing import Any


def without_unseen_pixels(model: Any) -> Any:
    """Return a keras.Model of the same layers and variables as `model`, behind a crop to the pixels that it sees.

    It finds the pixels that convolutions and poolings leave out before any other layer. Where there are none, and where the
    network is no chain of layers, `model` itself is returned.
    """
    import keras

    looking = list(takewhile(_keeps_places, model.layers[1:])) if _is_chain(model) else []
    if not looking:
        return model
    _, height, width, _ = model.input.shape
    unseen = [(0, side - _seen(looking, axis)) for axis, side in enumerate((height, width))]
    if unseen == [(0, 0), (0, 0)]:
        return model
    image = keras.Input(model.input.shape[1:])
    x = keras.layers.Cropping2D(unseen)(image)
    for layer in model.layers[1:]:
        x = layer(x)
    return keras.Model(image, x)


def _is_chain(model: Any) -> bool:
    """Say whether the output of every layer goes only to the next one."""
    return model.output is model.layers[-1].output and all(b.input is a.output for a, b in pairwise(model.layers))


def _keeps_places(layer: Any) -> bool:
    """Say whether each of a layer's outputs (N, H, W, C) comes only from the inputs at its position: no padding."""
    from keras import layers

    if isinstance(layer, layers.Conv2D):
        return (layer.padding, layer.dilation_rate, layer.data_format) == ("valid", (1, 1), "channels_last")
    if isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D):
        return (layer.padding, layer.data_format) == ("valid", "channels_last")
    return isinstance(layer, layers.Rescaling | layers.ReLU)


def _seen(looking: list[Any], axis: int) -> int:
    """Return how many of the first rows (axis 0) or columns (axis 1) the outputs of the last of these layers depend on."""
    count: int = looking[-1].output.shape[1 + axis]
    for layer in reversed(looking):
        window = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
        if window is not None:
            count = (count - 1) * layer.strides[axis] + window[axis]
    return count
