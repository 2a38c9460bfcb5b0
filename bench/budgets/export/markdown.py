"""A Markdown comment for a pull request, and the summary of a GitHub step: budgets that did not pass come first."""

from collections.abc import Sequence

from bench.budgets.export.lines import NOTHING_JUDGED, details, limit, measured, summary
from bench.budgets.finding import Finding, NotJudged
from common.counts import counted
from common.tables import markdown_code, markdown_line, markdown_text
from common.verdict import Verdict

MARKS = {
    Verdict.FAIL: "❌ FAIL",
    Verdict.INCONCLUSIVE: "❔ INCONCLUSIVE",
    Verdict.PASS: "✅ PASS",
    NotJudged.NOT_HERE: "➖ not this device",
    NotJudged.SKIPPED: "➖ skipped",
}


def markdown(findings: Sequence[Finding], title: str) -> str:
    """Return the comment: a table of the budgets that need attention; the rest is folded."""
    order = list(MARKS)
    ordered = sorted(findings, key=lambda finding: order.index(finding.verdict))
    urgent = [finding for finding in ordered if finding.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)]
    others = [finding for finding in ordered if finding not in urgent]
    parts = [f"### {markdown_text(title)}", "", summary(findings), ""]
    if urgent:
        parts += [*_table(urgent), ""]
    if others:
        parts += [
            f"<details><summary>{counted(len(others), 'other budget')}</summary>",
            "",
            *_table(others),
            "",
            "</details>",
            "",
        ]
    return "\n".join(parts)


def refused(reason: str) -> str:
    """Return the comment where nothing was judged: why."""
    return f"### edgeproof: {NOTHING_JUDGED}\n\n{markdown_text(reason)}\n"


def _table(findings: Sequence[Finding]) -> list[str]:
    columns = ("verdict", "row", "budget", "measured [99 %]", "on what")
    return [markdown_line(columns), markdown_line(["---"] * len(columns)), *map(_row, findings)]


def _row(finding: Finding) -> str:
    on_what = "; ".join(part for part in (details(finding), finding.advice) if part)
    texts = (f"{finding.limit.name} {limit(finding)}", measured(finding), on_what)
    cells = [MARKS[finding.verdict], markdown_code(finding.subject), *map(markdown_text, texts)]
    return f"| {' | '.join(cells)} |"
