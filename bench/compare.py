"""Two result files side by side: like with like only, each ratio with its interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.emulated import NOT_A_LATENCY
from bench.evidence import Evidence, accuracy_of
from bench.ratio import Ratio, geometric_mean, ratio
from bench.results import Results, Row, has_no_time, latencies_ns
from bench.words import points_of, row_name, short_verdict
from convert.paired import Paired
from device.classify import EdgeproofError

SAME = ("model", "name", "variant", "format", "runtime")  # what makes two rows ones of the same thing
NOTED = ("os", "python")  # of the machine: said, not refused


@dataclass(frozen=True)
class Compared:
    """One row of both files."""

    first: Row
    second: Row
    latency: Ratio  # the second's time over the first's: over 1 is slower
    accuracy: Paired | None  # the first's less the second's

    def to_json(self) -> dict[str, Any]:
        found = self.accuracy
        accuracy = None
        if found is not None:
            ends = found.interval()
            accuracy = {"change": -found.drop, "ci95": [-ends[1], -ends[0]], "p": found.mcnemar_p}
        return {
            **{name: self.first[name] for name in (*SAME, "device", "accelerator", "threads")},
            "p50_ms": [row["latency"]["p50_ms"] for row in (self.first, self.second)],
            "valid": [row["latency"]["valid"] for row in (self.first, self.second)],
            "latency_ratio": _ratio_json(self.latency),
            "size_bytes": [row["artifact"]["size_bytes"] for row in (self.first, self.second)],
            "accuracy": accuracy,
        }


@dataclass(frozen=True)
class Comparison:
    """All rows of two files."""

    rows: tuple[Compared, ...]
    mean: Ratio | None  # geometric, of the latency ratios; None without common rows
    only_first: tuple[Row, ...]
    only_second: tuple[Row, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        only = [[{name: row[name] for name in SAME} for row in rows] for rows in (self.only_first, self.only_second)]
        return {
            "rows": [row.to_json() for row in self.rows],
            "geometric_mean": None if self.mean is None else _ratio_json(self.mean),
            "only_first": only[0],
            "only_second": only[1],
            "notes": list(self.notes),
        }


def _machine(field: str) -> Callable[[Results, Row], Any]:
    return lambda results, row: (results.environments.get(row["device"]) or {}).get(field)


# What must be alike, by the name that --across takes; psf/pyperf refuses unlike metadata in the same way
CHECKED: dict[str, Callable[[Results, Row], Any]] = {
    "device": lambda _, row: row["device"],
    "accelerator": lambda _, row: row["accelerator"],
    "threads": lambda _, row: row["threads"],
    "machine": lambda results, row: tuple(_machine(name)(results, row) for name in ("host", "cpu", "cores")),
    "governor": _machine("governor"),
    "runtime_version": lambda _, row: row["runtime_version"],
    "data_set": lambda _, row: row["accuracy"]["dataset_sha256"] if accuracy_of(row) else None,
}
OF_A_ROW = ("device", "accelerator", "threads")  # several rows of one file may differ in these


def compare(first: Results, second: Results, across: Sequence[str] = ()) -> Comparison:
    """Compare the rows of two files. Raises EdgeproofError that names the first field in which like rows are unlike."""
    for field in across:
        if field not in CHECKED:
            raise EdgeproofError(f"--across {field}: unknown, there are {', '.join(CHECKED)}")
    matches = [pair for pair in _match(first, second) if not any(map(has_no_time, pair))]
    rows = []
    for one, other in matches:
        _refuse_unlike(first, one, second, other, across)
        latency = ratio(latencies_ns(second, other), latencies_ns(first, one))
        rows.append(Compared(one, other, latency, _paired(first, one, second, other)))
    sides = [(latencies_ns(second, other), latencies_ns(first, one)) for one, other in matches]
    return Comparison(
        tuple(rows),
        geometric_mean(sides) if sides else None,
        tuple(row for row in first.rows if not has_no_time(row) and all(row is not one for one, _ in matches)),
        tuple(row for row in second.rows if not has_no_time(row) and all(row is not other for _, other in matches)),
        tuple(_notes(first, second, matches)),
    )


def _match(first: Results, second: Results) -> list[tuple[Row, Row]]:
    """Pair rows of the same thing: first those alike in device, accelerator and threads, then those left over."""
    found: list[tuple[Row, Row]] = []
    left = list(second.rows)
    waiting = []
    for row in first.rows:
        other = next((o for o in left if _same(row, o) and all(row[name] == o[name] for name in OF_A_ROW)), None)
        if other is None:
            waiting.append(row)
        else:
            found.append((row, other))
            left.remove(other)
    matched = [one for one, _ in found]
    for row in waiting:
        others = [other for other in left if _same(row, other)]
        # A thread count that only this file has is no unlike row where another count has found its like
        if not others or any(_same(row, one) for one in matched):
            continue
        if len(others) > 1 or sum(_same(row, one) for one in waiting) > 1:
            raise EdgeproofError(
                f"{row_name(row)}: several rows could be held against it ({'; '.join(_place(o) for o in others)}): "
                "measure both files with one setting of device, accelerator and threads"
            )
        found.append((row, others[0]))
        left.remove(others[0])
    order = {id(row): place for place, row in enumerate(first.rows)}
    return sorted(found, key=lambda pair: order[id(pair[0])])


def _same(row: Row, other: Row) -> bool:
    return all(row[name] == other[name] for name in SAME)


def _place(row: Row) -> str:
    return ", ".join(f"{name} {row[name]}" for name in OF_A_ROW)


def _refuse_unlike(first: Results, one: Row, second: Results, other: Row, across: Sequence[str]) -> None:
    for field, get in CHECKED.items():
        found, expected = get(second, other), get(first, one)
        if field not in across and found != expected:
            raise EdgeproofError(
                f"{row_name(one)}: {field} differs: {_shown(expected)} in the first file, {_shown(found)} in the second: "
                f"such figures do not compare; if you mean to compare across it, add --across {field}"
            )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value)
    return f"{str(value)[:12]}…" if isinstance(value, str) and len(value) == 64 else str(value)


def _notes(first: Results, second: Results, matches: Sequence[tuple[Row, Row]]) -> list[str]:
    notes = []
    for field in NOTED:
        get = _machine(field)
        for one, other in sorted({(str(get(first, one)), str(get(second, other))) for one, other in matches}):
            if one != other:
                notes.append(f"{field}: {one} in the first file, {other} in the second")
    invalid = sum(not (one["latency"]["valid"] and other["latency"]["valid"]) for one, other in matches)
    if invalid:
        notes.append(f"{invalid} of {len(matches)} rows have a timing that is not valid in one file or both: marked !")
    timeless = sum(has_no_time(row) for results in (first, second) for row in results.rows)
    if timeless:
        notes.append(f"{timeless} rows are left out: of emulated devices ({NOT_A_LATENCY}) or of a software GPU")
    return notes


def _paired(first: Results, one: Row, second: Results, other: Row) -> Paired | None:
    """Compare the answers of one row in two files, where they are to the same pictures."""
    evidence, others = Evidence.of(first.arrays, one), Evidence.of(second.arrays, other)
    if evidence is None or others is None or evidence.dataset_sha256 != others.dataset_sha256:
        return None
    if not (len(evidence.truth) == len(others.truth) and (evidence.truth == others.truth).all()):
        return None
    answers = [r.arrays[f"{row['samples']['key']}/predictions"] for r, row in ((first, one), (second, other))]
    common = min(len(part) for part in answers)
    return Paired.of(answers[0][:common], answers[1][:common], evidence.truth[:common].astype("int64"))


COLUMNS = ("row", "p50 ms", "then ms", "ratio [95 %]", "time", "size", "top-1, points [95 %]", "accuracy")


def cells(compared: Compared) -> list[str]:
    """Return a row's cells under COLUMNS."""
    from bench.report import milliseconds

    one, other = compared.first, compared.second
    mark = "" if one["latency"]["valid"] and other["latency"]["valid"] else " !"
    found = compared.accuracy
    change = "–"
    if found is not None:
        low, high = found.interval()
        change = f"{points_of(-found.drop)} [{points_of(-high)}, {points_of(-low)}]"
    return [
        row_name(one),
        milliseconds(one["latency"]["p50_ms"]),
        milliseconds(other["latency"]["p50_ms"]) + mark,
        ratio_text(compared.latency),
        time_verdict(compared.latency),
        f"{other['artifact']['size_bytes'] / one['artifact']['size_bytes']:.3f}",
        change,
        short_verdict(found),
    ]


