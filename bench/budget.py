"""Budgets: bench/budgets.toml as rules, which rows a rule is about, and which of several rules counts."""

import fnmatch
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.measurement import ANY
from bench.verdict import Place
from convert.typed_toml import read_toml
from device.classify import EdgeproofError

TABLE = "budget"
HEADER = re.compile(r"^\s*\[\[\s*" + TABLE + r"\s*\]\]")
Row = Mapping[str, Any]
Against = Literal["results", "baseline"]


@dataclass(frozen=True)
class Kind:
    """What a key of a rule limits."""

    unit: str
    at_most: bool = True
    share: bool = False  # the limit is a fraction of one
    on_device: bool = False  # an absolute latency: it holds only on a device that is named
    against: Against = "results"


KINDS: Mapping[str, Kind] = {
    "max_p50_ms": Kind("ms", on_device=True),
    "max_p90_ms": Kind("ms", on_device=True),
    "max_p99_ms": Kind("ms", on_device=True),
    "max_first_inference_ms": Kind("ms", on_device=True),
    "max_load_ms": Kind("ms", on_device=True),
    "max_peak_rss_mb": Kind("MB"),
    "max_size_kb": Kind("kB"),
    "max_instructions_m": Kind("million instructions"),
    "min_top1": Kind("", at_most=False, share=True),
    "max_top1_drop": Kind("", share=True),
    "min_agreement": Kind("", at_most=False, share=True),
    "max_ratio": Kind("times"),
    "max_regression": Kind("", against="baseline"),
    "max_top1_regression": Kind("", share=True, against="baseline"),
    "max_instruction_regression": Kind("", against="baseline"),
}
RATIO_FIGURES = ("p50", "p90")
SELECTORS = ("model", "variant", "format", "runtime", "device", "accelerator", "threads")


@dataclass(frozen=True)
class Limit:
    """One budget of a rule. That of max_ratio is of `figure` against the variant `to`."""

    key: str
    value: float
    place: Place
    figure: str = ""
    to: str = ""

    @property
    def kind(self) -> Kind:
        return KINDS[self.key]

    @property
    def name(self) -> str:
        """Return what identifies the budget: of two with one name, the narrower counts."""
        return f"{self.key} {self.figure} to {self.to}" if self.to else self.key


@dataclass(frozen=True)
class Rule:
    """One [[budget]] of the file: which rows, and what is asked of them."""

    selectors: Mapping[str, str]  # patterns; what is not there is "*"
    limits: tuple[Limit, ...]
    place: Place

    @property
    def text(self) -> str:
        return ", ".join(f"{name} {pattern}" for name, pattern in self.selectors.items()) or "every row"

    @property
    def narrowness(self) -> tuple[int, int]:
        """Return how narrow the rule is: the selectors without a wildcard first, then the letters beside wildcards."""
        patterns = list(self.selectors.values())
        return sum(not _is_pattern(p) for p in patterns), sum(len(p.replace("*", "")) for p in patterns if _is_pattern(p))

    def matches(self, row: Row, devices: Collection[str]) -> bool:
        """Tell whether the rule is about a row that was measured on what these device names mean."""
        device = self.selectors.get("device", "*")
        return self.matches_elsewhere(row) and any(fnmatch.fnmatchcase(name, device) for name in devices)

    def matches_elsewhere(self, row: Row) -> bool:
        """Tell whether the rule would be about a row, whatever its device.

        A skipped row may stand for all models, where a runtime is missing: only a rule that names a runtime or an
        accelerator is about it.
        """
        if row["model"] == ANY and not {"runtime", "accelerator"} & self.selectors.keys():
            return False
        model = f"{row['model']}@{row['name']}" if row.get("name") else row["model"]
        values = {**row, "model": model}
        return all(
            fnmatch.fnmatchcase(str(values[name]), pattern)
            for name, pattern in self.selectors.items()
            if name != "device" and values.get(name, ANY) != ANY  # a skipped row has no threads
        )


@dataclass(frozen=True)
class Budgets:
    """All rules of a file."""

    path: Path
    rules: tuple[Rule, ...]

    def of(self, row: Row, devices: Collection[str], against: Against) -> list[Limit]:
        """Return what is asked of a row: of each budget, that of the narrowest rule.

        Raises EdgeproofError where two rules are equally narrow.
        """
        chosen: dict[str, tuple[Rule, Limit]] = {}
        for rule in sorted(self.rules, key=lambda rule: rule.narrowness):
            for limit in rule.limits if rule.matches(row, devices) else ():
                if limit.kind.against != against:
                    continue
                before = chosen.get(limit.name)
                if before is not None and before[0].narrowness == rule.narrowness:
                    raise EdgeproofError(
                        f"{limit.place}, {before[1].place}: both give {limit.name} for {_row_text(row)}, equally narrow: "
                        f"name more in one of them ({', '.join(SELECTORS)})"
                    )
                chosen[limit.name] = rule, limit
        return [limit for _, limit in chosen.values()]

    def limited(self, against: Against) -> list[Rule]:
        """Return the rules that have a budget of this kind."""
        return [rule for rule in self.rules if any(limit.kind.against == against for limit in rule.limits)]


