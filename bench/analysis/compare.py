"""Two result files side by side: only rows that are comparable, each ratio with its interval."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bench.analysis.wording import points_of, row_name, short_verdict
from bench.machine.environment import Environment
from bench.results.evaluation_set import EvaluationSet
from bench.results.row import ResultRow
from bench.results.store import Results, latencies_ns
from bench.stats.ratios import Ratio, geometric_mean, ratio
from common.counts import counted
from common.paired_accuracy import Paired
from device.errors import EdgeproofError

T = TypeVar("T")


@dataclass(frozen=True)
class Compared:
    """One row of both files."""

    first: ResultRow
    second: ResultRow
    latency: Ratio  # the second's time over the first's: over 1 is slower
    accuracy: Paired | None  # the first's less the second's

    @property
    def valid(self) -> bool:
        """Say whether both timings are valid."""
        return self.first.latency.valid and self.second.latency.valid

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: the row, its two times and sizes, and how latency and accuracy changed."""
        found = self.accuracy
        accuracy = None
        if found is not None:
            judged = found.judged_drop()
            accuracy = {"change": -found.drop, "ci99": [-judged.high, -judged.low], "p": found.mcnemar_p}
        return {
            **self.first.subject.to_json(),
            "p50_ms": [row.latency.p50.ms for row in (self.first, self.second)],
            "valid": [row.latency.valid for row in (self.first, self.second)],
            "latency_ratio": _ratio_json(self.latency),
            "size_bytes": [row.artifact.size_bytes for row in (self.first, self.second)],
            "accuracy": accuracy,
        }


