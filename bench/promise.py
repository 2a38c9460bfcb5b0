"""Holding a measured ratio against what was promised: kept, broken, or not shown by this many measurements."""

from dataclasses import dataclass

from bench.interval import Interval


@dataclass(frozen=True)
class Promise:
    """A ratio that must lie between two limits."""

    what: str
    least: float
    most: float

    def verdict(self, measured: Interval) -> str:
        """Return "PASS" where the whole interval is within the limits, "FAIL" where it is wholly outside."""
        if self.least <= measured.low and measured.high <= self.most:
            return "PASS"
        if measured.low > self.most or measured.high < self.least:
            return "FAIL"
        return "INCONCLUSIVE"

    def line(self, measured: Interval) -> str:
        """Return the figure, its interval and the verdict for people."""
        limits = f"at most {self.most:g}" if self.least == 0 else f"{self.least:g} to {self.most:g}"
        figure = f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]"
        return f"{self.what}: {figure}, promised {limits}: {self.verdict(measured)}"
