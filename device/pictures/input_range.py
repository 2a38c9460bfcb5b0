"""The values that a model from elsewhere takes instead of pixels 0..255."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from device.errors import EdgeproofError

FURTHEST = 1e9  # of 0: a value that float32 still tells from its neighbours, and no model takes one as large
LIMITS = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")
CHOICES = "0..255, 0..1, -1..1, any other A..B, caffe or torch"
ORDERS = ("rgb", "bgr")
SAME = 1e-3  # of what black and white differ by: people round what they normalize by, 0.229 and 58.395 / 255


@dataclass(frozen=True)
class InputRange:
    """What the model sees of a pixel: value · scale + offset, one of each or one a channel of RGB; then the order."""

    name: str = field(compare=False)
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    order: str = "rgb"

    @property
    def is_pixels(self) -> bool:
        """Say whether the model takes pixels as they are."""
        return set(self.scale) == {1.0} and set(self.offset) == {0.0} and self.order == "rgb"

    @property
    def limits(self) -> tuple[float, float]:
        """Return the least and the greatest value that a pixel of any channel becomes."""
        count = max(len(self.scale), len(self.offset))
        scales, offsets = self.scale * (count // len(self.scale)), self.offset * (count // len(self.offset))
        ends = [pixel * scale + offset for scale, offset in zip(scales, offsets) for pixel in (0, 255)]
        return min(ends), max(ends)

    def to_json(self) -> dict[str, Any]:
        """Return all fields, with scale and offset as lists."""
        return {"name": self.name, "scale": list(self.scale), "offset": list(self.offset), "order": self.order}

    def check_channels(self, channels: int) -> None:
        """Raise EdgeproofError where the range is for colours and the pictures are gray."""
        most = max(len(self.scale), len(self.offset), 3 if self.order == "bgr" else 1)
        if most not in (1, channels):
            raise EdgeproofError(
                f"input range {self.name}: is for pictures of {most} channels, the model takes {channels}: give one of "
                "0..255, 0..1, -1..1 or A..B"
            )

    def followed_by(self, scale: Sequence[float], offset: Sequence[float]) -> InputRange:
        """Return what a pixel becomes where the model goes on with value · scale + offset, each one number or three."""
        own_scale, own_offset, factor, shift = (np.array(each, float) for each in (self.scale, self.offset, scale, offset))
        scales, offsets = np.atleast_1d(own_scale * factor), np.atleast_1d(own_offset * factor + shift)
        return InputRange(self.name, tuple(map(float, scales)), tuple(map(float, offsets)), self.order)

    def same_values(self, other: InputRange) -> bool:
        """Say whether another range makes the same of every pixel, but for rounding."""
        ends = np.repeat(np.array([[[0], [255]]], np.uint8), 3, axis=2)  # (1, 2, 3)
        found, expected = self.values(ends), other.values(ends)
        return bool(np.allclose(found, expected, rtol=0, atol=SAME * float(np.ptp(expected, axis=1).max())))

    def values(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return pixels (H, W, C), uint8, 0..255, as the model takes them: (H, W, C), float32."""
        real = pixels.astype(np.float32) * np.array(self.scale, np.float32) + np.array(self.offset, np.float32)
        return real[..., ::-1] if self.order == "bgr" else real


# keras.applications.imagenet_utils.preprocess_input: its modes "caffe" and "torch"
_CAFFE_MEAN = (123.68, 116.779, 103.939)
_TORCH_MEAN, _TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXELS = InputRange("0..255")
NAMED = {
    "caffe": InputRange("caffe", (1.0,), tuple(-mean for mean in _CAFFE_MEAN), "bgr"),
    "torch": InputRange(
        "torch",
        tuple(1 / (255 * std) for std in _TORCH_STD),
        tuple(-mean / std for mean, std in zip(_TORCH_MEAN, _TORCH_STD)),
    ),
}


def parse_range(text: str) -> InputRange:
    """Read "-1..1", "0..255", "caffe", "torch". Raises EdgeproofError that lists the choices."""
    if text in NAMED:
        return NAMED[text]
    found = LIMITS.fullmatch(text)
    if found is None or not -FURTHEST <= float(found[1]) < float(found[2]) <= FURTHEST:
        raise EdgeproofError(f"input range {text[:40]!r}: expected {CHOICES}")
    low, high = float(found[1]), float(found[2])
    return InputRange(text, ((high - low) / 255,), (low,))


def range_from_json(document: Mapping[str, Any], where: str) -> Optional[InputRange]:
    """Read {"range": "-1..1"} or {"scale", "offset", "order"}, or return None where none of them is present."""
    given = {name: document[name] for name in ("range", "scale", "offset", "order") if name in document}
    if not given:
        return None
    if "range" in given:
        if len(given) > 1 or not isinstance(given["range"], str):
            raise EdgeproofError(
                f"{where}: input.range {given['range']!r}: expected {CHOICES}, and then no scale, offset, order"
            )
        return parse_range(given["range"])
    order = given.get("order", "rgb")
    if order not in ORDERS:
        raise EdgeproofError(f"{where}: input.order {order!r}: expected rgb or bgr")
    scale, offset = (
        _numbers(given.get(name, default), f"{where}: input.{name}") for name, default in (("scale", 1), ("offset", 0))
    )
    if 0.0 in scale:
        raise EdgeproofError(f"{where}: input.scale {list(scale)}: a scale of 0 makes every picture the same")
    return InputRange("as in " + where, scale, offset, order)


def _numbers(value: object, where: str) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    numbers = [float(one) for one in values if isinstance(one, (int, float)) and not isinstance(one, bool)]
    if len(values) not in (1, 3) or len(numbers) < len(values) or not all(map(math.isfinite, numbers)):
        raise EdgeproofError(f"{where} {value!r}: expected a number, or three of them for red, green and blue")
    return tuple(numbers)
