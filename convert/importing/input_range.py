"""Which values a model that was not trained here takes, and the layers that make them of pixels 0..255."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from device.formats.model_graph import Front
from device.pictures.input_range import PIXELS, InputRange


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
    """Describe the layers in front of a keras.Model's first kernel that together take pixels 0..255 to small values.

    What one layer does the next may undo: a Rescaling(255) is put before models that begin with Rescaling(1/255).
    """
    import keras

    found, front = [], Front()
    for layer in _in_order(network):
        if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel"):
            break
        if isinstance(layer, keras.layers.Rescaling):
            found.append(f"Rescaling({_short(layer.scale)}, {_short(layer.offset)})")
            scaled = _then(front, ("Mul", layer.scale), ("Add", layer.offset))
        elif isinstance(layer, keras.layers.Normalization) and getattr(layer, "mean", None) is not None:
            found.append("Normalization")
            deviation = np.sqrt(np.asarray(layer.variance, np.float64))
            scaled = _then(front, ("Sub", layer.mean), ("Div", np.maximum(deviation, keras.backend.epsilon())))
        else:
            continue
        if scaled is None:
            return []
        front = scaled
    return found if front.takes == PIXELS.name else []


def _in_order(network: Any) -> Iterator[Any]:
    """Yield the layers of a keras.Model and its inner models in a picture's order; Keras's own list has another."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from _in_order(layer)
        else:
            yield from layer._flatten_layers()


def _then(front: Front, *operations: tuple[str, Any]) -> Front | None:
    """Return a front with operations more, each with a constant; None where a constant is none of a scaling."""
    for operation, constant in operations:
        found = front.then(operation, np.asarray(constant, np.float64).reshape(-1))
        if found is None:
            return None
        front = found
    return front


def _short(values: Any) -> str:
    numbers: Sequence[float] = values if isinstance(values, list | tuple) else [values]
    return ", ".join(f"{float(number):.4g}" for number in numbers)
