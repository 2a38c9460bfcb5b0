"""A trained model under examination: what several steps need of it, measured once."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from convert.calibrate import Calibration
from convert.layer_error import Quantized, Quantizer
from convert.layer_names import LayerNames
from convert.onnx_layers import CalibratedOnnx
from convert.ranges import read_ranges
from convert.run import TrainedModel
from convert.tflite_layers import CalibratedTflite
from convert.variant import Variant
from convert.verify import FULL_SAMPLE
from device.classify import Card, open_session
from train.data import Labels, Pixels, stratified_order
from train.evaluate import probabilities


@dataclass(frozen=True)
class Sample:
    """Prepared validation pictures (N, H, W, C), their labels (N,) and what Keras answers (N,)."""

    pixels: Pixels
    truth: Labels
    keras: npt.NDArray[np.int64]


class Patient:
    """A trained model with what several steps of an examination need, measured once."""

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained
        self._quantizers: dict[str, Quantizer] = {}

    @cached_property
    def names(self) -> LayerNames:
        return LayerNames.of(self.trained.network)

    @cached_property
    def sample(self) -> Sample:
        return draw(self.trained, FULL_SAMPLE)

    def quantizer(self, variant: Variant) -> Quantizer:
        """Return the model calibrated with all its calibration pictures."""
        if variant.format not in self._quantizers:
            self._quantizers[variant.format] = calibrated(self.trained, variant, self.trained.calibration)
        return self._quantizers[variant.format]


def draw(trained: TrainedModel, count: int | None) -> Sample:
    """Prepare the first `count` validation pictures (None: all) of a stratified order and let Keras answer them."""
    split = trained.dataset.val
    chosen = stratified_order(split.labels, seed=0)[:count]
    pixels = split.prepared(trained.steps, chosen)
    return Sample(pixels, split.labels[chosen], probabilities(trained.network, pixels).argmax(axis=1))


def calibrated(trained: TrainedModel, variant: Variant, calibration: Calibration) -> Quantizer:
    """Calibrate a model for the variant's format."""
    if variant.format == "onnx":
        return CalibratedOnnx(trained.onnx, calibration)
    return CalibratedTflite(trained.saved_model, calibration)


def answers(path: Path, card: Card, pixels: Pixels) -> npt.NDArray[np.int64]:
    """Answer prepared pictures (N, H, W, C) as a device would: (N,)."""
    session = open_session(path, card)
    return np.array([int(session.scores(session.infer(session.tensor(picture))).argmax()) for picture in pixels], np.int64)


def answers_of(model: Quantized, trained: TrainedModel, variant: Variant, pixels: Pixels) -> npt.NDArray[np.int64]:
    """Answer pictures with a model that has no file yet: (N,)."""
    card = Card.from_json({**trained.common, "variant": variant.name, "session": model.session})
    with _written(model, variant) as path:
        return answers(path, card, pixels)


def scales_of(model: Quantized, variant: Variant) -> dict[str, float]:
    """Return the scales of the activations of a model that has no file yet."""
    with _written(model, variant) as path:
        return dict(read_ranges(path).scales)


@contextmanager
def _written(model: Quantized, variant: Variant) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
        path = Path(folder) / f"model.{variant.format}"
        path.write_bytes(model.data)
        yield path
