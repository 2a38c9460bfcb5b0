"""Running a recipe: its phases, their schedules and augmentation, the cache of frozen layers' output."""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from device.classify import CheckFailed
from train.augment import augment
from train.data import Labels, Pixels, batches
from train.spec import Augmentation, Phase, Recipe

CACHE_BATCH = 125
WARM_UP_SHARE = 0.1
COSINE_FLOOR = 0.002


@dataclass(frozen=True)
class Epoch:
    """One epoch's figures. Accuracies are fractions of one; the training figures are means over the running epoch."""

    phase: str
    epoch: int  # counted from 1 over all phases
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Examples:
    """Prepared pictures (N, H, W, C), uint8, 0..255, with their labels (N,)."""

    pixels: Pixels
    labels: Labels


def fit(model: Any, recipe: Recipe, train: Examples, val: Examples, seed: int, verbose: int) -> list[Epoch]:
    """Train `model` (a keras.Model) in place and return the history. `verbose` is Keras's.

    Raises CheckFailed where the loss is no longer a number.
    """
    history: list[Epoch] = []
    for number, phase in enumerate(recipe.phases):
        run = _PhaseRun(model, phase, train, val, seed=seed * 1000 + number, first_epoch=len(history) + 1)
        history += run.fit(verbose)
    return history


