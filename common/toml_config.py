"""Reading TOML into frozen dataclasses: an unknown, missing or wrongly typed key is an error that names it."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from device.errors import EdgeproofError
from device.files import read_bytes

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises EdgeproofError that names the file and the place of the defect."""
    try:
        return tomllib.loads(toml_text(path))
    except (ValueError, RecursionError) as error:
        raise EdgeproofError(f"{path}: is no readable TOML: {error}: correct it") from error


def toml_text(path: Path) -> str:
    """Return a TOML file's text, also of a file from Windows: with a byte order mark and other ends of lines."""
    return read_bytes(path).decode("utf-8-sig").replace("\r\n", "\n")


def build(kind: type[T], table: Mapping[str, Any], where: str, **given: Any) -> T:
    """Make a dataclass of a table's keys; the fields in `given` come from the caller and may not be in the table.

    Fields may be str, int, float, bool, tuple[str, ...] (a list) and dict[str, str] or dict[str, int] (a table).
    Raises EdgeproofError that names `where` and the key.
    """
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name not in given}
    for key, value in table.items():
        if key not in hints:
            raise EdgeproofError(f"{where}: unknown key {key!r}: there are {', '.join(hints)}")
        if not _fits(value, hints[key]):
            raise EdgeproofError(f"{where}: key {key!r}: found {value!r}, expected {_words(hints[key])}")
    for field in fields(kind):  # type: ignore[arg-type]  # `kind` is a dataclass, which type[T] cannot say
        if field.name in hints and field.name not in table and field.default is MISSING and field.default_factory is MISSING:
            raise EdgeproofError(f"{where}: key {field.name!r} is missing: expected {_words(hints[field.name])}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}, **given)


def _fits(value: Any, hint: Any) -> bool:
    inner = get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    return type(value) is hint  # not isinstance, which accepts True for 1


def _words(hint: Any) -> str:
    names = {str: "a string", int: "a whole number", float: "a number with a point", bool: "true or false"}
    inner = get_args(hint)
    if get_origin(hint) is tuple:
        return f"a list, each {_words(inner[0])}"
    if get_origin(hint) is dict:
        return f"a table, each value {_words(inner[1])}"
    return names[hint]
