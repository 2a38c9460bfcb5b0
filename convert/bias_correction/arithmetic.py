"""The arithmetic of a correction, the same for both formats.

Source: Nagel, van Baalen, Blankevoort, Welling 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction" (arXiv 1906.04721), section 4.2 and appendix D: the empirical form, which measures with pictures, layer by
layer, after all earlier layers are corrected.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from device.errors import EdgeproofError

Means = npt.NDArray[np.float64]  # (channels,), the mean of a layer's output over pictures and positions
INT32 = np.iinfo(np.int32)
KEPT_BYTES = 256_000_000  # of one layer's outputs for all pictures; outputs of several layers are kept at a time
MIN_PICTURES = 20  # used even if each of them is very large


class Uncorrectable(EdgeproofError):
    """The model cannot be corrected: it stays as it was converted."""


class Overflow(Uncorrectable):
    """The corrected bias does not fit into int32."""


class NotOneEntryPerPicture(Uncorrectable):
    """The output of a layer does not have one entry for each picture, so pictures cannot be run in batches."""


@dataclass(frozen=True)
class Layer:
    """One corrected layer: how far its output's channel means were from float's, in float's units (largest, absolute)."""

    name: str
    shift: float


@dataclass(frozen=True)
class Correction:
    """A corrected model file, the layers that were corrected, and a line for each kind of layer that was not corrected."""

    data: bytes
    layers: tuple[Layer, ...]
    left_out: tuple[str, ...] = ()


def corrected_bias(
    name: str, bias: npt.NDArray[np.int32], difference: Means, scale: npt.NDArray[np.float64]
) -> npt.NDArray[np.int32]:
    """Add the float difference (channels,) to a bias (channels,) whose steps have this scale (channels,) or (1,).

    Raises Overflow, which names the layer, for a value that does not fit into int32 or is not a number.
    """
    wanted = bias.astype(np.float64) + difference / scale
    fits = (wanted >= INT32.min) & (wanted <= INT32.max)  # false for NaN
    if not fits.all():
        channel = int(np.flatnonzero(~fits)[0])
        raise Overflow(
            f"layer {name}: channel {channel} of its bias would become {wanted[channel]:.3g}, int32 ends at {INT32.max:,}: "
            "its scale is too small for the correction"
        )
    return np.round(wanted).astype(np.int32)


def affordable(pictures: int, largest_bytes: int) -> int:
    """Return how many pictures to measure with. All outputs are kept; `largest_bytes` is the largest for one picture."""
    return min(pictures, max(MIN_PICTURES, KEPT_BYTES // max(largest_bytes, 1)))


def left_out(**counts: int) -> tuple[str, ...]:
    """Return a text for each reason why layers were not corrected, with their number."""
    words = {
        "without_bias": "without a bias",
        "other_type": "with a bias that is not int32",
        "shared": "that share their bias with another layer",
        "unmatched": "that the float model does not have",
    }
    return tuple(f"{count} layer{'s' if count > 1 else ''} {words[reason]}" for reason, count in counts.items() if count)


def channel_means(values: npt.NDArray[np.float32], axis: int) -> Means:
    """Return the mean over all axes except the channels."""
    others = tuple(place for place in range(values.ndim) if place != axis % values.ndim)
    means: Means = values.mean(axis=others, dtype=np.float64)
    return means