def summary(found: Comparison, first: str, second: str) -> list[str]:
    """Return what stands under the table: the mean, what only one file has, and what to bear in mind."""
    lines = []
    if found.mean is None:
        lines.append("no row is in both files")
    else:
        mean = f"{ratio_text(found.mean)}: {time_verdict(found.mean)}"
        lines.append(f"geometric mean of the ratios of {len(found.rows)} rows: {mean}")
    for name, rows in ((first, found.only_first), (second, found.only_second)):
        lines += [f"only in {name}: {row_name(row)}" for row in rows]
    return lines + [f"note: {note}" for note in found.notes]


def ratio_text(found: Ratio) -> str:
    """Return a ratio with its interval, or a dash for that."""
    ends = "–" if found.low is None or found.high is None else f"{found.low:.3f}, {found.high:.3f}"
    return f"{found.value:.3f} [{ends}]"


def time_verdict(found: Ratio) -> str:
    """Return what the ratio of times shows."""
    if not found.distinguishable:
        return "not distinguishable"
    return "slower" if found.value > 1 else "faster"


def _ratio_json(found: Ratio) -> dict[str, Any]:
    ends: Mapping[str, Any] = {"ci95": None if found.low is None else [found.low, found.high]}
    return {"value": found.value, **ends, "verdict": time_verdict(found)}
