"""A Keras function wrapped for the pipeline: pixels 0..255 in, a probability for each class out."""

import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.formats.saved_model import export
from convert.importing.input_range import applied
from convert.importing.sources import Scores, Wrapping
from convert.importing.understood import Activation, Understood
from convert.trained_model import SAVED_MODEL
from device.errors import EdgeproofError
from device.runtimes import first_line
from train.data.dataset import Pixels
from train.fitting.predict import probabilities

ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that the same model gives the same bytes


@dataclass(frozen=True)
class KerasWrapped:
    """A keras.Model with its ending: `.keras`, or a zipped SavedModel for one without layers or with code among them."""

    network: Any
    ending: str

    def scores(self, pixels: Pixels) -> Scores:
        """Answer prepared pictures (N, H, W, C), uint8, 0..255: (N, classes), float32."""
        return probabilities(self.network, pixels)

    def save(self, path: Path) -> None:
        """Write it to a path with its ending."""
        if self.ending == SAVED_MODEL:
            _export(self.network, path)
        else:
            self.network.save(path)


def wrapped(understood: Understood, layer: Callable[[Any], Any], wrapping: Wrapping, keep_layers: bool) -> KerasWrapped:
    """Wrap a function of keras tensors, from the layout that the source takes to its outputs.

    `keep_layers` is for what a `.keras` can hold. Raises EdgeproofError for a picture size that it cannot take.
    """
    import keras

    image = keras.Input(wrapping.shape, name="image")
    values = applied(wrapping.input_range, image)
    if understood.layout.value == "NCHW":
        values = keras.layers.Permute((3, 1, 2), name="channels_first")(values)
    elif understood.layout.value == "NHW":
        values = keras.layers.Reshape(wrapping.shape[:2], name="without_channels")(values)
    try:
        scores = single(layer(values))
    except Exception as error:  # a layer may raise anything for a size that it cannot take
        raise EdgeproofError(
            f"{understood.path}: cannot be run on pictures {wrapping.shape}: {first_line(error)}"
        ) from error
    scores = _as_probabilities(scores, wrapping.activation)
    return KerasWrapped(keras.Model(image, scores, name="imported"), ".keras" if keep_layers else SAVED_MODEL)


def _as_probabilities(scores: Any, activation: Activation) -> Any:
    """Return a probability a class (N, classes) of the outputs; one output is that of the second of two classes."""
    import keras

    if len(scores.shape) != 2:
        scores = keras.layers.Flatten(name="scores")(scores)
    if scores.shape[-1] == 1:
        if activation == "logits":
            scores = keras.layers.Activation("sigmoid", name="second")(scores)
        first = keras.layers.Rescaling(-1.0, offset=1.0, name="first")(scores)
        return keras.layers.Concatenate(name="probabilities")([first, scores])
    return keras.layers.Softmax(name="probabilities")(scores) if activation == "logits" else scores


def single(outputs: Any) -> Any:
    """Unpack a list or dictionary of one tensor."""
    if isinstance(outputs, dict):
        return next(iter(outputs.values()))
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def _export(network: Any, path: Path) -> None:
    """Write a keras.Model as a SavedModel in one file."""
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as name:
        exported = Path(name) / "model"
        export(network, exported, batch=None)
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(file for file in exported.rglob("*") if file.is_file()):
                archive.writestr(zipfile.ZipInfo(file.relative_to(exported).as_posix(), ZIP_DATE), file.read_bytes())
