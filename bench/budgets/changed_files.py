"""Whether the files whose figures are judged are still as they were measured, as far as this machine can see."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.budgets.finding import Finding
from bench.results.row import ResultRow
from common.advice import command
from common.files import sha256_of
from common.verdict import Verdict

SHOWN = 3  # paths in a note


def doubted(findings: Sequence[Finding], rows: Iterable[ResultRow]) -> list[Finding]:
    """Return the findings, without a decision about files that are not as they were measured.

    A file that is not there is believed: results of another machine are judged, too.
    """
    paths = {row.key: row.artifact.path for row in rows if _differs(row)}
    return [_undecided(one, paths[one.subject]) if one.subject in paths else one for one in findings]


def missing_note(rows: Iterable[ResultRow]) -> str:
    """Say which files are not there, so that nothing is known of them but what was measured; "" where all are."""
    missing = sorted({row.artifact.path for row in rows if not Path(row.artifact.path).exists()})
    if not missing:
        return ""
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return f"not there now, so judged as measured: {', '.join(missing[:SHOWN])}{more}"


def _differs(row: ResultRow) -> bool:
    path = Path(row.artifact.path)
    return path.is_file() and sha256_of(path) != row.artifact.sha256


def _undecided(finding: Finding, path: str) -> Finding:
    if not isinstance(finding.verdict, Verdict):
        return finding
    reason = f"{path} has changed since it was measured"
    advice = f"measure it as it is now: `{command('bench', 'run', path)}`"
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reason=reason, advice=advice)
