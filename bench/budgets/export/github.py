"""Output for GitHub Actions: annotations at the budget's line, and the step's summary."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.budgets.export.lines import NOTHING_JUDGED, details, limit, measured
from bench.budgets.finding import Finding
from common.verdict import Verdict
from device.errors import EdgeproofError

MAX_ANNOTATIONS = 10  # GitHub shows ten for each step and drops the rest


def annotations(findings: Sequence[Finding], environ: Mapping[str, str]) -> list[str]:
    """Return workflow commands for failed budgets, then for undecided ones; none outside of GitHub Actions."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return []
    failed = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    undecided = [finding for finding in findings if finding.verdict is Verdict.INCONCLUSIVE]
    return [_annotation(finding) for finding in [*failed, *undecided][:MAX_ANNOTATIONS]]


def refusal(reason: str, environ: Mapping[str, str]) -> list[str]:
    """Return the workflow command that says why nothing was judged; none outside of GitHub Actions."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return []
    return [f"::error title={_property(f'edgeproof: {NOTHING_JUDGED}')}::{_data(reason)}"]


def add_summary(text: str, environ: Mapping[str, str]) -> None:
    """Append Markdown to the step's summary, if GitHub gives a file for it. Raises EdgeproofError."""
    if not environ.get("GITHUB_STEP_SUMMARY"):
        return
    try:
        with Path(environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise EdgeproofError(f"GITHUB_STEP_SUMMARY: cannot be written: {error.strerror}") from error


def _annotation(finding: Finding) -> str:
    level = "error" if finding.verdict is Verdict.FAIL else "warning"
    title = f"{finding.verdict.value}: {finding.limit.name} of {finding.subject}"
    message = f"limit {limit(finding)}, measured {measured(finding)}; {details(finding)}. {finding.advice}"
    place = f"file={_property(finding.limit.place.file)},line={finding.limit.place.line}"
    return f"::{level} {place},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
