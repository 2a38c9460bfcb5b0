"""What a budget says of a measurement: three values, since a gate that guesses is worse than none."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from bench.interval import Interval
from device.classify import EXIT_FAILED, EXIT_OK, EdgeproofError

EXIT_INCONCLUSIVE = 3


class Verdict(Enum):
    """The last two are no verdicts: the budget was not held against anything."""

    PASS = "PASS"  # noqa: S105  # a verdict, no password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_HERE = "not this device"
    SKIPPED = "skipped"


JUDGED = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)


@dataclass(frozen=True)
class Place:
    """Where a budget stands."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Finding:
    """One budget held against one row."""

    budget: str  # its key, as max_p50_ms
    limit: float
    unit: str
    place: Place
    subject: str  # the row's key, or the rule where no row could be judged
    verdict: Verdict
    measured: Interval | None = None  # in the unit of the limit
    samples: str = ""  # what the interval rests on
    reason: str = ""  # why it is neither PASS nor FAIL, or what a reader should know of it
    advice: str = ""  # what to do next


def judge(measured: Interval, limit: float, at_most: bool) -> Verdict:
    """Return PASS where the whole interval keeps the limit, FAIL where the whole of it is beyond, else INCONCLUSIVE."""
    if at_most:
        return Verdict.PASS if measured.high <= limit else Verdict.FAIL if measured.low > limit else Verdict.INCONCLUSIVE
    return Verdict.PASS if measured.low >= limit else Verdict.FAIL if measured.high < limit else Verdict.INCONCLUSIVE


def exit_code(findings: Sequence[Finding], inconclusive: str | None = None) -> int:
    """Return 0, 1 or 3; `inconclusive` is "pass" or "fail" for those who must choose. FAIL beats INCONCLUSIVE.

    Raises EdgeproofError where nothing was judged: a gate never passes on nothing.
    """
    verdicts = {finding.verdict for finding in findings}
    if not verdicts & set(JUDGED):
        raise EdgeproofError(
            f"{len(findings)} budgets, but none was held against a measurement: name a device that was measured, or measure"
        )
    if Verdict.FAIL in verdicts:
        return EXIT_FAILED
    if Verdict.INCONCLUSIVE in verdicts:
        return {"pass": EXIT_OK, "fail": EXIT_FAILED, None: EXIT_INCONCLUSIVE}[inconclusive]
    return EXIT_OK
