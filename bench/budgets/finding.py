"""The result of judging a budget, its place, and the exit code."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from bench.budgets.limit import Limit
from common.counts import counted
from common.interval import Interval
from common.verdict import EXIT_CODES, Verdict, overall
from device.errors import EXIT_FAILED, EXIT_OK, EdgeproofError


class NotJudged(Enum):
    """Why there is no verdict: the budget was not compared with anything."""

    NOT_HERE = "not this device"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """The result of one budget for one row."""

    limit: Limit
    subject: str  # the row's key, or the rule where no row could be judged
    verdict: Verdict | NotJudged
    measured: Interval | None = None  # in the unit of the limit
    samples: str = ""  # the samples of the interval
    reason: str = ""  # why it is neither PASS nor FAIL, or another remark
    advice: str = ""  # what to do next

    def to_json(self) -> dict[str, Any]:
        """Return all fields, for scripts."""
        return {
            "budget": self.limit.name,
            "limit": self.limit.value,
            "unit": self.limit.kind.unit,
            "place": asdict(self.limit.place),
            "subject": self.subject,
            "verdict": self.verdict.value,
            "measured": None if self.measured is None else asdict(self.measured),
            "samples": self.samples,
            "reason": self.reason,
            "advice": self.advice,
        }


def exit_code(findings: Sequence[Finding], inconclusive: str | None = None) -> int:
    """Return 0, 1 or 3; `inconclusive` ("pass" or "fail") replaces code 3. FAIL beats INCONCLUSIVE.

    Raises EdgeproofError where no budget was judged: a gate must not pass without a measurement.
    """
    verdicts = [finding.verdict for finding in findings if isinstance(finding.verdict, Verdict)]
    if not verdicts:
        raise EdgeproofError(
            f"{counted(len(findings), 'budget')}, but none was compared with a measurement: name a device that was "
            "measured, or measure"
        )
    verdict = overall(verdicts)
    if verdict is Verdict.INCONCLUSIVE and inconclusive is not None:
        return {"pass": EXIT_OK, "fail": EXIT_FAILED}[inconclusive]
    return EXIT_CODES[verdict]
