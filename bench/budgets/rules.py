"""Budgets: the rules of bench/budgets/budgets.toml, the rows that a rule is about, and which of several rules counts."""

import fnmatch
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.budgets.figures import OtherVariant
from bench.budgets.kinds import KINDS, RELATIVE_PERCENTILES, Against, Kind
from bench.budgets.limit import Limit, Place
from bench.machine.accelerators import SOFTWARE
from bench.results.browser_figures import DEVICE as CHROMIUM
from bench.results.row import ANY, HOST, Combination, Subject
from bench.runtimes import Accelerated, find_runtime, runtime_names
from common.paths import BUDGETS, PROJECT, shown
from common.toml_config import read_toml, toml_text
from device.errors import EdgeproofError

TABLE = "budget"
HEADER = re.compile(r"^\s*\[\[\s*" + TABLE + r"\s*\]\]")


SELECTORS = ("model", "variant", "format", "runtime", "device", "accelerator", "threads")


@dataclass(frozen=True)
class Rule:
    """One [[budget]] of the file: its rows and their limits."""

    selectors: Mapping[str, str]  # patterns; a missing one is "*"
    limits: tuple[Limit, ...]
    place: Place

    @property
    def text(self) -> str:
        """Return which rows the rule is about, for people: "model mnist_cnn, device pi4", or "every row"."""
        return ", ".join(f"{name} {pattern}" for name, pattern in self.selectors.items()) or "every row"

    @property
    def narrowness(self) -> tuple[int, int]:
        """Return how narrow the rule is: selectors without a wildcard, then letters beside wildcards."""
        patterns = list(self.selectors.values())
        return sum(not _is_pattern(p) for p in patterns), sum(len(p.replace("*", "")) for p in patterns if _is_pattern(p))

    def matches(self, subject: Combination, devices: Collection[str]) -> bool:
        """Say whether the rule is about a row's subject on a device with these names."""
        device = self.selectors.get("device", "*")
        return self.matches_elsewhere(subject) and any(fnmatch.fnmatchcase(name, device) for name in devices)

    def matches_elsewhere(self, subject: Combination) -> bool:
        """Say whether the rule is about a row apart from its device.

        A skipped row may mean all models, where a runtime is missing: then only a rule that names a runtime or an
        accelerator is about it.
        """
        if subject.model == ANY and not {"runtime", "accelerator"} & self.selectors.keys():
            return False
        values = _selected(subject)
        return all(
            any(fnmatch.fnmatchcase(value, pattern) for value in values[name])
            for name, pattern in self.selectors.items()
            if name != "device" and values.get(name, (ANY,)) != (ANY,)  # a skipped row has no threads
        )

    def names_a_model_of(self, subjects: Iterable[Combination]) -> bool:
        """Say whether one of these is of a model that the rule may be about. A rule that names no model is about any."""
        pattern = self.selectors.get("model", "*")
        return any(fnmatch.fnmatchcase(one.model_name, pattern) for one in subjects if one.model != ANY)


@dataclass(frozen=True)
class Budgets:
    """All rules of a file."""

    path: Path
    rules: tuple[Rule, ...]

    def of(self, subject: Combination, devices: Collection[str], against: Against) -> list[Limit]:
        """Return the limits of a row: for each budget, that of the narrowest rule.

        Raises EdgeproofError where two rules are equally narrow.
        """
        chosen: dict[str, tuple[Rule, Limit]] = {}
        for rule in sorted(self.rules, key=lambda rule: rule.narrowness):
            for limit in rule.limits if rule.matches(subject, devices) else ():
                if limit.kind.against != against:
                    continue
                before = chosen.get(limit.name)
                if before is not None and before[0].narrowness == rule.narrowness:
                    raise EdgeproofError(
                        f"{limit.place}, {before[1].place}: both give {limit.name} for {_subject_text(subject)}, equally "
                        f"narrow: name more in one of them ({', '.join(SELECTORS)})"
                    )
                chosen[limit.name] = rule, limit
        return [limit for _, limit in chosen.values()]

    def limited(self, against: Against) -> list[Rule]:
        """Return the rules that have a budget of this comparison."""
        return [rule for rule in self.rules if any(limit.kind.against == against for limit in rule.limits)]


