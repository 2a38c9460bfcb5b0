"""A phase with frozen layers: where it divides a network, and what the frozen part gives, computed once for all epochs."""

from typing import Any

import numpy as np
import numpy.typing as npt

from common.progress import with_progress
from train.data.dataset import Pixels, batches, empty_array
from train.fitting.augment import augment
from train.spec import Augmentation, Phase

CACHE_BATCH = 125


def split_network(network: Any, phase: Phase) -> tuple[Any | None, Any]:
    """Return the part of a keras.Model that stays frozen in this phase (or None) and the part that trains, set up for it."""
    import keras

    if phase.frozen_through is None:  # the same here: the network is saved, and it never has an optimizer
        lower, upper = None, keras.Model(network.input, network.output)
    else:
        middle = network.get_layer(phase.frozen_through).output
        lower, upper = keras.Model(network.input, middle), keras.Model(middle, network.output)
    frozen = set() if lower is None else {layer.name for layer in lower.layers}
    for layer in network.layers:
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name not in frozen and (phase.train_batch_normalization or not normalizes)
        if phase.dropout is not None and isinstance(layer, keras.layers.Dropout):
            layer.rate = phase.dropout
    return lower, upper


def frozen_output(
    lower: Any, pixels: Pixels, augmentation: Augmentation | None, copies: int, seed: int
) -> npt.NDArray[np.float16]:
    """Run the frozen part over pictures (N, H, W, C): (copies × N, ...), float16; all but the first augmented."""
    import tensorflow as tf

    def output(x: Any, number: Any, plain: Any) -> Any:
        x = tf.cast(x, tf.float32)
        if augmentation is not None:
            seeds = tf.stack([tf.constant(seed, tf.int64), number])
            x = tf.cond(plain, lambda: x, lambda: augment(x, augmentation, seeds))
        return tf.cast(lower(x, training=False), tf.float16)

    compiled = tf.function(output, reduce_retracing=True)
    result = empty_array((copies * len(pixels), *lower.output.shape[1:]), np.float16)
    places = [(copy, part) for copy in range(copies) for part in batches(len(pixels), CACHE_BATCH)]
    for number, (copy, part) in enumerate(with_progress(places, "running the frozen layers: batches")):
        at = slice(copy * len(pixels) + part.start, copy * len(pixels) + part.stop)
        result[at] = compiled(tf.constant(pixels[part]), tf.constant(number, tf.int64), tf.constant(copy == 0)).numpy()
    return result
