"""The progress of training: a bar for the epoch on a terminal, and a line for each finished epoch."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from common.progress import Advance, task_progress

Say = Callable[[str], None]


def silent(_line: str) -> None:
    """Take a line and print nothing."""


def epoch_lines(phase: str, epochs: int, steps: int, say: Say) -> Any:
    """Return a Keras callback that shows the steps of the running epoch and prints the figures of each finished one."""
    import keras

    class EpochLines(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
        def __init__(self) -> None:
            super().__init__()
            self._shown = ExitStack()
            self._advance: Advance = lambda _: None
            self._done = 0

        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002  # Keras names it
            self._shown.close()
            self._done = 0
            self._advance = self._shown.enter_context(task_progress(f"{phase}, epoch {epoch + 1} of {epochs}: steps", steps))

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002
            self._advance(batch + 1 - self._done)  # one call may cover several steps
            self._done = batch + 1

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self._shown.close()
            figures = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in (logs or {}).items())
            say(f"{phase}, epoch {epoch + 1} of {epochs}: {figures}")

        def close(self) -> None:
            """Stop showing progress, also where training ended with an error."""
            self._shown.close()

    return EpochLines()
