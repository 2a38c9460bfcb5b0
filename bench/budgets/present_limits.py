"""The limits of figures that `bench gate` judges beside its comparisons: of the present files, by what is known of them.

The gate itself knows a file's size, and its top-1 where it answered pictures. Other figures are judged if results hold a
row of the very same file.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.budgets.check import judge_limit
from bench.budgets.finding import Finding
from bench.budgets.limit import Limit
from bench.budgets.rules import Budgets
from bench.measure.fresh_processes import Answers
from bench.results.integrity import load_sound_results
from bench.results.measurement import AnswerCounts
from bench.results.row import ArtifactFile, Combination, ResultRow
from bench.results.store import Results, load_results
from common.files import sha256_of
from common.verdict import Verdict
from device.formats.model_file import model_size_bytes

OWN_KEYS = ("max_size_kb", "min_top1")  # of the figures that the gate itself knows


@dataclass(frozen=True)
class Known:
    """What is known of a present file, as a row of results."""

    row: ResultRow
    results: Results
    where: str = ""  # the results, for people
    keys: Collection[str] | None = None  # the only limits that it is good for; None: all
    here: bool = True  # measured on this machine: else it shows nothing about a limit in milliseconds

    def judged(self, limit: Limit) -> Finding | None:
        """Judge a limit; None where this does not hold its figure."""
        if (self.keys is not None and limit.kind.key not in self.keys) or (limit.kind.device_bound and not self.here):
            return None
        finding = judge_limit(limit, self.row, self.results)
        if finding.measured is None or not isinstance(finding.verdict, Verdict):
            return None
        return replace(finding, samples=", ".join(part for part in (finding.samples, self.where) if part))


def own_figures(row: ResultRow, file: Path, answers: Answers | None) -> Known:
    """Return what the gate knows of a file that stands where a baseline's row was: its size, and its answers if any."""
    artifact = ArtifactFile(str(file), sha256_of(file), model_size_bytes(file))
    right = AnswerCounts(0, 0) if answers is None else AnswerCounts(answers.right, len(answers.labels))
    return Known(replace(row, artifact=artifact, accuracy=right.accuracy), Results(), keys=OWN_KEYS)


def measured_rows(row: ResultRow, file: Path, results: Results | None) -> list[Known]:
    """Return the row of results that measured this very file as a baseline's row was measured; none where there is none."""
    rows = [] if results is None else results.rows
    sha256 = sha256_of(file)
    same = [one for one in rows if one.subject == row.subject and one.artifact.sha256 == sha256]
    return [Known(one, results, f"in {results.path}") for one in same if results is not None]


def judge_present(limits: Iterable[Limit], known: Sequence[Known]) -> list[Finding]:
    """Judge each limit by the first that knows its figure; a limit whose figure is unknown has no finding."""
    judged = ([one.judged(limit) for one in known] for limit in limits)
    first = (next(filter(None, found), None) for found in judged)
    return [finding for finding in first if finding is not None]


def not_judged(budgets: Budgets, subjects: Sequence[Combination], limits: Iterable[Limit], next_step: str) -> str:
    """Say in a line which limits were not judged: those given, and those of rules that are about none of the subjects.

    "" where there are none.
    """
    apart = [rule for rule in budgets.limited("results") if not any(map(rule.matches_elsewhere, subjects))]
    left = [*limits, *(limit for rule in apart for limit in rule.limits if limit.kind.against == "results")]
    if not left:
        return ""
    names = ", ".join(sorted({limit.name for limit in left}))
    lines = ", ".join(map(str, sorted({limit.place.line for limit in left})))
    return f"not judged: {names} ({left[0].place.file}:{lines}): {next_step}"


def results_if_there(path: Path) -> Results | None:
    """Return sound results, or None where there are none. Raises EdgeproofError for damaged ones."""
    return load_sound_results(path) if path.exists() and load_results(path).rows else None
