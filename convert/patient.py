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
from convert.paired import Paired
from convert.ranges import read_ranges
from convert.run import TrainedModel
from convert.tflite_layers import CalibratedTflite
from convert.variant import Variant
from convert.verify import FULL_SAMPLE, QUANTIZED_MARGIN, Agreement, margins
from device.classify import Card, open_session
from train.data import Labels, Pixels, stratified_order
from train.evaluate import probabilities

UNDECIDED = f"Keras decides none of {{}} validation pictures by {QUANTIZED_MARGIN:g}"


@dataclass(frozen=True)
class Sample:
    """Prepared validation pictures (N, H, W, C), their labels (N,) and what Keras answers (N,).

    `counts` (N,) are those by which answers are compared: all, or of a model that was not trained here those that Keras
    decides (convert/verify.py). Without labels Keras's answers stand for the truth.
    """

    pixels: Pixels
    truth: Labels
    keras: npt.NDArray[np.int64]
    counts: npt.NDArray[np.bool_]
    labelled: bool

    def agreement(self, found: npt.NDArray[np.int64], other: npt.NDArray[np.int64] | None = None) -> Agreement:
        """Count how often answers (N,) are Keras's, or another's (N,)."""
        same = found == (self.keras if other is None else other)
        return Agreement(int(same[self.counts].sum()), int(self.counts.sum()))

    def paired(self, found: npt.NDArray[np.int64]) -> Paired:
        """Compare Keras and answers (N,) by their right answers, on all pictures where labels say which are right."""
        chosen = self.counts | self.labelled
        return Paired.of(self.keras[chosen], found[chosen], self.truth[chosen])


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
    scores = probabilities(trained.network, pixels)
    keras = scores.argmax(axis=1)
    margin = 0.0 if trained.trained_here else QUANTIZED_MARGIN
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
