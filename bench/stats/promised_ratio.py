"""Comparing a measured ratio with a promise: kept, broken, or not shown by this many measurements."""

from dataclasses import dataclass

from common.interval import Interval
from common.verdict import Verdict, judge, overall


@dataclass(frozen=True)
class Promise:
    """A ratio that must be between two limits."""

    what: str
    least: float
    most: float

    def verdict(self, measured: Interval) -> Verdict:
        """Return PASS where the whole interval is within the limits, FAIL where all of it is outside."""
        return overall((judge(measured, self.most, at_most=True), judge(measured, self.least, at_most=False)))

    def line(self, measured: Interval) -> str:
        """Return the figure, its interval and the verdict for people."""
        limits = f"at most {self.most:g}" if self.least == 0 else f"{self.least:g} to {self.most:g}"
        figure = f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]"
        return f"{self.what}: {figure}, promised {limits}: {self.verdict(measured).value}"
