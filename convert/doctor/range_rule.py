"""Another rule for the range of single tensors: the range with the least squared error, which clips rare large values.

If the range is the minimum and the maximum, one value in a million can make all steps larger. Source: Nagel et al. 2021,
"A White Paper on Neural Network Quantization" (arXiv 2106.08295), section 3.1: ranges by the mean squared error.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
STEPS = 255
SHARES = tuple(float(share) for share in np.linspace(1.0, 0.1, 19))  # shares of minimum and maximum to try
WORTH = 2.0  # least factor of the squared errors; if it is smaller, the tensor keeps its range
VALUES_A_PICTURE = 2_000  # of each tensor, chosen at random: enough to estimate the rounding error


@dataclass
class _Seen:
    """The observed values of a tensor: its whole range, and a sample."""

    low: float = 0.0
    high: float = 0.0
    some: list[Values] = field(default_factory=list)


def least_squares_ranges(activations: Iterable[Mapping[str, Values]], seed: int = 0) -> dict[str, tuple[float, float]]:
    """Return the range with the least squared error for each tensor where it is at least WORTH times better.

    `activations` are a float model's values by tensor, for some pictures at a time.
    """
    random, seen = np.random.default_rng(seed), dict[str, _Seen]()
    for tensors in activations:
        for name, values in tensors.items():
            one = seen.setdefault(name, _Seen())
            one.low, one.high = min(one.low, float(values.min())), max(one.high, float(values.max()))
            one.some.append(random.choice(values.reshape(-1), min(values.size, VALUES_A_PICTURE), replace=False))
    found = {name: _best(np.concatenate(one.some), one.low, one.high) for name, one in seen.items()}
    return {name: limits for name, limits in found.items() if limits is not None}


def _best(values: Values, low: float, high: float) -> tuple[float, float] | None:
    """Return the best limits, or None if minimum and maximum are less than WORTH times worse."""
    if high <= low:
        return None
    errors = [squared_error(values, low * share, high * share) for share in SHARES]
    best = int(np.argmin(errors))
    return (low * SHARES[best], high * SHARES[best]) if errors[0] > WORTH * errors[best] else None


def squared_error(values: Values, low: float, high: float) -> float:
    """Return the mean squared error of rounding values to 255 steps between two limits around 0, with clipping."""
    step = (high - low) / STEPS
    zero = round(-low / step)
    held = (np.clip(np.round(values / step) + zero, 0, STEPS) - zero) * step
    return float(np.square(values - held, dtype=np.float64).mean())
