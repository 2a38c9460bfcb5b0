"""A model that the doctor examines. What several steps need is measured only once."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.paired_accuracy import Paired
from convert.calibration import Calibration
from convert.doctor.layer_error import Quantized, Quantizer
from convert.doctor.layer_names import LayerNames
from convert.doctor.onnx_layers import CalibratedOnnx
from convert.doctor.ranges import read_ranges
from convert.doctor.tflite_layers import CalibratedTflite
from convert.trained_model import TrainedModel
from convert.variants import QUANTIZED, Variant
from convert.verification.verify import Agreement, margins
from device.card import Card
from device.open_model import open_session
from train.data.dataset import Labels, Pixels, stratified_order
from train.fitting.predict import probabilities

UNDECIDED = f"{{}} decides none of {{}} validation pictures by {QUANTIZED.margin:g}"


@dataclass(frozen=True)
class Sample:
    """Prepared validation pictures (N, H, W, C), their labels (N,) and Keras's answers (N,).

    `counts` (N,) marks the pictures whose answers are compared: all pictures, or for a model that was not trained here
    those that Keras decides (convert/verification/verify.py). Without labels, Keras's answers count as the truth.
    """

    pixels: Pixels
    truth: Labels
    keras: npt.NDArray[np.int64]
    counts: npt.NDArray[np.bool_]
    labelled: bool

    def agreement(self, found: npt.NDArray[np.int64], other: npt.NDArray[np.int64] | None = None) -> Agreement:
        """Count how often answers (N,) are equal to Keras's, or to `other` (N,)."""
        same = found == (self.keras if other is None else other)
        return Agreement(int(same[self.counts].sum()), int(self.counts.sum()))

    def paired(self, found: npt.NDArray[np.int64]) -> Paired:
        """Compare how many of the answers (N,) and of Keras's are right. If there are labels, all pictures count."""
        chosen = self.counts | self.labelled
        return Paired.of(self.keras[chosen], found[chosen], self.truth[chosen])


class ExaminedModel:
    """A trained model, and what several steps of an examination need. Each part is measured only once."""

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained
        self._quantizers: dict[str, Quantizer] = {}

    @cached_property
    def names(self) -> LayerNames:
        """Return the names of the network's layers."""
        return LayerNames.of(self.trained.network)

    @cached_property
    def sample(self) -> Sample:
        """Return all validation pictures, prepared, with Keras's answers."""
        return draw(self.trained)

    def quantizer(self, variant: Variant) -> Quantizer:
        """Return the model calibrated with all its calibration pictures."""
        if variant.format not in self._quantizers:
            self._quantizers[variant.format] = calibrated(self.trained, variant, self.trained.calibration)
        return self._quantizers[variant.format]


def draw(trained: TrainedModel) -> Sample:
    """Prepare all validation pictures in a stratified order, with Keras's answers."""
    split = trained.dataset.val
    chosen = stratified_order(split.labels, seed=0)
    pixels = split.prepared(trained.steps, chosen)
    scores = probabilities(trained.network, pixels)
    keras = scores.argmax(axis=1)
    margin = 0.0 if trained.trained_here else QUANTIZED.margin
    truth = split.labels[chosen] if split.labelled else keras
    return Sample(pixels, truth, keras, margins(scores) >= margin, split.labelled)


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
    """Answer pictures with a model that is not written yet: (N,)."""
    card = Card.from_json({**trained.common, "variant": variant.name, "session": model.session})
    with _written(model, variant) as path:
        return answers(path, card, pixels)


def scales_of(model: Quantized, variant: Variant) -> dict[str, float]:
    """Return the scales of the activations of a model that is not written yet."""
    with _written(model, variant) as path:
        return dict(read_ranges(path).scales)


@contextmanager
def _written(model: Quantized, variant: Variant) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
        path = Path(folder) / f"model.{variant.format}"
        path.write_bytes(model.data)
        yield path
