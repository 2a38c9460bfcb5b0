"""The error that quantization makes in each layer, for both formats in the same units."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from convert.layer_names import LayerNames
from convert.variant import Format
from train.data import Pixels


@dataclass(frozen=True)
class LayerError:
    """One layer's error over some pictures.

    SQNR is 10·log10(Σ float² / Σ (float − quantized)²). `alone_db` blames the layer itself: its inputs are the same in
    both. `accumulated_db` compares whole models, float from the picture on, and so includes all layers before.
    `rmse_over_scale` is the root mean square error alone, in quantization steps: rounding makes 1/√12 = 0.29, and what is
    far over that clips (tensorflow.org, "Inspecting quantization errors with quantization debugger"). `weights_db` is of
    the kernel by itself.
    """

    format: Format
    layer: str  # the Keras layer's name where it is found
    operation: str
    node: str  # what a converter is told to leave this layer in float: an output tensor (TFLite), a node (ONNX)
    alone_db: float
    accumulated_db: float
    rmse_over_scale: float
    weights_db: float | None = None


@dataclass
class ErrorSums:
    """Sums of squares over pictures, from which the figures of a layer come; a mean of decibels would favour outliers."""

    signal: float = 0.0
    noise: float = 0.0
    values: int = 0

    def add(self, real: npt.NDArray[np.float32], quantized: npt.NDArray[np.float64]) -> None:
        """Add one comparison of two equally shaped arrays."""
        wide = real.astype(np.float64)
        self.signal += float(np.square(wide).sum())
        self.noise += float(np.square(wide - quantized).sum())
        self.values += real.size

    @property
    def sqnr_db(self) -> float:
        """Return the ratio in decibels: infinite without an error, minus infinite without a signal."""
        if self.noise == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf

    @property
    def rmse(self) -> float:
        return math.sqrt(self.noise / max(self.values, 1))


def worst_first(errors: Iterable[LayerError]) -> list[LayerError]:
    """Sort by the error from the picture on: only it shows a layer whose values were lost in the layer before."""
    return sorted(errors, key=lambda error: (error.accumulated_db, error.alone_db))


@dataclass(frozen=True)
class Quantized:
    """A quantized model, the nodes that are float in it, and what a session must be opened with."""

    data: bytes
    float_nodes: tuple[str, ...]
    session: Mapping[str, Any] | None = None


class Quantizer(Protocol):
    """A model that was calibrated once and can be quantized in several ways."""

    def quantized(self, float_nodes: Sequence[str] = ()) -> Quantized:
        """Quantize all but these nodes."""

    def layer_errors(self, pixels: Pixels, names: LayerNames) -> list[LayerError]:
        """Measure each computing operation on pictures (N, H, W, C)."""
