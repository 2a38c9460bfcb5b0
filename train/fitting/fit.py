"""Running a recipe: its phases one after another, from where a checkpoint has left them."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

from train.examples import Examples
from train.fitting.checkpoint import Checkpoint, Progress
from train.fitting.distillation import Teaching, accuracy
from train.fitting.epoch_lines import Say, epoch_lines, silent
from train.fitting.frozen_layers import split_network
from train.fitting.fused_batch_norm import with_fused_normalization
from train.fitting.history import Epoch, recorder
from train.fitting.optimizer import loss_of, optimizer_of
from train.fitting.phase_data import phase_data
from train.fitting.unused_pixels import without_unseen_pixels
from train.spec import Phase, Recipe

STEPS_AT_ONCE = 32  # at most, between two returns to Python
SMALL_PARAMETERS = 1_000_000


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
        self.network, self.phase, self.teaching = network, phase, teaching
        lower, trained = split_network(network, phase)
        lower = None if lower is None else with_fused_normalization(lower)
        self.trained = without_unseen_pixels(with_fused_normalization(trained))
        self.data = phase_data(lower, phase, train, val, seed)

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
        steps = self.data.steps
        self.trained.compile(
            optimizer=optimizer_of(phase, steps * phase.epochs),
            loss=self.teaching.loss if self.teaching else loss_of(phase, self.trained.output.shape[-1]),
            metrics=[keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
            steps_per_execution=_steps_at_once(steps, self.trained.count_params()),
        )
        # Otherwise Keras makes its variables in the first step, which is then traced twice: seconds for MobileNetV2.
        self.trained.optimizer.build(self.trained.trainable_variables)
        if checkpoint is not None and progress.epochs:
            checkpoint.restore_optimizer(self.trained)
        save = None if checkpoint is None else partial(checkpoint.save, self.network, self.trained)
        callbacks = [recorder(phase.name, progress.phase, history, save)]
        if phase.weight_average:  # validate with the average: it is the result of the phase
            callbacks.insert(0, keras.callbacks.SwapEMAWeights())
        lines = epoch_lines(phase.name, phase.epochs, steps, say)
        with closing(lines):
            self.trained.fit(
                self.data.training(progress.epochs * steps, self.teaching),
                steps_per_epoch=steps,
                initial_epoch=progress.epochs,
                epochs=phase.epochs if max_epochs is None else min(phase.epochs, progress.epochs + max_epochs),
                validation_data=self.data.validation(),
                callbacks=[*callbacks, lines],
                shuffle=False,  # PhaseData shuffles, by the seed
                verbose=0,
            )


def _steps_at_once(steps: int, parameters: int) -> int:
    """Return how many steps of an epoch TensorFlow takes between two returns to Python; the weights are the same.

    A step of a small network takes milliseconds, and Python a tenth of them or more. One of a large network takes long
    enough without that, and Ctrl-C waits until TensorFlow returns.
    """
    if parameters > SMALL_PARAMETERS:
        return 1
    return next(count for count in range(STEPS_AT_ONCE, 0, -1) if steps % count == 0)
