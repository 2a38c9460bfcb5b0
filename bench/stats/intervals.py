"""Intervals for verdicts: how far the true value may be from the measured one, at an error that the caller gives."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from common.interval import ERROR, Interval

TRIMMED = 0.1  # of the rounds at each end


def of_processes(values: Sequence[float], error: float = ERROR) -> Interval | None:
    """Return the interval of the centre of the values of processes, all above zero; None for fewer than two.

    One process is one sample: Student's t on the logarithms, since processes differ by factors. The value is their
    geometric mean. A single process does not show how processes differ, so it has no interval.
    """
    if len(values) < 2:
        return None
    mean, reach = _mean_and_reach(np.log(values), error)
    return Interval(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach))


def of_ratio(over: Sequence[float], under: Sequence[float], error: float = ERROR) -> Interval | None:
    """Return the interval of the ratio of two rows' values, one a process; None where a row has fewer than two."""
    return of_geometric_mean([(over, under)], error)


def of_geometric_mean(pairs: Sequence[tuple[Sequence[float], Sequence[float]]], error: float = ERROR) -> Interval | None:
    """Return the interval of the geometric mean of ratios, each of two rows' values, one a process; None as in `of_ratio`.

    Welch's t on the logarithms, with Satterthwaite's degrees of freedom for a sum of independent means (Welch 1947,
    Biometrika 34: 28).
    """
    if min(len(side) for pair in pairs for side in pair) < 2:
        return None
    sides = [np.log(side) for pair in pairs for side in pair]
    variances = [float(side.var(ddof=1)) / len(side) / len(pairs) ** 2 for side in sides]
    centre = sum(float(over.mean() - under.mean()) for over, under in zip(sides[::2], sides[1::2], strict=True)) / len(pairs)
    scatter = sum(v**2 / (len(side) - 1) for v, side in zip(variances, sides, strict=True))
    freedom = sum(variances) ** 2 / scatter if scatter > 0 else sum(len(side) - 1 for side in sides)
    reach = student(error, freedom) * math.sqrt(sum(variances))
    return Interval(math.exp(centre), math.exp(centre - reach), math.exp(centre + reach))


def of_log_differences(differences: npt.NDArray[np.float64], error: float = ERROR) -> Interval:
    """Return the interval of a ratio from its logarithm in each round (rounds,), at least two rounds.

    Student's paired t on the mean without the lowest and highest tenth, by the winsorized variance (Tukey and McLaughlin
    1963, Sankhya A 25: 331): a process that is sometimes delayed must not hide a regression. Fewer than ten rounds
    lose no values.
    """
    count = len(differences)
    cut = int(count * TRIMMED)
    ordered = np.sort(differences)
    winsorized = np.clip(ordered, ordered[cut], ordered[count - 1 - cut])
    mean = float(ordered[cut : count - cut].mean())
    scatter = float(winsorized.std(ddof=1)) / ((1 - 2 * cut / count) * math.sqrt(count))
    reach = student(error, count - 2 * cut - 1) * scatter
    return Interval(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach))


@lru_cache(maxsize=1024)
def student(error: float, freedom: float) -> float:
    """Return the two-sided border of Student's t, fractional degrees of freedom too."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - error / 2))


def _mean_and_reach(logs: npt.NDArray[np.float64], error: float) -> tuple[float, float]:
    return float(logs.mean()), student(error, len(logs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
