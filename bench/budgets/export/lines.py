"""Findings as lines for a terminal, and the wording that the other formats share."""

from collections import Counter
from collections.abc import Sequence

from bench.budgets.finding import Finding, NotJudged
from bench.budgets.kinds import Comparison
from common.counts import counted
from common.interval import Interval
from common.verdict import Verdict

NOTHING_JUDGED = "nothing was judged"
FAR_BELOW, FAR_ABOVE = 1e-6, 1e15
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
    verdicts = Counter(finding.verdict for finding in findings)
    others = [verdict for verdict in verdicts if isinstance(verdict, NotJudged)]
    counts = ", ".join(f"{verdicts[verdict]} {verdict.value}" for verdict in (*Verdict, *others))
    return f"{counts} of {counted(len(findings), 'budget')}"


def limit(finding: Finding) -> str:
    """Return the limit with its unit."""
    if _is_growth(finding):
        return f"{number(finding.limit.value)} ({number(1 + finding.limit.value)} times)"
    return _with_unit(number(finding.limit.value), finding.limit.kind.unit)


def measured(finding: Finding) -> str:
    """Return what was measured with its 99 % interval."""
    found = finding.measured
    if found is None:
        return "not measured"
    if not _is_growth(finding):
        return _interval(found, finding.limit.kind.unit)
    if found == Interval.exact(0.0):
        return "no change"
    return _interval(Interval(1 + found.value, 1 + found.low, 1 + found.high), "times")


def details(finding: Finding) -> str:
    """Return the samples, the budget's place, and the reason, where known."""
    return "; ".join(part for part in (finding.samples, str(finding.limit.place), finding.reason) if part)


def number(value: float) -> str:
    """Return four significant digits, with an exponent only where a number is far from all that is measured."""
    if value == 0:
        return "0"
    if not FAR_BELOW <= abs(value) < FAR_ABOVE:
        return f"{value:.4g}"
    shown = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}"
    return f"{value:.6f}" if "e" in shown else shown.rstrip(".") if "." not in shown else shown.rstrip("0").rstrip(".")


def _is_growth(finding: Finding) -> bool:
    """Say whether a figure is how much more than one a ratio is: it is shown as the ratio, "16.5 more" is hard to read."""
    return finding.limit.kind.comparison in (Comparison.TIMES, Comparison.COUNTS)


def _interval(found: Interval, unit: str) -> str:
    text = _with_unit(number(found.value), unit)
    return text if found.low == found.high else f"{text} [{number(found.low)}, {number(found.high)}]"


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text
