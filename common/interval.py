"""An interval: how far the true value may be from the measured one, at an error that the caller gives."""

from dataclasses import dataclass
from functools import lru_cache

from device.scoring import wilson_interval

ERROR = 0.01  # of a verdict, two-sided: it uses 99 % intervals


@dataclass(frozen=True)
class Interval:
    """A measured value and the borders of its interval, all in the value's own unit."""

    value: float
    low: float
    high: float

    @staticmethod
    def exact(value: float) -> "Interval":
        """Return the interval of a value that is counted, not estimated, such as a size."""
        return Interval(value, value, value)

    def scaled(self, factor: float) -> "Interval":
        """Return it in another unit: the value and both borders times `factor`, which is above 0."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


@lru_cache(maxsize=1024)
def normal_point(error: float = ERROR) -> float:
    """Return the two-sided border of the normal distribution: 1.96 for an error of 0.05."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - error / 2)


def of_share(hits: int, total: int, error: float = ERROR) -> Interval:
    """Return Wilson's interval of a share, `total` above zero, as fractions of one."""
    return Interval(hits / total, *wilson_interval(hits, total, normal_point(error)))
