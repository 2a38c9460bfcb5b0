"""Findings as lines for a terminal, and the pieces of words that the other forms share."""

from collections import Counter
from collections.abc import Sequence

from bench.verdict import JUDGED, Finding, Verdict

ORDER = (Verdict.NOT_HERE, Verdict.SKIPPED, Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return what each finding says, what needs a look last, with what to do below it; the count of the verdicts closes."""
    told: list[str] = []
    for finding in sorted(findings, key=lambda finding: ORDER.index(finding.verdict)):
        said = f"{finding.verdict.value:<15} {finding.subject}: {finding.budget} {limit(finding)}, {measured(finding)}"
        told.append(f"{said} ({details(finding)})")
        if finding.advice:
            told.append(f"{'':<15} → {finding.advice}")
    return [*told, summary(findings)]


def summary(findings: Sequence[Finding]) -> str:
    """Return how many budgets came to which verdict."""
    counted = Counter(finding.verdict for finding in findings)
    others = [verdict for verdict in counted if verdict not in JUDGED]
    return (
        ", ".join(f"{counted[verdict]} {verdict.value}" for verdict in (*JUDGED, *others)) + f" of {len(findings)} budgets"
    )


def limit(finding: Finding) -> str:
    """Return the limit with its unit."""
    return _with_unit(number(finding.limit), finding.unit)


def measured(finding: Finding) -> str:
    """Return what was measured with its 99 % interval."""
    found = finding.measured
    if found is None:
        return "not measured"
    text = _with_unit(number(found.value), finding.unit)
    return text if found.low == found.high else f"{text} [{number(found.low)}, {number(found.high)}]"


def details(finding: Finding) -> str:
    """Return the samples, the budget's place, and the reason, where there are any."""
    return "; ".join(part for part in (finding.samples, str(finding.place), finding.reason) if part)


def number(value: float) -> str:
    """Return four significant digits, never in scientific notation."""
    if value == 0:
        return "0"
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}"
    return f"{value:.6f}" if "e" in shown else shown.rstrip(".") if "." not in shown else shown.rstrip("0").rstrip(".")


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text