@dataclass(frozen=True)
class Comparison:
    """All rows of two files."""

    rows: tuple[Compared, ...]
    mean: Ratio  # geometric mean of the latency ratios
    only_first: tuple[ResultRow, ...]
    only_second: tuple[ResultRow, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: the rows of both files, their mean ratio, the rows of one file only, and the notes."""
        return {
            "rows": [row.to_json() for row in self.rows],
            "geometric_mean": _ratio_json(self.mean),
            "only_first": [_same_json(row) for row in self.only_first],
            "only_second": [_same_json(row) for row in self.only_second],
            "notes": list(self.notes),
        }


def _of_machine(get: Callable[[Environment], T]) -> Callable[[Results, ResultRow], T | None]:
    """Return a function that returns a figure of a row's machine, or None where it is not known."""

    def get_of_row(results: Results, row: ResultRow) -> T | None:
        environment = results.environments.get(row.subject.device)
        return None if environment is None else get(environment)

    return get_of_row


# Differences of the machine that are reported, not refused
NOTED: dict[str, Callable[[Results, ResultRow], str | None]] = {
    "os": _of_machine(lambda machine: machine.os),
    "python": _of_machine(lambda machine: machine.python),
}
# What must be equal, by the name that --across takes; psf/pyperf refuses different metadata in the same way
CHECKED: dict[str, Callable[[Results, ResultRow], Any]] = {
    "device": lambda _, row: row.subject.device,
    "accelerator": lambda _, row: row.subject.accelerator,
    "threads": lambda _, row: row.subject.threads,
    "machine": _of_machine(lambda machine: (machine.host, machine.cpu, machine.cores)),
    "governor": _of_machine(lambda machine: machine.governor),
    "runtime_version": lambda _, row: row.runtime_version,
    "data_set": lambda _, row: row.accuracy.dataset_sha256 if row.accuracy else None,
}


def compare(first: Results, second: Results, across: Sequence[str] = ()) -> Comparison:
    """Compare the rows of two files.

    Raises EdgeproofError where they have no row in common, else naming the first field in which matching rows differ.
    """
    for field in across:
        if field not in CHECKED:
            raise EdgeproofError(f"--across {field}: unknown, there are {', '.join(CHECKED)}")
    matches = [pair for pair in _match(first, second) if not any(row.why_no_latency for row in pair)]
    if not matches:
        raise _nothing_in_common(first, second)
    rows = []
    for one, other in matches:
        _refuse_unlike(first, one, second, other, across)
        latency = ratio(latencies_ns(second, other), latencies_ns(first, one))
        rows.append(Compared(one, other, latency, _paired(first, one, second, other)))
    sides = [(latencies_ns(second, other), latencies_ns(first, one)) for one, other in matches]
    return Comparison(
        tuple(rows),
        geometric_mean(sides),
        tuple(row for row in first.rows if row.why_no_latency is None and all(row is not one for one, _ in matches)),
        tuple(row for row in second.rows if row.why_no_latency is None and all(row is not other for _, other in matches)),
        tuple(_notes(first, second, matches)),
    )


def _nothing_in_common(first: Results, second: Results) -> EdgeproofError:
    """Return the error for two files of which no row can be compared, with the first row of each."""
    held = "; ".join(
        f"the {place} has {_counted_rows(results.rows)}" for place, results in (("first", first), ("second", second))
    )
    return EdgeproofError(f"no row with a latency is in both files: {held}: measure the same files in the same runtimes")


def _counted_rows(rows: Sequence[ResultRow]) -> str:
    timed = [row for row in rows if row.why_no_latency is None]
    if not timed:
        reasons = sorted({row.why_no_latency for row in rows if row.why_no_latency})
        return "none" + (f" ({'; '.join(reasons)})" if reasons else "")
    return row_name(timed[0].subject) + (f" and {len(timed) - 1} more" if len(timed) > 1 else "")


def _match(first: Results, second: Results) -> list[tuple[ResultRow, ResultRow]]:
    """Pair rows of the same artifact and runtime: first those with equal device, accelerator and threads, then the rest."""
    found: list[tuple[ResultRow, ResultRow]] = []
    left = list(second.rows)
    waiting = []
    for row in first.rows:
        other = next((other for other in left if other.subject == row.subject), None)
        if other is None:
            waiting.append(row)
        else:
            found.append((row, other))
            left.remove(other)
    matched = [one for one, _ in found]
    for row in waiting:
        others = [other for other in left if _same(row, other)]
        # A thread count that only one file has is no mismatch where another count has a match
        if not others or any(_same(row, one) for one in matched):
            continue
        if len(others) > 1 or sum(_same(row, one) for one in waiting) > 1:
            raise EdgeproofError(
                f"{row_name(row.subject)}: several rows could be compared with it ({'; '.join(_place(o) for o in others)}): "
                "measure both files with one setting of device, accelerator and threads"
            )
        found.append((row, others[0]))
        left.remove(others[0])
    order = {id(row): place for place, row in enumerate(first.rows)}
    return sorted(found, key=lambda pair: order[id(pair[0])])


def _same(row: ResultRow, other: ResultRow) -> bool:
    """Say whether two rows are of the same artifact and runtime; device, accelerator and threads may differ."""
    return replace(row.subject.combination, device="") == replace(other.subject.combination, device="")


def _same_json(row: ResultRow) -> dict[str, Any]:
    return {name: value for name, value in row.subject.combination.to_json().items() if name != "device"}


def _place(row: ResultRow) -> str:
    return f"device {row.subject.device}, accelerator {row.subject.accelerator}, threads {row.subject.threads}"


def _refuse_unlike(first: Results, one: ResultRow, second: Results, other: ResultRow, across: Sequence[str]) -> None:
    for field, get in CHECKED.items():
        found, expected = get(second, other), get(first, one)
        if field not in across and found != expected:
            raise EdgeproofError(
                f"{row_name(one.subject)}: {field} differs: {_shown(expected)} in the first file, {_shown(found)} in the "
                f"second: such figures are not comparable; to compare them all the same, add --across {field}"
            )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value)
    return f"{str(value)[:12]}…" if isinstance(value, str) and len(value) == 64 else str(value)


BETWEEN_RUNS = (
    "what changed in the machine between the two runs is not in the intervals of times: `edgeproof bench faster` lets files "
    "take turns"
)