def refuse_unmatched(rules: Iterable[Rule], subjects: Sequence[Combination], where: str) -> None:
    """Raise EdgeproofError for a rule that is about none of these: such a budget is a mistake.

    That a runtime is missing for all models says nothing about a model that none of these is of.
    """
    for rule in rules:
        about = any(rule.matches_elsewhere(subject) for subject in subjects)
        if not (about and rule.names_a_model_of(subjects)):
            models = sorted({subject.model_name for subject in subjects if subject.model != ANY})
            next_step = (
                "these are the built-in budgets of edgeproof's own models: write your own with `edgeproof init`"
                if rule.place.file == shown(BUDGETS)
                else "correct its names, measure what it is about, or remove it"
            )
            raise EdgeproofError(
                f"{rule.place}: matches nothing in {where} ({rule.text}), which is of {', '.join(models) or 'no model'}: "
                f"{next_step}"
            )


def refuse_unknown_variants(rules: Iterable[Rule], subjects: Iterable[Combination]) -> None:
    """Raise EdgeproofError for a limit that compares with a variant of which none of these is: such a name is a mistake."""
    known = sorted({subject.variant for subject in subjects} - {ANY})
    for limit in (limit for rule in rules for limit in rule.limits):
        if limit.other is not None and limit.other.variant not in known:
            raise EdgeproofError(
                f"{limit.place}: {limit.kind.key}: no row of the results is of variant {limit.other.variant!r}, expected "
                f"one of {', '.join(known)}: correct the name, or measure that variant in the same run"
            )


