"""Which values a model that was not trained here takes, and the layers that make them of pixels 0..255."""

from collections.abc import Iterable, Sequence
from typing import Any

from device.pictures.input_range import InputRange


def applied(input_range: InputRange, pixels: Any) -> Any:
    """Return a keras tensor (N, H, W, C) of pixels 0..255 as the model takes it; no layer where nothing changes."""
    import keras

    if (input_range.scale, input_range.offset) != ((1.0,), (0.0,)):
        scale, offset = (
            list(values) if len(values) > 1 else values[0] for values in (input_range.scale, input_range.offset)
        )
        pixels = keras.layers.Rescaling(scale, offset=offset, name="input_range")(pixels)
    return pixels[..., ::-1] if input_range.order == "bgr" else pixels


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
