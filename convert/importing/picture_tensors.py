"""What a model's input and output are, from their shapes and the last layer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.importing.understood import Activation, Layout, Shape, shape_text
from device.errors import EdgeproofError
from device.runtimes import first_line

COLOURS = (1, 3)
PICTURE_TYPES = ("float32", "float16", "uint8", "int32")


def only(path: Path, what: str, found: Mapping[str, Shape], advice: str) -> str:
    """Return the name of the one input or output. Raises EdgeproofError that names them where there are several."""
    if len(found) != 1:
        named = ", ".join(f"{name} {shape_text(shape)}" for name, shape in found.items())
        raise EdgeproofError(f"{path}: has {len(found)} {what}s ({named}), expected one: {advice}")
    return next(iter(found))


def check_picture_type(path: Path, dtype: str) -> None:
    """Raise EdgeproofError for an input of a type that no picture has."""
    if dtype not in PICTURE_TYPES:
        raise EdgeproofError(
            f"{path}: its input is {dtype}, expected pictures: {', '.join(PICTURE_TYPES)}: export it with one of these"
        )


def picture_layout(path: Path, shape: Shape) -> Layout:
    """Return the layout of an input, the batch in front. Raises EdgeproofError for one that takes no pictures."""
    if len(shape) == 4 and shape[3] in COLOURS:
        return "NHWC"
    if len(shape) == 4 and shape[1] in COLOURS:
        return "NCHW"
    if len(shape) == 3 and None not in shape[1:]:
        return "NHW"
    raise EdgeproofError(
        f"{path}: its input is {shape_text(shape)}, expected pictures: (batch, height, width, 1 or 3), channels first, or "
        "(batch, height, width)"
    )


def check_batch_axis(path: Path, shape: Shape, output_shape: Shape) -> None:
    """Raise EdgeproofError for a model of one picture: (3, height, width) in, (classes,) out."""
    if len(shape) != 3 or len(output_shape) != 1:
        return
    picture = shape[0] in COLOURS or shape[-1] in COLOURS
    if picture and (3 in (shape[0], shape[-1]) or output_shape[0] != shape[0]):  # (1, 28, 28) in, (1,) out: one gray picture
        raise EdgeproofError(
            f"{path}: takes {shape_text(shape)} and gives {shape_text(output_shape)}: the batch axis is missing: export it "
            f"with pictures {shape_text((1, *shape))}"
        )


def laid_out(values: npt.NDArray[np.float32], layout: Layout) -> npt.NDArray[np.float32]:
    """Return values (N, H, W, C) in another layout."""
    if layout == "NCHW":
        return values.transpose(0, 3, 1, 2)
    return values[..., 0] if layout == "NHW" else values


def in_batches(
    path: Path, values: npt.NDArray[Any], size: int, fixed: bool, answer: Callable[[npt.NDArray[Any]], Any]
) -> npt.NDArray[np.float32]:
    """Return the answers (N, classes) to all values, `size` at a time; a fixed batch is filled up with the last one.

    Raises EdgeproofError that names the model's path where it cannot answer.
    """
    parts = []
    for at in range(0, len(values), size):
        part = values[at : at + size]
        filled = np.concatenate([part, *[part[-1:]] * (size - len(part))]) if fixed else part
        try:
            scores = np.asarray(answer(filled), np.float32)
        except Exception as error:  # TensorFlow and the layers may raise anything
            raise EdgeproofError(f"{path}: cannot be run on {filled.shape}: {first_line(error)}") from error
        parts.append(scores.reshape(len(filled), -1)[: len(part)])
    return np.concatenate(parts)


def activation_of(layer: Any) -> Activation | None:
    """Return the activation of a Keras layer's outputs, or None where it is not known."""
    name = getattr(getattr(layer, "activation", None), "__name__", None)
    if type(layer).__name__ == "Softmax":
        return "softmax"
    known: dict[str | None, Activation] = {"softmax": "softmax", "linear": "logits", "sigmoid": "sigmoid"}
    return known.get(name)