class _PhaseRun:
    """One phase being run: which part of the model trains, on what."""

    def __init__(self, model: Any, phase: Phase, train: Examples, val: Examples, seed: int, first_epoch: int) -> None:
        self.phase, self.seed, self.first_epoch = phase, seed, first_epoch
        count = len(train.labels) if phase.images is None else min(phase.images, len(train.labels))
        self.lower, self.trained = split_model(model, phase)
        if self.lower is None:
            self.inputs, self.labels = train.pixels[:count], train.labels[:count]
            self.val_inputs = val.pixels
        else:
            copies = [
                frozen_output(self.lower, train.pixels[:count], phase.augmentation if copy else None, seed + copy)
                for copy in range(phase.copies)
            ]
            self.inputs, self.labels = np.concatenate(copies), np.tile(train.labels[:count], phase.copies)
            self.val_inputs = frozen_output(self.lower, val.pixels, None, seed)
        self.val_labels = val.labels
        self.count = count

    def fit(self, verbose: int) -> list[Epoch]:
        import keras

        phase = self.phase
        steps = max(1, self.count * phase.copies_an_epoch // phase.batch_size)
        self.trained.compile(
            optimizer=_optimizer(phase, steps * phase.epochs),
            loss=_loss(phase, self.trained.output.shape[-1]),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        recorder = _recorder(phase.name, self.first_epoch)
        callbacks = [recorder]
        if phase.weight_average:  # validate with the average, which is what the phase leaves behind
            callbacks.insert(0, keras.callbacks.SwapEMAWeights())
        self.trained.fit(
            self._training_data(steps),
            steps_per_epoch=steps,
            epochs=phase.epochs,
            validation_data=self._validation_data(),
            callbacks=callbacks,
            shuffle=False,  # shuffled above, by the seed
            verbose=verbose,
        )
        epochs: list[Epoch] = recorder.epochs
        return epochs

    def _training_data(self, steps: int) -> Any:
        """Return a tf.data.Dataset of all epochs' batches; what a batch holds depends on the seed and its number alone."""
        import tensorflow as tf

        phase, total = self.phase, len(self.labels)
        with tf.device("CPU"):
            inputs, labels = tf.constant(self.inputs), tf.constant(self.labels)
        size = min(phase.batch_size, total)

        def batch(number: Any, indices: Any) -> tuple[Any, Any]:
            x = tf.cast(tf.gather(inputs, indices), tf.float32)
            if self.lower is None and phase.augmentation is not None:
                x = augment(x, phase.augmentation, tf.stack([tf.constant(self.seed, tf.int64), number]))
            return x, tf.gather(labels, indices)

        def order(epoch: Any) -> Any:
            seed = tf.stack([tf.constant(self.seed, tf.int64), epoch])
            shuffled = tf.random.experimental.stateless_shuffle(tf.range(total), seed)
            return tf.data.Dataset.from_tensor_slices(shuffled).batch(size, drop_remainder=True)

        passes = math.ceil(phase.epochs * steps / (total // size))
        indices = tf.data.Dataset.range(passes).flat_map(order).take(phase.epochs * steps)
        return indices.enumerate().map(batch, num_parallel_calls=2).prefetch(4)

    def _validation_data(self) -> Any:
        import tensorflow as tf

        with tf.device("CPU"):
            data = tf.data.Dataset.from_tensor_slices((self.val_inputs, self.val_labels))
        return data.batch(500).map(lambda x, y: (tf.cast(x, tf.float32), y))


def split_model(model: Any, phase: Phase) -> tuple[Any | None, Any]:
    """Return the part of a keras.Model that stays frozen in this phase (or None) and the part that trains."""
    import keras

    if phase.frozen_through is None:
        lower, upper = None, model
    else:
        middle = model.get_layer(phase.frozen_through).output
        lower, upper = keras.Model(model.input, middle), keras.Model(middle, model.output)
    frozen = set() if lower is None else {layer.name for layer in lower.layers}
    for layer in model.layers:
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name not in frozen and (phase.train_batch_normalization or not normalizes)
    return lower, upper


def frozen_output(lower: Any, pixels: Pixels, augmentation: Augmentation | None, seed: int) -> Any:
    """Run the frozen part over pictures (N, H, W, C), each augmented once if asked: (N, ...), float16."""
    import tensorflow as tf

    def output(x: Any, number: Any) -> Any:
        x = tf.cast(x, tf.float32)
        if augmentation is not None:
            x = augment(x, augmentation, tf.stack([tf.constant(seed, tf.int64), number]))
        return tf.cast(lower(x, training=False), tf.float16)

    compiled = tf.function(output, reduce_retracing=True)
    result = np.empty((len(pixels), *lower.output.shape[1:]), np.float16)
    for number, part in enumerate(batches(len(pixels), CACHE_BATCH)):
        result[part] = compiled(tf.constant(pixels[part]), tf.constant(number, tf.int64)).numpy()
    return result


def _optimizer(phase: Phase, steps: int) -> Any:
    import keras

    rate: Any = phase.learning_rate
    if phase.cosine:
        warm_up = max(1, round(WARM_UP_SHARE * steps))
        rate = keras.optimizers.schedules.CosineDecay(
            phase.learning_rate / 10,
            decay_steps=max(1, steps - warm_up),
            alpha=COSINE_FLOOR,
            warmup_target=phase.learning_rate,
            warmup_steps=warm_up,
        )
    if phase.weight_average:
        return keras.optimizers.Adam(rate, use_ema=True, ema_momentum=phase.weight_average)
    return keras.optimizers.Adam(rate)


def _loss(phase: Phase, classes: int) -> Any:
    """Return sparse categorical cross-entropy, or with label smoothing the dense one over one-hot labels."""
    import keras

    if not phase.label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy()
    smooth = keras.losses.CategoricalCrossentropy(label_smoothing=phase.label_smoothing)

    def loss(labels: Any, probabilities: Any) -> Any:
        one_hot = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32"), classes)
        return smooth(one_hot, probabilities)

    return loss


def _recorder(phase: str, first_epoch: int) -> Any:
    """Return a Keras callback that keeps each epoch's figures and stops where the loss is no number."""
    import keras

    class Recorder(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
        def __init__(self) -> None:
            super().__init__()
            self.epochs: list[Epoch] = []
            self.start_s = 0.0

        def on_epoch_begin(self, *_: object) -> None:
            self.start_s = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            # A loss that has left the numbers does not come back; the metric is a running mean and keeps it.
            if batch % 50 == 0 and logs and not math.isfinite(logs["loss"]):
                self._stop(first_epoch + len(self.epochs), logs["loss"])

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            logs = logs or {}
            if not math.isfinite(logs["loss"]):
                self._stop(first_epoch + epoch, logs["loss"])
            figures = {name: float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
            self.epochs.append(Epoch(phase, first_epoch + epoch, **figures, seconds=time.monotonic() - self.start_s))

        def _stop(self, epoch: int, loss: float) -> None:
            raise CheckFailed(
                f"phase {phase!r}, epoch {epoch}: the loss is {loss}: the learning rate is too high or a weight is "
                "damaged; nothing was written"
            )

    return Recorder()
