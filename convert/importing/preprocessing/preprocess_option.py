"""The option `--preprocess`, read: what it says of a model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from device.card import Step
from device.pictures.input_range import InputRange

Layout = Literal["NHWC", "NCHW"]  # N pictures, H height, W width, C channels
Shape = tuple[int, int, int]  # height, width, channels of the model's input


@dataclass(frozen=True)
class Preprocess:
    """What `--preprocess` says; None for what it does not."""

    steps: tuple[Step, ...] | None = None
    size: tuple[int, int] | None = None  # height, width
    channels: int | None = None
    input_range: InputRange | None = None
    layout: Layout | None = None
    labels: tuple[str, ...] | None = None
    fitting: Callable[[Shape], tuple[Step, ...]] | None = None  # of a preset: the steps follow from the model's input
    # A preset and a library's file say how pictures were normalized in training, perhaps inside the model: --input-range,
    # which says what the model itself takes, goes before their values. A person's own file says the same as that option.
    of_training: bool = False

    def steps_for(self, shape: Shape) -> tuple[Step, ...] | None:
        """Return the steps for an input of this shape, or None where nothing is said of them."""
        return self.fitting(shape) if self.steps is None and self.fitting is not None else self.steps