def refuse_unmatched(rules: Iterable[Rule], rows: Sequence[Row], where: str) -> None:
    """Raise EdgeproofError for a rule that is about none of these rows: a budget that guards nothing is a mistake."""
    for rule in rules:
        if not any(rule.matches_elsewhere(row) for row in rows):
            raise EdgeproofError(
                f"{rule.place}: matches nothing in {where} ({rule.text}): correct its names, measure what it is about, "
                "or remove it"
            )


def load_budgets(path: Path) -> Budgets:
    """Read a budgets file. Raises EdgeproofError that names the line of an unknown key or an impossible value."""
    document = read_toml(path)
    lines = _Lines(path)
    for key in document:
        if key != TABLE:
            raise EdgeproofError(f"{lines.of_key(key)}: unknown table or key {key!r}: there is [[{TABLE}]] alone")
    tables = document.get(TABLE, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise EdgeproofError(f"{lines.of_key(TABLE)}: {TABLE} is written [[{TABLE}]], once for each rule")
    if not tables:
        raise EdgeproofError(f"{path}: holds no budgets: a gate never passes on nothing; add a [[{TABLE}]]")
    return Budgets(path, tuple(_rule(table, number, lines) for number, table in enumerate(tables)))


class _Lines:
    """Finds the lines of a file's keys, which tomllib does not tell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = path.read_text(encoding="utf-8").splitlines()
        self._headers = [number for number, line in enumerate(self._lines, 1) if HEADER.match(line)]

    def of_table(self, table: int) -> Place:
        return Place(str(self._path), self._headers[table] if table < len(self._headers) else 1)

    def of_key(self, key: str, table: int | None = None) -> Place:
        """Return the first line of a key in a rule, or in the whole file; the rule's own where it is not found."""
        start = 1 if table is None else self.of_table(table).line
        stop = len(self._lines)
        if table is not None and table + 1 < len(self._headers):
            stop = self._headers[table + 1] - 1
        wanted = re.compile(r"^\s*\[{0,2}\s*[\"']?" + re.escape(key) + r"[\"']?\s*[=.\]]")
        for number in range(start, stop + 1):
            if wanted.match(self._lines[number - 1]):
                return Place(str(self._path), number)
        return Place(str(self._path), start)


def _rule(table: Mapping[str, Any], number: int, lines: _Lines) -> Rule:
    selectors: dict[str, str] = {}
    limits: list[Limit] = []
    for key, value in table.items():
        place = lines.of_key(key, number)
        if key in SELECTORS:
            selectors[key] = _selector(key, value, place)
        elif key in KINDS:
            limits.append(_limit(key, value, place))
        else:
            raise EdgeproofError(f"{place}: unknown key {key!r}: there are {', '.join((*SELECTORS, *KINDS))}")
    rule = Rule(selectors, tuple(limits), lines.of_table(number))
    if not limits:
        raise EdgeproofError(f"{rule.place}: asks for nothing: add one of {', '.join(KINDS)}")
    _check_device(rule)
    return rule


def _selector(key: str, value: Any, place: Place) -> str:
    if key == "threads" and type(value) is int and value >= 1:
        return str(value)
    if isinstance(value, str) and value and (key != "threads" or value == "*"):
        return value
    expected = 'a whole number from 1 on, or "*"' if key == "threads" else "a name, * and ? being wildcards"
    raise EdgeproofError(f"{place}: {key}: found {value!r}, expected {expected}")


def _limit(key: str, value: Any, place: Place) -> Limit:
    if key != "max_ratio":
        return Limit(key, _number(key, value, place, share=KINDS[key].share), place)
    figures = [name for name in value if name != "to"] if isinstance(value, dict) else []
    if len(figures) != 1 or figures[0] not in RATIO_FIGURES or not isinstance(value.get("to"), str) or not value["to"]:
        raise EdgeproofError(
            f'{place}: {key}: found {value!r}, expected {{to = "float32", p50 = 0.8}}: a variant and one of '
            f"{', '.join(RATIO_FIGURES)}"
        )
    return Limit(key, _number(f"{key}.{figures[0]}", value[figures[0]], place, share=False), place, figures[0], value["to"])


def _number(key: str, value: Any, place: Place, *, share: bool) -> float:
    """Return a limit. A relative one or a share may be 0 where that means "none at all"."""
    fits = type(value) in (int, float) and math.isfinite(value)
    may_be_none = key in ("max_top1_drop", "max_top1_regression", "max_regression", "max_instruction_regression")
    if not fits or value < 0 or (value == 0 and not may_be_none) or (share and value > 1):
        least = "0 or more" if may_be_none else "more than 0"
        raise EdgeproofError(f"{place}: {key}: found {value!r}, expected a number, {least}{', at most 1' if share else ''}")
    return float(value)


def _check_device(rule: Rule) -> None:
    device = rule.selectors.get("device", "*")
    for limit in rule.limits:
        if limit.kind.on_device and (_is_pattern(device) or device == "host"):
            raise EdgeproofError(
                f'{limit.place}: {limit.key}: milliseconds hold only on the device that is named: add device = "NAME" and '
                "bench/devices/NAME.toml, which says how it is recognised; max_ratio and max_regression hold on any machine"
            )


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[")


def _row_text(row: Row) -> str:
    return "/".join(str(row[name]) for name in ("model", "variant", "format", "runtime", "device") if row.get(name))
