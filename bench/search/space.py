"""The space of a search: a small TOML file of ranges and choices. A model's own lies beside its SPEC.

variants = ["int8.tflite"]
runtimes = ["litert"]

[build]                                       # options of the model's build()
filters = { low = 6, high = 24 }
depth = [2, 3]                                # a list: one of these

[recipe]                                      # settings of its recipe, as `train sweep --set` takes them
epochs = { low = 12, high = 30, step = 6 }
learning_rate = { low = 1e-3, high = 1e-2, log = true }
cosine = true                                 # one value: fixed

[first]                                       # the settings of the first trial; [build] and [recipe] have them all
filters = 12
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from bench.runtimes import find_runtime
from bench.search.result import Setting
from common.paths import PROGRAM
from common.toml_config import read_toml, toml_text
from convert.variants import find_variants
from device.errors import EdgeproofError
from train.models import find_model
from train.settings import AUGMENTATION_FIELDS, PHASE_FIELDS
from train.spec import Augmentation, Phase

TABLES = ("build", "recipe", "first")
RANGE_KEYS = ("low", "high", "step", "log")
DEFAULT_VARIANTS, DEFAULT_RUNTIMES = ["int8.tflite"], ["litert"]
SHARES = ("dropout", "weight_average", "label_smoothing")  # 0 to less than 1
ABOVE_ZERO = ("epochs", "batch_size", "learning_rate", "copies", "copies_an_epoch", "images")


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    step: float | None = None
    log: bool = False  # smaller steps where the numbers are small

    @property
    def ends(self) -> tuple[Setting, ...]:
        """Return the lowest and the highest number."""
        return (self.low, self.high)

    def has(self, value: object) -> bool:
        """Say whether a value lies inside."""
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some values; a single one is fixed."""

    values: tuple[Setting, ...]

    @property
    def ends(self) -> tuple[Setting, ...]:
        """Return all values."""
        return self.values

    def has(self, value: object) -> bool:
        """Say whether a value is one of them."""
        return value in self.values


Axis = Range | Choice


@dataclass(frozen=True)
class Space:
    """What is searched: an axis for each setting, and the artifacts that count."""

    path: Path
    axes: Mapping[str, Axis]
    build: tuple[str, ...]  # the axes that are options of build()
    artifacts: tuple[tuple[str, str], ...]  # variant, as "int8.tflite", and runtime
    first: Mapping[str, Setting]  # {}: the first trial is drawn, too
    lines: Mapping[str, int]  # of each key in the file

    def where(self, key: str) -> str:
        """Return "FILE: line 7: key", for a message."""
        return _where(self.path, self.lines.get(key), key)


def read_space(model: str, named: Path | None) -> Space:
    """Read the named file, or the model's own.

    Raises EdgeproofError that names the line for unknown keys, empty ranges, and values that a setting cannot have.
    """
    found = find_model(model)
    path = named or own_space(model)
    if named is None and not path.is_file():
        raise EdgeproofError(f"{model} has no space of its own ({path.name}): write one and name it with --space FILE")
    document = read_toml(path)
    lines = _lines(toml_text(path))
    _check_keys(path, document, lines, ("variants", "runtimes", *TABLES), "")
    axes: dict[str, Axis] = {}
    kinds = {"build": _build_kinds(found.build), "recipe": _recipe_kinds()}
    for table, known in kinds.items():
        entries = _table(path, document, table, lines)
        _check_keys(path, entries, lines, tuple(sorted(known)), f" of [{table}]")
        for key, entry in entries.items():
            axes[key] = _axis(_where(path, lines.get(key), key), key, entry, known[key])
    if not any(len(set(axis.ends)) > 1 for axis in axes.values()):
        raise EdgeproofError(f"{path}: holds no range and no list of choices, so there is nothing to search: add one")
    first = _table(path, document, "first", lines)
    _check_first(path, first, axes, lines)
    artifacts = _artifacts(path, document, lines)
    return Space(path, axes, tuple(name for name in axes if name in kinds["build"]), artifacts, first, lines)


def own_space(model: str) -> Path:
    """Return the file of a model's own space."""
    return PROGRAM / "train" / "models" / f"{model}.search.toml"


