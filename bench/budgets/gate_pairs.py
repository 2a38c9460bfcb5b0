"""The pairs that `bench gate` compares: each row of a baseline, the new artifact in its place, and their limits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.artifacts.find import Artifact
from bench.budgets.baseline import Baseline, artifact_text, key_of
from bench.budgets.device_match import names_of, refuse_unknown_devices
from bench.budgets.figures import no_time
from bench.budgets.kinds import Comparison, keys_against
from bench.budgets.limit import Limit
from bench.budgets.rules import Budgets, refuse_unmatched
from bench.machine.environment import Environment
from bench.measure.fresh_processes import Side
from bench.results.row import HOST, FileKey, ResultRow
from common.files import sha256_of
from device.errors import EdgeproofError


@dataclass(frozen=True)
class Pair:
    """A row of the baseline and the artifact that is compared with it."""

    row: ResultRow
    base: Side
    candidate: Side
    limits: tuple[Limit, ...]  # of its comparison
    absolute: tuple[Limit, ...] = ()  # of the candidate's own figures

    @property
    def unchanged(self) -> bool:
        """Say whether the candidate is the same file as the baseline's: equal byte for byte."""
        return sha256_of(self.base.found.path) == sha256_of(self.candidate.found.path)


def pairs_of(
    baseline: Baseline,
    candidates: Sequence[Artifact],
    budgets: Budgets,
    environment: Environment,
    all_named: bool,
    devices: Path | None = None,
) -> list[Pair]:
    """Return the pairs to compare. With `all_named` only the candidates are compared, else the whole baseline.

    Raises EdgeproofError for an artifact without counterpart, for a rule that matches nothing or is about an unknown
    device, and where no budget applies.
    """
    of_rows = (row.subject.device for row in baseline.results.rows)
    refuse_unknown_devices(budgets.limited("baseline"), of_rows, devices)
    before = {key_of(found): found for found in baseline.artifacts}
    now = _by_key(candidates)
    if all_named:
        _refuse_new(now, before, baseline.folder)
    else:
        subjects = [row.subject for row in baseline.results.rows]
        refuse_unmatched(budgets.limited("baseline"), subjects, f"the baseline {baseline.folder}")
        _refuse_missing(now, before, baseline.folder)
    pairs = [
        _pair(row, before[key], now[key], budgets, names_of(row.subject.device, {HOST: environment}, devices))
        for key in sorted(before.keys() & now.keys(), key=str)
        for row in baseline.rows_of(before[key])
    ]
    _refuse_no_comparison(pairs, budgets)
    return [pair for pair in pairs if pair.limits or pair.absolute]


def _by_key(candidates: Sequence[Artifact]) -> dict[FileKey, Artifact]:
    """Return the candidates by what they are. Raises EdgeproofError for two files that are the same artifact."""
    now: dict[FileKey, Artifact] = {}
    for found in candidates:
        other = now.setdefault(key_of(found), found)
        if other is not found and other.path != found.path:
            raise EdgeproofError(f"{other.path}, {found.path}: both are {artifact_text(found)}: name the right one")
    return now


def _refuse_new(now: Mapping[FileKey, Artifact], before: Mapping[FileKey, Artifact], folder: Path) -> None:
    """Raise EdgeproofError for a candidate that the baseline does not hold."""
    for key, found in now.items():
        if key not in before:
            raise EdgeproofError(
                f"{found.path}: the baseline {folder} has none of {artifact_text(found)}: save it there first"
            )


def _refuse_missing(now: Mapping[FileKey, Artifact], before: Mapping[FileKey, Artifact], folder: Path) -> None:
    """Raise EdgeproofError for an artifact of the baseline that no candidate takes the place of."""
    for key in before.keys() - now.keys():
        raise EdgeproofError(
            f"{folder}: {artifact_text(before[key])} has no counterpart in build/: make it, or name FILE..."
        )


def _refuse_no_comparison(pairs: Iterable[Pair], budgets: Budgets) -> None:
    """Raise EdgeproofError where no pair has a limit of its comparison."""
    if not any(pair.limits for pair in pairs):
        raise EdgeproofError(
            f"{budgets.path}: none of its {', '.join(keys_against('baseline'))} is about what is compared: a gate must "
            "not pass without a measurement"
        )


def _pair(row: ResultRow, base: Artifact, candidate: Artifact, budgets: Budgets, names: set[str]) -> Pair:
    absolute = budgets.of(row.subject, names, "results")
    return Pair(row, _side(base, row), _side(candidate, row), tuple(_limits(row, budgets, names)), tuple(absolute))


def _limits(row: ResultRow, budgets: Budgets, names: set[str]) -> list[Limit]:
    """Return the limits of a row; for a row of another machine only those of counts, since times are measured here.

    A browser is on this machine.
    """
    limits = budgets.of(row.subject, names, "baseline")
    if row.subject.device != HOST and row.browser is None:
        return [limit for limit in limits if is_count(limit)]
    return [limit for limit in limits if not limit.kind.timed or not no_time(row)]


def is_count(limit: Limit) -> bool:
    """Say whether a limit is about counts, which need no measurement here."""
    return limit.kind.comparison is Comparison.COUNTS


def _side(found: Artifact, row: ResultRow) -> Side:
    subject = row.subject
    return Side(found, subject.runtime, subject.threads, subject.device)