def _notes(first: Results, second: Results, matches: Sequence[tuple[ResultRow, ResultRow]]) -> list[str]:
    notes = []
    for field, get in NOTED.items():
        for one, other in sorted({(str(get(first, one)), str(get(second, other))) for one, other in matches}):
            if one != other:
                notes.append(f"{field}: {one} in the first file, {other} in the second")
    invalid = sum(not (one.latency.valid and other.latency.valid) for one, other in matches)
    if invalid:
        what = f"{invalid} of {counted(len(matches), 'row')}"
        notes.append(f"{what} {'has' if invalid == 1 else 'have'} a timing that is not valid in one file or both: marked !")
    left_out = Counter(row.why_no_latency for results in (first, second) for row in results.rows if row.why_no_latency)
    notes += [f"left out: {counted(count, 'row')}: {reason}" for reason, count in sorted(left_out.items())]
    if any(one.run is None or one.run != other.run for one, other in matches):
        notes.append(BETWEEN_RUNS)
    return notes


def _paired(first: Results, one: ResultRow, second: Results, other: ResultRow) -> Paired | None:
    """Compare the answers of one row in two files, where both answered the same pictures."""
    evaluation_set, others = EvaluationSet.of(first.arrays, one), EvaluationSet.of(second.arrays, other)
    if evaluation_set is None or others is None or evaluation_set.dataset_sha256 != others.dataset_sha256:
        return None
    if not (len(evaluation_set.truth) == len(others.truth) and (evaluation_set.truth == others.truth).all()):
        return None
    answers = [r.arrays[f"{row.key}/predictions"] for r, row in ((first, one), (second, other))]
    common = min(len(part) for part in answers)
    return Paired.of(answers[0][:common], answers[1][:common], evaluation_set.truth[:common].astype("int64"))


COLUMNS = ("row", "p50 ms", "then ms", "ratio [95 %]", "time", "size", "top-1, points [99 %]", "accuracy")
LEFT_OUT_FIRST = ("size", "accuracy", "then ms", "p50 ms", "time")  # left out first where the terminal is narrow


def cells(compared: Compared) -> list[str]:
    """Return a row's cells under COLUMNS."""
    from bench.analysis.wording import milliseconds

    one, other = compared.first, compared.second
    mark = "" if compared.valid else " !"
    found = compared.accuracy
    change = "–"
    if found is not None:
        judged = found.judged_drop()
        change = f"{points_of(-found.drop)} [{points_of(-judged.high)}, {points_of(-judged.low)}]"
    return [
        row_name(one.subject),
        milliseconds(one.latency.p50.ms),
        milliseconds(other.latency.p50.ms),
        ratio_text(compared.latency) + mark,  # a column that is never left out
        time_verdict(compared.latency),
        f"{other.artifact.size_bytes / one.artifact.size_bytes:.3f}",
        change,
        short_verdict(found),
    ]


def summary(found: Comparison, first: str, second: str) -> list[str]:
    """Return the lines below the table: the mean, the rows of only one file, and warnings."""
    mark = "" if all(row.valid for row in found.rows) else " !"
    mean = f"{ratio_text(found.mean)}{mark}: {time_verdict(found.mean)}"
    lines = [f"geometric mean of the ratios of {counted(len(found.rows), 'row')}: {mean}"]
    for name, rows in ((first, found.only_first), (second, found.only_second)):
        lines += [f"only in {name}: {row_name(row.subject)}" for row in rows]
    return lines + [f"note: {note}" for note in found.notes]


def ratio_text(found: Ratio) -> str:
    """Return a ratio with its interval, or with a dash where there is none.

    An end that would be rounded to 1 has one more digit where the ratio is distinguishable from 1: so it shows that.
    """
    if found.low is None or found.high is None:
        return f"{found.value:.3f} [–]"
    rounded = (f"{found.low:.3f}", f"{found.high:.3f}")
    digits = 4 if found.distinguishable and "1.000" in rounded else 3
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def time_verdict(found: Ratio) -> str:
    """Return what the ratio of times shows."""
    if not found.distinguishable:
        return "not distinguishable"
    return "slower" if found.value > 1 else "faster"


def _ratio_json(found: Ratio) -> dict[str, Any]:
    ends: Mapping[str, Any] = {"ci95": None if found.low is None else [found.low, found.high]}
    return {"value": found.value, **ends, "verdict": time_verdict(found)}