def _lines(text: str) -> dict[str, int]:
    """Return the line of each key and table of a TOML file."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*\[?\s*\"?([A-Za-z0-9_-]+)\"?\s*(=|\])", line):
            found.setdefault(match[1], number)
    return found


def _where(path: Path, line: int | None, key: str) -> str:
    return f"{path}: {key}" if line is None else f"{path}: line {line}: {key}"


def _check_keys(path: Path, table: Mapping[str, Any], lines: Mapping[str, int], known: tuple[str, ...], whose: str) -> None:
    for key in table:
        if key not in known:
            raise EdgeproofError(f"{_where(path, lines.get(key), key)}: unknown key{whose}: there are {', '.join(known)}")


def _table(path: Path, document: Mapping[str, Any], name: str, lines: Mapping[str, int]) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise EdgeproofError(f"{_where(path, lines.get(name), name)}: found {table!r}, expected a table [{name}]")
    return table


def _build_kinds(build: Any) -> dict[str, type]:
    """Return the type of each option of a build(): that of its default."""
    import inspect

    options = list(inspect.signature(build).parameters.values())[1:]
    return {option.name: type(option.default) for option in options}


def _recipe_kinds() -> dict[str, type]:
    """Return the type of each setting of a recipe: of `int | None` int, of a Literal that of its first value."""
    kinds: dict[str, type] = {"recipe": str, "training_images": int}
    for owner, names in ((Phase, PHASE_FIELDS), (Augmentation, AUGMENTATION_FIELDS)):
        hints = get_type_hints(owner)
        for name in names:
            first = (get_args(hints[name]) or (hints[name],))[0]
            kinds[name] = first if isinstance(first, type) else type(first)
    return kinds


def _axis(where: str, key: str, entry: Any, kind: type) -> Axis:
    if isinstance(entry, dict):
        return _range(where, key, entry, kind)
    values = entry if isinstance(entry, list) else [entry]
    if not values:
        raise EdgeproofError(f"{where}: is an empty list: expected values to choose from")
    for value in values:
        _check_value(where, key, value, kind)
    return Choice(tuple(values))


def _range(where: str, key: str, entry: Mapping[str, Any], kind: type) -> Range:
    for name in entry:
        if name not in RANGE_KEYS:
            raise EdgeproofError(f"{where}: unknown key {name!r} of a range: there are {', '.join(RANGE_KEYS)}")
    values: Mapping[str, Any] = {name: entry.get(name) for name in RANGE_KEYS}
    low, high, step, log = (values[name] for name in RANGE_KEYS)
    if kind not in (int, float):
        raise EdgeproofError(f"{where}: is no number, so it has no range: give a list of values")
    for value in (low, high):
        _check_value(where, key, value, kind)
    if not low < high:
        raise EdgeproofError(f"{where}: the range is empty: low {low} is not below high {high}")
    if log not in (None, True, False) or (log and (step is not None or low <= 0)):
        raise EdgeproofError(f"{where}: log = true needs a low above 0, and no step")
    if step is not None and (type(step) is not kind or not 0 < step <= high - low):
        raise EdgeproofError(f"{where}: step {step!r}: expected {_words(kind)} above 0, at most high less low")
    return Range(low, high, step, bool(log))


def _check_value(where: str, key: str, value: Any, kind: type) -> None:
    """Check one value of a setting: its type, and that a recipe can have it."""
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits:
        found = "nothing" if value is None else repr(value)
        raise EdgeproofError(f"{where}: found {found}, expected {_words(kind)}")
    if key in SHARES and not 0 <= value < 1:
        raise EdgeproofError(f"{where}: found {value}, expected 0 to less than 1")
    if key in ABOVE_ZERO and value <= 0:
        raise EdgeproofError(f"{where}: found {value}, expected a number above 0")
    if kind in (int, float) and value < 0:
        raise EdgeproofError(f"{where}: found {value}, expected 0 or more")
    optimizers = get_args(get_type_hints(Phase)["optimizer"])
    if key == "optimizer" and value not in optimizers:
        raise EdgeproofError(f"{where}: found {value!r}, expected one of {', '.join(optimizers)}")


def _words(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[kind]


def _check_first(path: Path, first: Mapping[str, Any], axes: Mapping[str, Axis], lines: Mapping[str, int]) -> None:
    for key, value in first.items():
        if key not in axes:
            raise EdgeproofError(f"{path}: [first]: {key}: is no setting of [build] or [recipe]")
        if not axes[key].has(value):
            raise EdgeproofError(f"{path}: [first]: {key} = {value}: lies outside of what line {lines[key]} allows")


def _artifacts(path: Path, document: Mapping[str, Any], lines: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    """Return each variant in each runtime that opens it."""
    names: dict[str, list[str]] = {}
    for key, default in (("variants", DEFAULT_VARIANTS), ("runtimes", DEFAULT_RUNTIMES)):
        names[key] = document.get(key, default)
        if not isinstance(names[key], list) or not names[key] or not all(isinstance(name, str) for name in names[key]):
            raise EdgeproofError(f"{_where(path, lines.get(key), key)}: expected a list of at least one name")
    try:
        variants = find_variants(names["variants"])
        formats = {name: find_runtime(name).FORMATS for name in names["runtimes"]}
    except EdgeproofError as error:
        raise EdgeproofError(f"{path}: {error}") from error
    found = tuple((one.key, name) for one in variants for name in formats if one.format in formats[name])
    if not found or any(one.by_doctor for one in variants):
        raise EdgeproofError(f"{path}: variants and runtimes: no runtime opens these variants, or `convert run` makes none")
    return found
