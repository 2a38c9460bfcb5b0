"""JSON objects as frozen dataclasses: the class is the schema, and an error names the field and its place."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import partial
from types import NoneType, UnionType
from typing import Annotated, Any, Self, TypeVar, get_args, get_origin, get_type_hints

Read = Callable[[object, str], Any]  # a value of the document, where it stands
NUMBERS = (int, float)
PLAIN: dict[object, tuple[type, ...]] = {str: (str,), int: (int,), float: NUMBERS, bool: (bool,)}
WORDS: dict[type, str] = {NoneType: "null", dict: "an object", list: "a list"}


class Damaged(ValueError):
    """A document that does not fit its class. The message names the field, what was found and what was expected."""

    def __init__(self, where: str, found: object, expected: str) -> None:
        super().__init__(f"{where} is {'missing' if found is ... else repr(found)[:60]}, expected {expected}")


@dataclass(frozen=True)
class Defect:
    """A field whose type is right and whose value is impossible."""

    key: str
    found: object
    expected: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base class of what is stored as a JSON object. A field of the class is the key of the same name.

    A field may be str, int, float, bool, a Mapping, a record, a tuple of one of these, or one of them or None. One with a
    default may be absent. Keys that the class does not know are kept in `more`, so that they are written again.
    """

    more: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_json(cls, document: object, where: str = "document") -> Self:
        """Read an object that stands at `where`. Raises Damaged."""
        if not isinstance(document, dict):
            raise Damaged(where, document, WORDS[dict])
        known = _layout(cls).keys
        more = {key: value for key, value in document.items() if key not in known}
        return _build(cls, document, where, {}, more)

    def to_json(self) -> dict[str, Any]:
        """Return the object as `from_json` reads it."""
        return {**_written(type(self), self, {}), **self.more}

    def defects(self) -> Iterator[Defect]:
        """Yield the fields whose values are impossible, although their types are right."""
        yield from ()


T = TypeVar("T", bound=Record)


class Flat:
    """Mark of a record whose own fields are in the object that it belongs to, under these keys or their names."""

    def __init__(self, **keys: str) -> None:
        self.keys = keys


@dataclass(frozen=True)
class Converted:
    """Mark of a field that is read and written by functions of its own."""

    read: Read
    write: Callable[[Any], Any]


class Omitted:
    """Mark of a field that is absent where it is None."""


@dataclass(frozen=True)
class _Slot:
    """How one field is read and written."""

    name: str
    read: Read
    write: Callable[[Any], Any]
    required: bool
    omitted: bool
    is_record: bool
    flat: type[Record] | None  # whose fields are in the same object
    keys: Mapping[str, str]  # of a flat one


@dataclass(frozen=True)
class _Layout:
    """A class's fields, and the keys of an object that it knows."""

    slots: tuple[_Slot, ...]
    keys: frozenset[str]


_LAYOUTS: dict[type[Record], _Layout] = {}  # each class is examined once: a file has many rows


def _layout(kind: type[Record]) -> _Layout:
    if kind not in _LAYOUTS:
        hints = get_type_hints(kind, include_extras=True)
        slots = tuple(_slot(one, hints[one.name]) for one in fields(kind) if one.name != "more")
        keys: set[str] = set()
        for slot in slots:
            keys |= {slot.name} if slot.flat is None else {slot.keys.get(key, key) for key in _layout(slot.flat).keys}
        _LAYOUTS[kind] = _Layout(slots, frozenset(keys))
    return _LAYOUTS[kind]


def _slot(one: Field[Any], hint: Any) -> _Slot:
    hint, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    inner, null = _without_none(hint)
    is_record = isinstance(inner, type) and issubclass(inner, Record)
    omitted = Omitted in marks
    flat = next((mark for mark in marks if isinstance(mark, Flat)), None)
    own = next((mark for mark in marks if isinstance(mark, Converted)), None)
    return _Slot(
        one.name,
        own.read if own else _reader(inner, null and (is_record or not omitted)),
        own.write if own else _plain,
        one.default is MISSING and one.default_factory is MISSING,
        omitted,
        is_record,
        inner if flat else None,
        flat.keys if flat else {},
    )


def _build(kind: type[T], document: Mapping[str, Any], where: str, keys: Mapping[str, str], more: Mapping[str, Any]) -> T:
    values: dict[str, Any] = {}
    for slot in _layout(kind).slots:
        key = keys.get(slot.name, slot.name)
        if slot.flat is not None:
            values[slot.name] = _build(slot.flat, document, where, slot.keys, {})
        elif key in document:
            values[slot.name] = slot.read(document[key], f"{where}.{key}")
        elif slot.required:
            slot.read(None if slot.is_record else ..., f"{where}.{key}")  # raises with what was expected there
            raise Damaged(f"{where}.{key}", ..., "a value")
    record = kind(**values, more=more)
    for defect in record.defects():
        raise Damaged(f"{where}.{keys.get(defect.key, defect.key)}", defect.found, defect.expected)
    return record


def _written(kind: type[Record], record: Record, keys: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for slot in _layout(kind).slots:
        value = getattr(record, slot.name)
        if slot.flat is not None:
            document |= _written(slot.flat, value, slot.keys)
        elif value is not None or not slot.omitted:
            document[keys.get(slot.name, slot.name)] = slot.write(value)
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Return a hint without its None, and whether it had one."""
    if get_origin(hint) is not UnionType:
        return hint, False
    (inner,) = (part for part in get_args(hint) if part is not NoneType)
    return inner, True


def _reader(hint: Any, null: bool) -> Read:
    """Return the function that reads values of a type; with `null` it reads null as None."""
    if hint in PLAIN:
        return partial(_read_plain, PLAIN[hint] + ((NoneType,) if null else ()))
    if isinstance(hint, type) and issubclass(hint, Record):
        read: Read = hint.from_json
    elif get_origin(hint) is tuple:
        inner = get_args(hint)
        read = partial(_read_list, _reader(inner[0], null=False)) if inner[1] is ... else _read_two_numbers
    else:
        read = partial(_read_plain, (dict,))
    return (lambda value, where: None if value is None else read(value, where)) if null else read


def _read_plain(kinds: tuple[type, ...], value: object, where: str) -> object:
    odd_bool = isinstance(value, bool) and bool not in kinds
    if not isinstance(value, kinds) or odd_bool or (isinstance(value, float) and not math.isfinite(value)):
        raise Damaged(where, value, " or ".join(WORDS.get(kind, kind.__name__) for kind in kinds))
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise Damaged(where, value, "a number that 64 bits hold")
    return value


def _read_list(read: Read, value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Damaged(where, value, WORDS[list])
    return tuple(read(item, f"{where}.{number}") for number, item in enumerate(value))


def _read_two_numbers(value: object, where: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise Damaged(where, value, "two numbers")
    low, high = (_read_plain(NUMBERS, end, f"{where}.{number}") for number, end in enumerate(value))
    return low, high  # type: ignore[return-value]  # numbers, as _read_plain has seen
