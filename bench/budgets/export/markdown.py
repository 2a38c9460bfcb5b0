"""A Markdown comment for a pull request, and the summary of a GitHub step: budgets that did not pass come first."""

from collections.abc import Sequence

from bench.budgets.export.lines import NOTHING_JUDGED, details, limit, measured, summary
from bench.budgets.finding import Finding, NotJudged
from common.counts import counted
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
    parts = [f"### {title}", "", summary(findings), ""]
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
    return f"### edgeproof: {NOTHING_JUDGED}\n\n{_cell(reason)}\n"


def _table(findings: Sequence[Finding]) -> list[str]:
    rows = [_row(("verdict", "row", "budget", "measured [99 %]", "on what")), _row(["---"] * 5)]
    for finding in findings:
        on_what = "; ".join(part for part in (details(finding), finding.advice) if part)
        rows.append(
            _row(
                (
                    MARKS[finding.verdict],
                    f"`{finding.subject}`",
                    f"{finding.limit.name} {limit(finding)}",
                    measured(finding),
                    on_what,
                )
            )
        )
    return rows


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """Return the text of one cell: without line breaks, bars and HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
