"""Picking the row that fits given budgets. Three-valued: an interval that contains a limit decides nothing."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.best_variant import SHIPPED_FORMATS, fastest_and_smallest
from bench.analysis.confidence import QUIET
from bench.analysis.wording import row_name
from bench.budgets.check import judge_limit
from bench.budgets.export.lines import measured
from bench.budgets.finding import Finding
from bench.budgets.kinds import KINDS, Kind
from bench.budgets.limit import Limit, Place
from bench.results.emulated import why_no_latency
from bench.results.row import ResultRow
from bench.results.store import Results
from common.counts import counted
from common.verdict import Verdict, overall
from device.errors import EdgeproofError

MIN_ERROR = 1e-4  # below one picture of 10,000, an allowed error is too small to divide an excess by


@dataclass(frozen=True)
class Candidate:
    """A row with a finding for each limit."""

    row: ResultRow
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Return the verdict over all limits."""
        return overall(_verdict(finding) for finding in self.findings)

    @property
    def worst_excess(self) -> float:
        """Return the largest excess over a limit, as a share of the limit; 0 or less: it keeps all that are measured."""
        return max((excess(finding) for finding in self.findings), default=0.0)

    @property
    def open_findings(self) -> list[Finding]:
        """Return the findings that are not PASS."""
        return [finding for finding in self.findings if _verdict(finding) is not Verdict.PASS]


