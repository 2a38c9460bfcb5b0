"""What GitHub Actions shows by itself: annotations at the budget's line, and the step's summary."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.exports.lines import details, limit, measured
from bench.exports.markdown import markdown
from bench.verdict import Finding, Verdict

MOST_ANNOTATIONS = 10  # GitHub shows ten a step and drops the rest


def annotations(findings: Sequence[Finding], environ: Mapping[str, str]) -> list[str]:
    """Return workflow commands for failed budgets, then undecided ones; none outside of GitHub Actions."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return []
    failed = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    undecided = [finding for finding in findings if finding.verdict is Verdict.INCONCLUSIVE]
    return [_annotation(finding) for finding in [*failed, *undecided][:MOST_ANNOTATIONS]]


def add_summary(findings: Sequence[Finding], title: str, environ: Mapping[str, str]) -> None:
    """Append the Markdown to the step's summary where GitHub names a file for it."""
    if environ.get("GITHUB_STEP_SUMMARY"):
        with Path(environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
            file.write(markdown(findings, title))


def _annotation(finding: Finding) -> str:
    level = "error" if finding.verdict is Verdict.FAIL else "warning"
    title = f"{finding.verdict.value}: {finding.budget} of {finding.subject}"
    message = f"limit {limit(finding)}, measured {measured(finding)}; {details(finding)}. {finding.advice}"
    place = f"file={_property(finding.place.file)},line={finding.place.line}"
    return f"::{level} {place},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
