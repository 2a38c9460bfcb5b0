"""Which values a model that was not trained here takes, and the layers that make them of pixels 0..255."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from device.classify import EdgeproofError

Order = Literal["rgb", "bgr"]
LIMITS = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")
CHOICES = "0..255, 0..1, -1..1, any other A..B, caffe or torch"


@dataclass(frozen=True)
class InputRange:
    """What the model sees of a pixel: value · scale + offset, one of each or one a channel of RGB; then the order."""

    name: str = field(compare=False)
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    order: Order = "rgb"

    @property
    def is_pixels(self) -> bool:
        """Say whether the model takes pixels as they are."""
        return set(self.scale) == {1.0} and set(self.offset) == {0.0} and self.order == "rgb"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "scale": list(self.scale), "offset": list(self.offset), "order": self.order}

    def check_channels(self, channels: int) -> None:
        """Raise EdgeproofError where the range is one of colours and the pictures have none."""
        most = max(len(self.scale), len(self.offset), 3 if self.order == "bgr" else 1)
        if most not in (1, channels):
            raise EdgeproofError(
                f"input range {self.name}: is for pictures of {most} channels, the model takes {channels}: give one of "
                "0..255, 0..1, -1..1 or A..B"
            )

    def applied(self, pixels: Any) -> Any:
        """Return a keras tensor (N, H, W, C) of pixels 0..255 as the model takes it; no layer where nothing changes."""
        import keras

        if (self.scale, self.offset) != ((1.0,), (0.0,)):
            scale, offset = (list(values) if len(values) > 1 else values[0] for values in (self.scale, self.offset))
            pixels = keras.layers.Rescaling(scale, offset=offset, name="input_range")(pixels)
        return pixels[..., ::-1] if self.order == "bgr" else pixels


# keras.applications.imagenet_utils.preprocess_input: its modes "caffe" and "torch"
_CAFFE_MEAN = (123.68, 116.779, 103.939)
_TORCH_MEAN, _TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXELS = InputRange("0..255")
NAMED = {
    "caffe": InputRange("caffe", (1.0,), tuple(-mean for mean in _CAFFE_MEAN), "bgr"),
    "torch": InputRange(
        "torch",
        tuple(1 / (255 * std) for std in _TORCH_STD),
        tuple(-mean / std for mean, std in zip(_TORCH_MEAN, _TORCH_STD, strict=True)),
    ),
}

# What keras.applications' models were trained on, by the beginning of their names. Those with their scaling inside first:
# "resnet50v2" begins with "resnet50".
_TRAINED_ON = (
    ("efficientnet", "0..255"),
    ("mobilenetv3", "0..255"),
    ("convnext", "0..255"),
    ("mobilenet", "-1..1"),
    ("xception", "-1..1"),
    ("inception", "-1..1"),
    ("nasnet", "-1..1"),
    ("resnet50v2", "-1..1"),
    ("resnet101v2", "-1..1"),
    ("resnet152v2", "-1..1"),
    ("resnet", "caffe"),
    ("vgg", "caffe"),
    ("densenet", "torch"),
)


def parse_range(text: str) -> InputRange:
    """Read "-1..1", "0..255", "caffe", "torch". Raises EdgeproofError that lists what there is."""
    if text in NAMED:
        return NAMED[text]
    found = LIMITS.fullmatch(text)
    if found is None or float(found[1]) >= float(found[2]):
        raise EdgeproofError(f"input range {text!r}: expected {CHOICES}")
    low, high = float(found[1]), float(found[2])
    return InputRange(text, ((high - low) / 255,), (low,))


def range_from_json(document: Mapping[str, Any], where: str) -> InputRange | None:
    """Read {"range": "-1..1"} or {"scale", "offset", "order"}, or return None where none of them is there."""
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
    if order not in ("rgb", "bgr"):
        raise EdgeproofError(f"{where}: input.order {order!r}: expected rgb or bgr")
    scale, offset = (
        _numbers(given.get(name, default), f"{where}: input.{name}") for name, default in (("scale", 1), ("offset", 0))
    )
    if 0.0 in scale:
        raise EdgeproofError(f"{where}: input.scale {list(scale)}: a scale of 0 leaves nothing of the picture")
    return InputRange("as in " + where, scale, offset, order)


def _numbers(value: object, where: str) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    numbers = [float(one) for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(values) not in (1, 3) or len(numbers) < len(values) or not all(map(math.isfinite, numbers)):
        raise EdgeproofError(f"{where} {value!r}: expected a number, or three of them for red, green and blue")
    return tuple(numbers)


def trained_on(names: Iterable[str]) -> tuple[str, str] | None:
    """Return (name, range) where one of these names is that of a model in keras.applications."""
    for name in names:
        for beginning, taken in _TRAINED_ON:
            if name.lower().replace("_", "").startswith(beginning):
                return name, taken
    return None


def scaling_layers(network: Any) -> list[str]:
    """Describe the layers in front of a keras.Model's first kernel that take pixels 0..255 to small values."""
    import keras

    found = []
    for layer in network._flatten_layers(include_self=False):
        if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel"):
            break
        if isinstance(layer, keras.layers.Rescaling) and 0 < _largest(layer.scale) * 255 <= SMALL:
            found.append(f"Rescaling({_short(layer.scale)}, {_short(layer.offset)})")
        if isinstance(layer, keras.layers.Normalization) and _largest(getattr(layer, "mean", None)) > SMALL:
            found.append("Normalization")
    return found


SMALL = 10.0  # values up to here are scaled, over it they are pixels'


def _largest(values: Any) -> float:
    import numpy as np

    return 0.0 if values is None else float(np.abs(np.asarray(values)).max())


def _short(values: Any) -> str:
    numbers: Sequence[float] = values if isinstance(values, list | tuple) else [values]
    return ", ".join(f"{float(number):.4g}" for number in numbers)
