"""Findings as lines for a terminal, and the wording that the other formats share."""

from collections import Counter
from collections.abc import Sequence

from bench.budgets.finding import Finding, NotJudged
from common.verdict import Verdict

NOTHING_JUDGED = "nothing was judged"
ORDER = (NotJudged.NOT_HERE, NotJudged.SKIPPED, Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each finding, the urgent ones last, with advice below; the last line counts the verdicts."""
    found: list[str] = []
    for finding in sorted(findings, key=lambda finding: ORDER.index(finding.verdict)):
        text = f"{finding.verdict.value:<15} {finding.subject}: {finding.limit.name} {limit(finding)}, {measured(finding)}"
        found.append(f"{text} ({details(finding)})")
        if finding.advice:
            found.append(f"{'':<15} → {finding.advice}")
    return [*found, summary(findings)]


def summary(findings: Sequence[Finding]) -> str:
    """Return how many budgets have each verdict."""
    counted = Counter(finding.verdict for finding in findings)
    others = [verdict for verdict in counted if isinstance(verdict, NotJudged)]
    counts = ", ".join(f"{counted[verdict]} {verdict.value}" for verdict in (*Verdict, *others))
    return f"{counts} of {len(findings)} budgets"


def limit(finding: Finding) -> str:
    """Return the limit with its unit."""
    return _with_unit(number(finding.limit.value), finding.limit.kind.unit)


def measured(finding: Finding) -> str:
    """Return what was measured with its 99 % interval."""
    found = finding.measured
    if found is None:
        return "not measured"
    text = _with_unit(number(found.value), finding.limit.kind.unit)
    return text if found.low == found.high else f"{text} [{number(found.low)}, {number(found.high)}]"


def details(finding: Finding) -> str:
    """Return the samples, the budget's place, and the reason, where known."""
    return "; ".join(part for part in (finding.samples, str(finding.limit.place), finding.reason) if part)


def number(value: float) -> str:
    """Return four significant digits, never in scientific notation."""
    if value == 0:
        return "0"
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}"
    return f"{value:.6f}" if "e" in shown else shown.rstrip(".") if "." not in shown else shown.rstrip("0").rstrip(".")


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text
