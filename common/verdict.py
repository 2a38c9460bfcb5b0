"""The one judge of the project: an interval compared with a limit gives PASS, FAIL or INCONCLUSIVE.

There are three values because a guess is worse than no verdict. Every verdict uses a 99 % interval
(common.interval.ERROR); intervals that are only shown are 95 %.
"""

from collections.abc import Iterable
from enum import Enum

from common.interval import Interval
from device.errors import EXIT_FAILED, EXIT_OK

EXIT_INCONCLUSIVE = 3


class Verdict(Enum):
    """What a sample says about a limit."""

    PASS = "PASS"  # noqa: S105  # a verdict, no password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


EXIT_CODES = {Verdict.PASS: EXIT_OK, Verdict.FAIL: EXIT_FAILED, Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE}


def judge(measured: Interval, limit: float, *, at_most: bool) -> Verdict:
    """Return PASS if the whole interval is within the limit, FAIL if all of it is beyond, else INCONCLUSIVE."""
    if at_most:
        return Verdict.PASS if measured.high <= limit else Verdict.FAIL if measured.low > limit else Verdict.INCONCLUSIVE
    return Verdict.PASS if measured.low >= limit else Verdict.FAIL if measured.high < limit else Verdict.INCONCLUSIVE


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on several together: FAIL beats INCONCLUSIVE beats PASS."""
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) if verdict in found), Verdict.PASS)
