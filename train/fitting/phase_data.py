"""What one phase trains and validates with, as batches that depend only on a seed."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from train.data.dataset import Labels
from train.examples import Examples
from train.fitting.augment import augment
from train.fitting.distillation import Teaching
from train.fitting.frozen_layers import frozen_output
from train.spec import Augmentation, Phase

VALIDATION_BATCH = 500


@dataclass(frozen=True)
class PhaseData:
    """What the trained part of a network takes: pictures (uint8, 0..255), or what frozen layers make of them (float16)."""

    phase: Phase
    seed: int
    steps: int  # an epoch
    inputs: npt.NDArray[Any]  # (N, ...)
    labels: Labels
    val_inputs: npt.NDArray[Any]
    val_labels: Labels
    augmentation: Augmentation | None  # of each batch: with frozen layers None, their pictures were augmented before

    def training(self, first_step: int, teaching: Teaching | None) -> Any:
        """Return a tf.data.Dataset of the batches from `first_step` on; each depends only on the seed and its number."""
        import tensorflow as tf

        phase, steps, total = self.phase, self.steps, len(self.labels)
        size = min(phase.batch_size, total)

        def order(epoch: Any) -> Any:
            seed = tf.stack([tf.constant(self.seed, tf.int64), epoch])
            shuffled = tf.random.experimental.stateless_shuffle(tf.range(total), seed)
            return tf.data.Dataset.from_tensor_slices(shuffled).batch(size, drop_remainder=True)

        def batch(number: Any, indices: Any) -> tuple[Any, Any]:
            x, labels = _gather(self.inputs, self.labels, indices)
            if self.augmentation is not None:
                x = augment(x, self.augmentation, tf.stack([tf.constant(self.seed, tf.int64), number]))
            return x, labels if teaching is None else teaching.targets(labels, x)

        passes = math.ceil(phase.epochs * steps / (total // size))
        indices = tf.data.Dataset.range(passes).flat_map(order).take(phase.epochs * steps)
        return _untuned(indices.enumerate().skip(first_step).map(batch, num_parallel_calls=2).prefetch(4))

    def validation(self) -> Any:
        """Return a tf.data.Dataset of the validation pictures in their order."""
        import tensorflow as tf

        indices = tf.data.Dataset.range(len(self.val_labels)).batch(VALIDATION_BATCH)
        return _untuned(indices.map(lambda at: _gather(self.val_inputs, self.val_labels, at)).prefetch(2))


def phase_data(lower: Any | None, phase: Phase, train: Examples, val: Examples, seed: int) -> PhaseData:
    """Return what a phase takes of the examples, after the frozen part `lower` of the network if there is one."""
    count = len(train.labels) if phase.images is None else min(phase.images, len(train.labels))
    steps = max(1, count * phase.copies_an_epoch // phase.batch_size)
    pixels, labels = train.pixels[:count], train.labels[:count]
    if lower is None:
        return PhaseData(phase, seed, steps, pixels, labels, val.pixels, val.labels, phase.augmentation)
    inputs = frozen_output(lower, pixels, phase.augmentation, phase.copies, seed)
    val_inputs = frozen_output(lower, val.pixels, None, 1, seed)
    return PhaseData(phase, seed, steps, inputs, np.tile(labels, phase.copies), val_inputs, val.labels, None)


def _gather(inputs: npt.NDArray[Any], labels: Labels, indices: Any) -> tuple[Any, Any]:
    """Return tensors of the examples at `indices`: float32 (N, ...) and int64 (N,). Arrays on disk are read from there."""
    import tensorflow as tf

    x = tf.numpy_function(lambda at: inputs[at], [indices], tf.as_dtype(inputs.dtype))
    x.set_shape((None, *inputs.shape[1:]))
    return tf.cast(x, tf.float32), tf.gather(labels, indices)


def _untuned(dataset: Any) -> Any:
    """Return the tf.data.Dataset without autotuning, which has nothing to tune in it.

    Its thread sleeps twice as long each time (10 ms, 20 ms, ...), and the end of an iterator sometimes waits until it wakes:
    an epoch of 2.6 s then took 5.1 (TensorFlow 2.21).
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
