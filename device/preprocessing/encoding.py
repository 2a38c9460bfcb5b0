"""How a prepared picture becomes the model's input tensor: the values, their type, the order of the axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from device.card import Step
from device.pictures.input_range import PIXELS, InputRange
from device.pictures.steps import LAYOUTS

NHWC, NCHW = LAYOUTS
BYTES, VALUES = "input_bytes", "input_values"  # the steps of a card that describe it


@dataclass(frozen=True)
class Quantization:
    """real = (whole number - zero_point) · scale; scale 0: not quantized."""

    scale: float = 0.0
    zero_point: int = 0


NOT_QUANTIZED, ONE_A_STEP = Quantization(), Quantization(1.0, 0)


@dataclass(frozen=True)
class Encoding:
    """The values that a pixel becomes, and the layout.

    Without a range, an 8-bit input takes the byte as it is (uint8) or less 128 (int8): its scale and zero point already
    say what that byte means, and dividing by the scale again would saturate nearly every pixel.
    """

    input_range: Optional[InputRange] = PIXELS
    layout: str = NHWC

    def tensor(
        self, pixels: npt.NDArray[np.uint8], shape: Sequence[int], dtype: np.dtype[Any], quantization: Quantization
    ) -> npt.NDArray[Any]:
        """Turn pixels (H, W, C), uint8, 0..255, into a tensor of that shape and type: a batch of N repeats it N times."""
        values = self._values(pixels, dtype, quantization)
        if self.layout == NCHW:
            values = values.transpose(2, 0, 1)
        if len(shape) == 3:  # (N, H, W), of one channel
            values = values.reshape(values.shape[:2] if self.layout == NHWC else values.shape[1:])
        return values[None] if shape[0] == 1 else np.repeat(values[None], shape[0], axis=0)

    def _values(self, pixels: npt.NDArray[np.uint8], dtype: np.dtype[Any], quantization: Quantization) -> npt.NDArray[Any]:
        if self.input_range is None:
            return pixels if dtype == np.uint8 else (pixels ^ 0x80).view(np.int8)  # less 128, in two's complement
        floating = np.issubdtype(dtype, np.floating)
        if self.input_range.is_pixels and (floating or (dtype == np.uint8 and quantization in (NOT_QUANTIZED, ONE_A_STEP))):
            return pixels.astype(dtype, copy=False)
        real = self.input_range.values(pixels)
        if floating:
            return real.astype(dtype)
        limits = np.iinfo(dtype)
        whole = np.round(real / (quantization.scale or 1.0)) + quantization.zero_point
        values: npt.NDArray[Any] = np.clip(whole, limits.min, limits.max).astype(dtype)
        return values

    def to_steps(self) -> tuple[Step, ...]:
        """Return the card's steps that describe it; none where the model takes pixels 0..255 as (N, H, W, C)."""
        layout = {} if self.layout == NHWC else {"layout": self.layout}
        if self.input_range is None:
            return (Step(BYTES, layout),)
        if self.input_range.is_pixels:
            return (Step(VALUES, layout),) if layout else ()
        said = {"scale": list(self.input_range.scale), "offset": list(self.input_range.offset)}
        order = {} if self.input_range.order == "rgb" else {"order": self.input_range.order}
        return (Step(VALUES, {**said, **order, **layout}),)


def encoding_of(steps: Sequence[Step]) -> Encoding:
    """Return the encoding that a card's steps describe; by default pixels 0..255 as (N, H, W, C)."""
    for step in steps:
        parameters = step.parameters
        if step.name == BYTES:
            return Encoding(None, parameters.get("layout", NHWC))
        if step.name == VALUES:
            scale, offset = tuple(parameters.get("scale", (1.0,))), tuple(parameters.get("offset", (0.0,)))
            name = "as in its card"
            return Encoding(InputRange(name, scale, offset, parameters.get("order", "rgb")), parameters.get("layout", NHWC))
    return Encoding()
