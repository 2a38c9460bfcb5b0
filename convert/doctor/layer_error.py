"""The error that quantization makes in each layer, for both formats in the same units."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from convert.doctor.layer_names import LayerNames
from convert.variants import Format
from train.data.dataset import Pixels


@dataclass(frozen=True)
class LayerError:
    """One layer's error over some pictures.

    SQNR is 10·log10(Σ float² / Σ (float − quantized)²). `alone_db` is the SQNR of the layer itself: both models give it the
    same inputs. `accumulated_db` compares the two whole models, so it includes the errors of all earlier layers.
    `rmse_over_scale` is the layer's own root mean square error, in quantization steps: rounding gives 1/√12 = 0.29, and much
    more means clipping (tensorflow.org, "Inspecting quantization errors with quantization debugger"). `weights_db` is the
    SQNR of the kernel alone. `corrected_db` is `accumulated_db` after bias correction.
    """

    format: Format
    layer: str  # the Keras layer's name, if found
    operation: str
    node: str  # the name for the converter to leave it in float: output tensor (TFLite), node (ONNX)
    alone_db: float
    accumulated_db: float
    rmse_over_scale: float
    weights_db: float | None = None
    corrected_db: float | None = None


@dataclass
class ErrorSums:
    """Sums of squares over pictures, for the figures of a layer. A mean of decibels would give outliers too much weight."""

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
        """Return the root of the mean square error, in the values' own unit; 0 before the first comparison."""
        return math.sqrt(self.noise / max(self.values, 1))


def worst_first(errors: Iterable[LayerError]) -> list[LayerError]:
    """Sort by the accumulated error: only this error shows a layer whose input values were lost in the layer before."""
    return sorted(errors, key=lambda error: (error.accumulated_db, error.alone_db))


Ranges = Mapping[str, tuple[float, float]]  # the smallest and the largest value of each tensor
NO_RANGES: Ranges = {}


@dataclass(frozen=True)
class Quantized:
    """A quantized model, its nodes that stay float, and the settings that a session needs."""

    data: bytes
    float_nodes: tuple[str, ...]
    session: Mapping[str, Any] | None = None


class Quantizer(Protocol):
    """A model that was calibrated once and can be quantized in several ways."""

    def quantized(self, float_nodes: Sequence[str] = (), ranges: Ranges = NO_RANGES) -> Quantized:
        """Quantize all nodes except `float_nodes`. Tensors in `ranges` get these limits instead of the calibrated ones."""

    def layer_errors(self, pixels: Pixels, names: LayerNames, corrected: bytes) -> list[LayerError]:
        """Measure each computing operation on pictures (N, H, W, C), in the quantized model and in the corrected one."""

    def activations(self, pixels: Pixels) -> Iterator[Mapping[str, npt.NDArray[np.float32]]]:
        """Yield the float model's tensors that quantization gives a range, for some pictures of (N, H, W, C) at once."""
