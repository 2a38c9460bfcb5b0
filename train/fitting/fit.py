"""Running a recipe: its phases, their schedules and augmentation, the cache of frozen layers' output."""

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from common.progress import with_progress
from device.errors import CheckFailed
from train.data.dataset import Labels, Pixels, batches, empty_array
from train.fitting.augment import augment
from train.fitting.checkpoint import Checkpoint, Progress
from train.fitting.distillation import Teaching, accuracy
from train.fitting.epoch_lines import Say, epoch_lines, silent
from train.fitting.fused_batch_norm import with_fused_normalization
from train.fitting.unused_pixels import without_unseen_pixels
from train.spec import Augmentation, Phase, Recipe

CACHE_BATCH = 125
VALIDATION_BATCH = 500
WARM_UP_SHARE = 0.1
COSINE_FLOOR = 0.002
STEPS_AT_ONCE = 32  # at most, between two returns to Python
SMALL_PARAMETERS = 1_000_000


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
    """Prepared pictures (N, H, W, C), uint8, 0..255, in memory or mapped from disk, with their labels (N,)."""

    pixels: Pixels
    labels: Labels


def fit(
    network: Any,
    recipe: Recipe,
    train: Examples,
    val: Examples,
    seed: int,
    checkpoint: Checkpoint | None = None,
    say: Say = silent,
    stop_after: int | None = None,
    teachers: Sequence[Any] = (),
) -> list[Epoch]:
    """Train `network` (a keras.Model) in place and return the history. `say` takes a line for each epoch.

    With `teachers`, keras.Models of the same pictures and classes, it learns from them as recipe.distillation says.
    Each finished epoch is saved in `checkpoint`; epochs saved before are not trained again, and the result is the same.
    With `stop_after` it ends after so many epochs of all phases: a later call with the checkpoint goes on from there.
    Raises CheckFailed where the loss is no longer a number.
    """
    progress = Progress() if checkpoint is None else checkpoint.restore(network)
    history = [Epoch(**epoch) for epoch in progress.history]
    about = recipe.distillation
    teaching = Teaching(tuple(teachers), about.temperature, about.share) if about and teachers else None
    for number, phase in enumerate(recipe.phases):
        left = None if stop_after is None else stop_after - len(history)
        if number < progress.phase or (left is not None and left <= 0):
            continue
        run = _PhaseRun(network, phase, train, val, seed * 1000 + number, teaching)
        resumed = progress if number == progress.phase else Progress(number)
        run.fit(history, resumed, checkpoint, say, left)
    return history


