"""The figures of each epoch, and the Keras callback that keeps them."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from device.errors import CheckFailed
from train.fitting.checkpoint import Progress


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
        """Return it as history.json holds it."""
        return asdict(self)


def recorder(phase: str, number: int, history: list[Epoch], save: Callable[[Progress], None] | None) -> Any:
    """Return a Keras callback that appends each epoch to `history`, saves it, and stops when the loss is not a number.

    `number` is the phase's place in its recipe.
    """
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
            history.append(Epoch(phase, len(history) + 1, **figures, seconds=seconds))
            if save is not None:
                save(Progress(number, epoch + 1, tuple(done.to_json() for done in history)))

        def _check(self, loss: float) -> None:
            if not math.isfinite(loss):
                raise CheckFailed(
                    f"phase {phase!r}, epoch {len(history) + 1}: the loss is {loss}: the learning rate is too "
                    "high or a weight is damaged; no model was written"
                )

    return Recorder()