def load_budgets(path: Path) -> Budgets:
    """Read a budgets file. Raises EdgeproofError that names the line of an unknown key or an impossible value."""
    document = read_toml(path)
    lines = _Lines(path)
    for key in document:
        if key != TABLE:
            raise EdgeproofError(f"{lines.of_key(key)}: unknown table or key {key!r}: the only table is [[{TABLE}]]")
    tables = document.get(TABLE, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise EdgeproofError(f"{lines.of_key(TABLE)}: {TABLE} is written [[{TABLE}]], once for each rule")
    if not tables:
        raise EdgeproofError(f"{path}: holds no budgets: a gate must not pass without one; add a [[{TABLE}]]")
    return Budgets(path, tuple(_rule(table, number, lines) for number, table in enumerate(tables)))


class _Lines:
    """Finds the lines of a file's keys, which tomllib does not give."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = toml_text(path).splitlines()
        self._headers = [number for number, line in enumerate(self._lines, 1) if HEADER.match(line)]

    def of_table(self, table: int) -> Place:
        return Place(shown(self._path), self._headers[table] if table < len(self._headers) else 1)

    def of_key(self, key: str, table: int | None = None) -> Place:
        """Return the first line of a key in a rule, or in the whole file; the rule's own line where it is not found."""
        start = 1 if table is None else self.of_table(table).line
        stop = len(self._lines)
        if table is not None and table + 1 < len(self._headers):
            stop = self._headers[table + 1] - 1
        wanted = re.compile(r"^\s*\[{0,2}\s*[\"']?" + re.escape(key) + r"[\"']?\s*[=.\]]")
        for number in range(start, stop + 1):
            if wanted.match(self._lines[number - 1]):
                return Place(shown(self._path), number)
        return Place(shown(self._path), start)


def _rule(table: Mapping[str, Any], number: int, lines: _Lines) -> Rule:
    selectors: dict[str, str] = {}
    limits: list[Limit] = []
    for key, value in table.items():
        place = lines.of_key(key, number)
        if key in SELECTORS:
            selectors[key] = _selector(key, value, place)
        elif key in KINDS:
            limits.append(_limit(KINDS[key], value, place))
        else:
            raise EdgeproofError(f"{place}: unknown key {key!r}: there are {', '.join((*SELECTORS, *KINDS))}")
    rule = Rule(selectors, tuple(limits), lines.of_table(number))
    if not limits:
        raise EdgeproofError(f"{rule.place}: sets no limit: add one of {', '.join(KINDS)}")
    _check_device(rule)
    return rule


def _selector(key: str, value: Any, place: Place) -> str:
    if key == "threads" and type(value) is int and value >= 1:
        return str(value)
    if isinstance(value, str) and value and (key != "threads" or value == "*"):
        return value
    expected = 'a whole number from 1 on, or "*"' if key == "threads" else "a name, * and ? being wildcards"
    raise EdgeproofError(f"{place}: {key}: found {value!r}, expected {expected}")


def _limit(kind: Kind, value: Any, place: Place) -> Limit:
    if not kind.relative:
        return Limit(kind, _number(kind, kind.key, value, place), place)
    given = [name for name in value if name != "to"] if isinstance(value, dict) else []
    if len(given) != 1 or given[0] not in RELATIVE_PERCENTILES or not isinstance(value.get("to"), str) or not value["to"]:
        raise EdgeproofError(
            f'{place}: {kind.key}: found {value!r}, expected {{to = "float32", p50 = 0.8}}: a variant and one of '
            f"{', '.join(RELATIVE_PERCENTILES)}"
        )
    (percentile,) = given
    number = _number(kind, f"{kind.key}.{percentile}", value[percentile], place)
    return Limit(kind, number, place, OtherVariant(percentile, value["to"]))


def _number(kind: Kind, key: str, value: Any, place: Place) -> float:
    """Return the value of a limit. A ratio or a share may be 0 where that means "none at all"."""
    fits = type(value) in (int, float) and math.isfinite(value)
    if not fits or value < 0 or (value == 0 and not kind.may_be_zero) or (kind.share and value > 1):
        least = "0 or more" if kind.may_be_zero else "more than 0"
        most = ", at most 1" if kind.share else ""
        raise EdgeproofError(f"{place}: {key}: found {value!r}, expected a number, {least}{most}")
    return float(value)


def _check_device(rule: Rule) -> None:
    device = rule.selectors.get("device", "*")
    for limit in rule.limits:
        if limit.kind.device_bound and (_is_pattern(device) or device in (HOST, CHROMIUM)):
            raise EdgeproofError(
                f"{limit.place}: {limit.kind.key}: milliseconds are valid only on a named device: "
                'add device = "NAME", and NAME.toml, which says how to recognise it, to the folder of devices in '
                f"{PROJECT}; max_ratio and max_regression are valid on any machine"
            )


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[")


def _selected(subject: Combination) -> dict[str, tuple[str, ...]]:
    """Return the values that selectors are compared with, any of several; a skipped row has no threads.

    The accelerator of a skipped row is that of its runtime.
    """
    values: dict[str, tuple[str, ...]] = {
        "model": (subject.model_name,),
        "variant": (subject.variant,),
        "format": (subject.format,),
        "runtime": (subject.runtime,),
        "device": (subject.device,),
    }
    if isinstance(subject, Subject) and subject.model != ANY:
        return values | {"accelerator": (subject.accelerator,), "threads": (str(subject.threads),)}
    return values | {"accelerator": _accelerators_of(subject.runtime)}


def _accelerators_of(runtime: str) -> tuple[str, ...]:
    """Return the accelerators that a runtime may compute on; ANY where this machine's runtimes are not asked."""
    if runtime not in runtime_names():
        return (ANY,)
    return ("gpu", SOFTWARE) if isinstance(find_runtime(runtime), Accelerated) else ("cpu",)


def _subject_text(subject: Combination) -> str:
    return "/".join((subject.model, subject.variant, subject.format, subject.runtime, subject.device))