class _PhaseRun:
    """A running phase: which part of the network trains, and with which pictures."""

    def __init__(
        self, network: Any, phase: Phase, train: Examples, val: Examples, seed: int, teaching: Teaching | None
    ) -> None:
        self.network, self.phase, self.seed, self.teaching = network, phase, seed, teaching
        self.count = len(train.labels) if phase.images is None else min(phase.images, len(train.labels))
        lower, trained = split_network(network, phase)
        self.lower = None if lower is None else with_fused_normalization(lower)
        self.trained = without_unseen_pixels(with_fused_normalization(trained))
        self.val_labels = val.labels
        if self.lower is None:
            self.inputs: npt.NDArray[Any] = train.pixels[: self.count]
            self.labels = train.labels[: self.count]
            self.val_inputs: npt.NDArray[Any] = val.pixels
        else:
            self.inputs = frozen_output(self.lower, train.pixels[: self.count], phase.augmentation, phase.copies, seed)
            self.labels = np.tile(train.labels[: self.count], phase.copies)
            self.val_inputs = frozen_output(self.lower, val.pixels, None, 1, seed)

    def fit(
        self,
        history: list[Epoch],
        progress: Progress,
        checkpoint: Checkpoint | None,
        say: Say,
        max_epochs: int | None = None,
    ) -> None:
        """Train from the epoch that `progress` has reached, at most `max_epochs` of them, and append to `history`."""
        import keras

        phase = self.phase
        steps = max(1, self.count * phase.copies_an_epoch // phase.batch_size)
        self.trained.compile(
            optimizer=_optimizer(phase, steps * phase.epochs),
            loss=self.teaching.loss if self.teaching else _loss(phase, self.trained.output.shape[-1]),
            metrics=[keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
            steps_per_execution=_steps_at_once(steps, self.trained.count_params()),
        )
        # Otherwise Keras makes its variables in the first step, which is then traced twice: seconds for MobileNetV2.
        self.trained.optimizer.build(self.trained.trainable_variables)
        if checkpoint is not None and progress.epochs:
            checkpoint.restore_optimizer(self.trained)
        callbacks = [_recorder(self, history, progress.phase, checkpoint)]
        if phase.weight_average:  # validate with the average: it is the result of the phase
            callbacks.insert(0, keras.callbacks.SwapEMAWeights())
        lines = epoch_lines(phase.name, phase.epochs, steps, say)
        with closing(lines):
            self.trained.fit(
                self._training_data(steps, first_step=progress.epochs * steps),
                steps_per_epoch=steps,
                initial_epoch=progress.epochs,
                epochs=phase.epochs if max_epochs is None else min(phase.epochs, progress.epochs + max_epochs),
                validation_data=self._validation_data(),
                callbacks=[*callbacks, lines],
                shuffle=False,  # shuffled below, by the seed
                verbose=0,
            )

    def _training_data(self, steps: int, first_step: int) -> Any:
        """Return a tf.data.Dataset of the batches from `first_step` on; each depends only on the seed and its number."""
        import tensorflow as tf

        phase, total = self.phase, len(self.labels)
        size = min(phase.batch_size, total)

        def order(epoch: Any) -> Any:
            seed = tf.stack([tf.constant(self.seed, tf.int64), epoch])
            shuffled = tf.random.experimental.stateless_shuffle(tf.range(total), seed)
            return tf.data.Dataset.from_tensor_slices(shuffled).batch(size, drop_remainder=True)

        def batch(number: Any, indices: Any) -> tuple[Any, Any]:
            x, labels = _gather(self.inputs, self.labels, indices)
            if self.lower is None and phase.augmentation is not None:
                x = augment(x, phase.augmentation, tf.stack([tf.constant(self.seed, tf.int64), number]))
            return x, labels if self.teaching is None else self.teaching.targets(labels, x)

        passes = math.ceil(phase.epochs * steps / (total // size))
        indices = tf.data.Dataset.range(passes).flat_map(order).take(phase.epochs * steps)
        return _untuned(indices.enumerate().skip(first_step).map(batch, num_parallel_calls=2).prefetch(4))

    def _validation_data(self) -> Any:
        import tensorflow as tf

        indices = tf.data.Dataset.range(len(self.val_labels)).batch(VALIDATION_BATCH)
        return _untuned(indices.map(lambda at: _gather(self.val_inputs, self.val_labels, at)).prefetch(2))


def _steps_at_once(steps: int, parameters: int) -> int:
    """Return how many steps of an epoch TensorFlow takes between two returns to Python; the weights are the same.

    A step of a small network takes milliseconds, and Python a tenth of them or more. One of a large network takes long
    enough without that, and Ctrl-C waits until TensorFlow returns.
    """
    if parameters > SMALL_PARAMETERS:
        return 1
    return next(count for count in range(STEPS_AT_ONCE, 0, -1) if steps % count == 0)


def _untuned(dataset: Any) -> Any:
    """Return the tf.data.Dataset without autotuning, which has nothing to tune in it.

    Its thread sleeps twice as long each time (10 ms, 20 ms, ...), and the end of an iterator sometimes waits until it wakes:
    an epoch of 2.6 s then took 5.1 (TensorFlow 2.21).
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _gather(inputs: npt.NDArray[Any], labels: Labels, indices: Any) -> tuple[Any, Any]:
    """Return tensors of the examples at `indices`: float32 (N, ...) and int64 (N,). Arrays on disk are read from there."""
    import tensorflow as tf

    x = tf.numpy_function(lambda at: inputs[at], [indices], tf.as_dtype(inputs.dtype))
    x.set_shape((None, *inputs.shape[1:]))
    return tf.cast(x, tf.float32), tf.gather(labels, indices)


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
    options: dict[str, Any] = {"weight_decay": phase.weight_decay} if phase.weight_decay else {}
    if phase.weight_average:
        options |= {"use_ema": True, "ema_momentum": phase.weight_average}
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    return kinds[phase.optimizer](rate, **options)


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


def _recorder(run: _PhaseRun, history: list[Epoch], number: int, checkpoint: Checkpoint | None) -> Any:
    """Return a Keras callback that keeps each epoch's figures and state, and stops when the loss is not a number."""
    import keras

    class Recorder(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
        start_s = 0.0

        def on_epoch_begin(self, *_: object) -> None:
            self.start_s = time.monotonic()

        def on_train_batch_end(self, _batch: int, logs: dict[str, float] | None = None) -> None:
            # Once the loss is NaN it stays so, and the metric, a running mean, keeps it.
            if logs:
                self._check(logs["loss"])

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            logs = logs or {}
            self._check(logs["loss"])
            self._check(logs["val_loss"])
            figures = {name: float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
            seconds = time.monotonic() - self.start_s
            history.append(Epoch(run.phase.name, len(history) + 1, **figures, seconds=seconds))
            if checkpoint is not None:
                progress = Progress(number, epoch + 1, tuple(done.to_json() for done in history))
                checkpoint.save(run.network, run.trained, progress)

        def _check(self, loss: float) -> None:
            if not math.isfinite(loss):
                raise CheckFailed(
                    f"phase {run.phase.name!r}, epoch {len(history) + 1}: the loss is {loss}: the learning rate is too "
                    "high or a weight is damaged; no model was written"
                )

    return Recorder()