@dataclass(frozen=True)
class Recommendation:
    """The row that fits, or the one that comes nearest."""

    verdict: Verdict
    chosen: Candidate
    lines: tuple[str, ...]  # why, for people
    considered: tuple[Candidate, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: the verdict, the chosen row, why, and all rows that were considered."""
        return {"verdict": _word(self.verdict), "chosen": _to_json(self.chosen), "why": list(self.lines)} | {
            "considered": [_to_json(candidate) for candidate in self.considered]
        }


def limits_of(values: Mapping[str, float | None]) -> list[Limit]:
    """Return the limits that options give, by the key of their kind; None, or a share that allows any: no limit."""
    return [
        Limit(KINDS[key], value, Place(str(KINDS[key].option_name)))
        for key, value in values.items()
        if value is not None and not _allows_any(KINDS[key], value)
    ]


def _allows_any(kind: Kind, value: float) -> bool:
    """Say whether no share can break a limit: then nothing need be measured to keep it."""
    return kind.share and (value >= 1 if kind.at_most else value <= 0)


def recommend(results: Results, limits: Sequence[Limit], wanted: Mapping[str, str | None]) -> Recommendation:
    """Pick one row. `wanted` may name a device, a runtime and a model. Raises EdgeproofError where none is left."""
    candidates = tuple(
        Candidate(row, tuple(judge_limit(limit, row, results) for limit in limits)) for row in _wanted_rows(results, wanted)
    )
    passing = [one for one in candidates if one.verdict is Verdict.PASS]
    if passing:
        row = fastest_and_smallest(results, [one.row for one in passing])
        chosen = next(one for one in passing if one.row is row)
        verdict = Verdict.PASS if row.latency.may_be_judged else Verdict.INCONCLUSIVE  # it was chosen by its time
        return Recommendation(verdict, chosen, _why_chosen(chosen, passing, candidates), candidates)
    undecided = [one for one in candidates if one.verdict is Verdict.INCONCLUSIVE]
    nearest = min(undecided or candidates, key=lambda one: (max(0.0, one.worst_excess), one.row.latency.p50.ms))
    verdict = Verdict.INCONCLUSIVE if undecided else Verdict.FAIL
    return Recommendation(verdict, nearest, _why_none(nearest, candidates, len(undecided)), candidates)


@dataclass(frozen=True)
class OnMachine:
    """The recommendation for one machine of one file of results."""

    file: str
    device: str
    machine: str  # what it is
    found: Recommendation

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the machine and the recommendation for people."""
        return (f"{self.file}: {self.device}, {self.machine}:", *(f"  {line}" for line in self.found.lines))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: the file, the device and the machine, then the fields of the recommendation."""
        return {"file": self.file, "device": self.device, "machine": self.machine, **self.found.to_json()}


def per_machine(files: Mapping[str, Results], limits: Sequence[Limit], wanted: Mapping[str, str | None]) -> list[OnMachine]:
    """Pick one row on each machine of each file, by its name. Raises EdgeproofError where no machine has a row to pick."""
    found: list[OnMachine] = []
    for name, results in files.items():
        rows = [row for row in results.rows if row.subject.format in SHIPPED_FORMATS and row.why_no_latency is None]
        for device in dict.fromkeys(row.subject.device for row in rows):
            if wanted.get("device") not in (None, device):
                continue
            environment = results.environments.get(device)
            machine = "an unknown machine" if environment is None else f"{environment.cpu}, {environment.cores} cores"
            found.append(OnMachine(name, device, machine, recommend(results, limits, {**wanted, "device": device})))
    if not found:
        raise EdgeproofError(f"no row of device {wanted.get('device')!r} in {', '.join(files)}")
    return found


def excess(finding: Finding) -> float:
    """Return how far the measured value is beyond its limit, as a share of the limit; 0 or less: it is within."""
    if finding.measured is None:
        return 0.0
    kind, limit = finding.limit.kind, finding.limit.value
    beyond = finding.measured.value - limit
    if kind.at_most:
        return beyond / max(limit, MIN_ERROR)
    return -beyond / max(1 - limit if kind.share else limit, MIN_ERROR)  # for a share the allowed error counts, 1 - limit


def _wanted_rows(results: Results, wanted: Mapping[str, str | None]) -> list[ResultRow]:
    """Return the rows of files that can be shipped, on the wanted device, runtime and model."""
    rows = [row for row in results.rows if row.subject.format in SHIPPED_FORMATS and row.why_no_latency is None]
    get: dict[str, Callable[[ResultRow], str]] = {
        "model": lambda row: row.subject.model_name,
        "runtime": lambda row: row.subject.runtime,
        "device": lambda row: row.subject.device,
    }
    if reason := why_no_latency(wanted.get("device") or "", ""):
        raise EdgeproofError(f"device {wanted['device']!r}: {reason}: nothing can be recommended for it")
    for name, value in wanted.items():
        known = sorted({get[name](row) for row in rows})
        if value is not None:
            rows = [row for row in rows if get[name](row) == value]
        if not rows:
            raise EdgeproofError(f"no row of {name} {value!r}: there are {', '.join(known) or 'none'}")
    return rows


def _verdict(finding: Finding) -> Verdict:
    """Return the verdict; a figure that was not measured is INCONCLUSIVE."""
    return finding.verdict if isinstance(finding.verdict, Verdict) else Verdict.INCONCLUSIVE


def _word(verdict: Verdict) -> str:
    return verdict.value.lower()


def _option(finding: Finding) -> str:
    return str(finding.limit.kind.option_name)


def _found(finding: Finding) -> str:
    """Return the measured value with its interval, and the reason why it decides nothing."""
    return ", ".join(part for part in (measured(finding), finding.reason) if part)


def _todo(finding: Finding) -> str:
    """Return what would decide a finding about accuracy, after a colon."""
    return f": {finding.advice}" if finding.advice and finding.limit.kind.share else ""


def _why_chosen(chosen: Candidate, passing: Sequence[Candidate], candidates: Sequence[Candidate]) -> tuple[str, ...]:
    lines = [f"{row_name(chosen.row.subject)}: {chosen.row.artifact.path}"]
    lines += [f"  {_option(finding)}: {_found(finding)}" for finding in chosen.findings]
    if not chosen.row.latency.may_be_judged:
        reasons = f"its timing is not valid: {chosen.row.latency.why_invalid or 'it is not known why'}"
        lines.append(f"  inconclusive: rows are ranked by their time, but {reasons}: {QUIET}")
    others = [one for one in passing if one is not chosen]
    p50_ms = chosen.row.latency.p50.ms
    if not others:
        lines.append(f"  the only one of {counted(len(candidates), 'row')} that is shown to fit")
    else:
        fastest = min(others, key=lambda one: one.row.latency.p50.ms)
        beside = f"{row_name(fastest.row.subject)}: p50 {fastest.row.latency.p50.ms:.3g} ms"
        first = p50_ms <= fastest.row.latency.p50.ms
        how = "the fastest" if first else "not distinguishable from the fastest, and smaller or more accurate"
        lines.append(f"  {how} of the {len(passing)} that fit, p50 {p50_ms:.3g} ms (next: {beside})")
    open_rows = [one for one in candidates if one.verdict is Verdict.INCONCLUSIVE and one.row.latency.p50.ms < p50_ms]
    if open_rows:
        faster = min(open_rows, key=lambda one: one.row.latency.p50.ms)
        beside = f"{row_name(faster.row.subject)}: p50 {faster.row.latency.p50.ms:.3g} ms"
        few = f"{counted(len(open_rows), 'row')} {'is' if len(open_rows) == 1 else 'are'} faster but not shown to fit"
        lines.append(f"  {few}: {beside}: {_found(faster.open_findings[0])}{_todo(faster.open_findings[0])}")
    return tuple(lines + _count_lines(candidates))


def _why_none(nearest: Candidate, candidates: Sequence[Candidate], undecided: int) -> tuple[str, ...]:
    lines = [f"none of {counted(len(candidates), 'row')} {'is shown to fit' if undecided else 'fits'}"]
    lines.append(f"{'may fit' if undecided else 'nearest'}: {row_name(nearest.row.subject)}: {nearest.row.artifact.path}")
    for finding in nearest.open_findings:
        far = "" if undecided else _how_far(finding)
        todo = _todo(finding) if undecided else ""
        lines.append(f"  {_option(finding)} {_word(_verdict(finding))}: {_found(finding)}{far}{todo}")
    return tuple(lines + _count_lines(candidates))


def _how_far(finding: Finding) -> str:
    """Return how far a figure is beyond its limit, after a comma; "" where it is within, and where none is allowed."""
    kind, limit, share = finding.limit.kind, finding.limit.value, excess(finding)
    of_error = kind.share and not kind.at_most
    if share <= 0 or (1 - limit if of_error else limit) < MIN_ERROR:
        return ""
    if share < 1:
        return f", {100 * share:.0f} % beyond"
    return f", {1 + share:.3g} times {'the error that it allows' if of_error else 'its limit'}"


def _count_lines(candidates: Sequence[Candidate]) -> list[str]:
    """Count, for each budget, the rows that are not shown to keep it."""
    counts = Counter(
        (_option(finding), _word(_verdict(finding))) for candidate in candidates for finding in candidate.open_findings
    )
    of_all = counted(len(candidates), "row")
    return [f"  {count} of {of_all}: {option} {word}" for (option, word), count in sorted(counts.items())]


def _to_json(candidate: Candidate) -> dict[str, Any]:
    row = candidate.row
    findings = [
        {"budget": _option(f), "verdict": _word(_verdict(f)), "found": _found(f), "excess": excess(f)}
        for f in candidate.findings
    ]
    return {
        **row.subject.to_json(),
        "path": row.artifact.path,
        "verdict": _word(candidate.verdict),
        "findings": findings,
    }
