"""Labels in the usual formats: one a line, numbered lines, CSV, a JSON list or map."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from device.errors import EdgeproofError
from device.files import parse_json, read_bytes
from device.safe_text import is_control

FORMS = 'expected one label a line, "0 label" a line, CSV, or a JSON list or map ({"0": "cat"} or {"cat": 0})'
NUMBERED = re.compile(r"(\d+)(?:\s*[:;,\t]\s*|\s+)(\S.*)")  # "0 cat", "0: cat", "0,cat"
LABEL_MAP = re.compile(r"(?:\s|#.*\n)*item\s*:?\s*\{")  # protobuf text, as of TensorFlow's object detection
NUMBERED_BEHIND = re.compile(r"(\S.*?)(?:\s*[:;,\t]\s*|\s+)(\d+)")  # "cat 0"
YAML_NAMES = re.compile(r"(?:\s|#.*\n)*names\s*:\s*\n")  # as of Ultralytics's data.yaml
NAME_COLUMNS = ("label", "labels", "name", "class_name", "display_name", "class", "category")
NUMBER_KEYS = ("id", "index")  # of an object with a name
NESTED = ("id2label", "label2id", "labels", "label_names", "class_names", "classes", "names", "categories")
LIMIT_BYTES = 16 << 20
MAX_NAMED = 3  # of labels that are not unique


def read_labels(path: Path) -> list[str]:
    """Read the labels in the order of the model's outputs. Raises EdgeproofError for a file that holds none."""
    if path.is_dir():
        raise EdgeproofError(f"{path}: is a folder, and no file of labels: {FORMS}")
    data = read_bytes(path)
    try:
        if len(data) > LIMIT_BYTES:
            raise ValueError(f"{len(data)} bytes, more than labels have")
        labels = [label.strip() for label in _parsed(_decoded(data), path.suffix.lower())]
    except (ValueError, RecursionError, csv.Error) as error:
        raise EdgeproofError(f"{path}: cannot be read as labels: {error}: {FORMS}") from error
    if not labels:
        raise EdgeproofError(f"{path}: holds no labels, {FORMS}")
    for number, label in enumerate(labels):
        if any(map(is_control, label)):
            raise EdgeproofError(f"{path}: label {number} {label[:40]!r} holds control characters: remove them, {FORMS}")
    if "" in labels:
        raise EdgeproofError(f"{path}: label {labels.index('')} is empty, {FORMS}")
    return labels


def twice_text(labels: Sequence[str]) -> str:
    """Say which labels stand there more than once, or return "". Some real lists have such, as ImageNet's two cranes."""
    places: dict[str, list[str]] = {}
    for number, label in enumerate(labels):
        places.setdefault(label, []).append(str(number))
    found = [f"{label!r} is label {' and '.join(at)}" for label, at in places.items() if len(at) > 1]
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    return f"{', '.join(found[:MAX_NAMED])}{more}: answers do not tell them apart" if found else ""


def _decoded(data: bytes) -> str:
    """Decode UTF-8, with a byte order mark or without, and UTF-16 with one."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:  # often Latin-1, as some editors save a text with an umlaut
        name = encoding.replace("-sig", "").upper()
        raise ValueError(f"byte {error.start} is 0x{data[error.start]:02x}, which is no {name}: save it as UTF-8") from error


def _parsed(text: str, ending: str) -> list[str]:
    if LABEL_MAP.match(text):
        raise ValueError("it is a label map (.pbtxt): give the names in it, in the order of their ids, one a line")
    if ending in (".yaml", ".yml") or YAML_NAMES.match(text):
        raise ValueError("it is YAML: give the names in it, in their order, one a line")
    if ending == ".json" or text.lstrip()[:1] in ("{", "["):
        try:
            return _of_json(parse_json(text))
        except ValueError:
            if ending == ".json":
                raise
    if ending in (".csv", ".tsv"):
        return _of_table([row for row in csv.reader(io.StringIO(text), _dialect(text, ending)) if any(map(str.strip, row))])
    lines = text.rstrip().splitlines()
    if (empty := next((number for number, line in enumerate(lines, 1) if not line.strip()), None)) is not None:
        raise ValueError(f"line {empty} is empty, which would move the labels after it: write a name there, or remove it")
    return labels_of_lines(text)


def labels_of_lines(text: str) -> list[str]:
    """Read one label a line; where the lines are numbered without a gap, by number and without it.

    Numbers before the labels count from 0 or 1, those behind them from 0.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    before = [(int(match[1]), match[2]) for match in map(NUMBERED.fullmatch, lines) if match]
    behind = [(int(match[2]), match[1]) for match in map(NUMBERED_BEHIND.fullmatch, lines) if match]
    for pairs in (before, behind if 0 in dict(behind) else []):
        in_order = _in_order(pairs) if len(pairs) == len(lines) else None
        if in_order is not None and len(set(in_order)) == len(in_order):
            return in_order
    return lines  # also "1 star", "2 stars", "3 stars" and "Class 1", "Class 2": here the number is part of the label


def _in_order(pairs: Sequence[tuple[int, str]]) -> Optional[list[str]]:
    """Return names by their numbers, or None where these are not 0, 1, 2, ... or 1, 2, 3, ..."""
    numbers = sorted(number for number, _ in pairs)
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1:
        return None
    return [name for _, name in sorted(pairs)]


def _dialect(text: str, ending: str) -> type[csv.Dialect]:
    first = text.split("\n", 1)[0]
    return type("Separated", (csv.excel,), {"delimiter": "\t" if ending == ".tsv" else ";" if ";" in first else ","})


def _of_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Read the column of names, in the order of the column of numbers where there is one."""
    rows = [[cell.strip() for cell in row] for row in rows]
    if not rows or len({len(row) for row in rows}) > 1:
        raise ValueError("its lines have different numbers of columns" if rows else "it is empty")
    head = [cell.lower() for cell in rows[0]]
    body = rows[1:] if set(head) & {*NAME_COLUMNS, "id", "index", "mid"} or _heads_numbers(rows) else rows
    columns = [[row[place] for row in body] for place in range(len(head))]
    numbered = next((place for place, column in enumerate(columns) if _numbers(column) is not None), None)
    words = [place for place, column in enumerate(columns) if not all(map(str.isdigit, column))]
    names = words or [place for place in range(len(head)) if place != numbered]
    if not body or not names:
        return columns[0] if len(head) == 1 else []
    named = (head.index(name) for name in NAME_COLUMNS if body is not rows and name in head)
    wanted = next((place for place in named if place in names), names[-1])
    numbers = None if numbered is None else _numbers(columns[numbered])
    if numbers is None:
        return columns[wanted]
    return [name for _, name in sorted(zip(numbers, columns[wanted]))]


def _heads_numbers(rows: Sequence[Sequence[str]]) -> bool:
    """Say whether the first line alone has a word in a column of numbers."""
    body = [[row[place] for row in rows[1:]] for place in range(len(rows[0]))]
    return any(_numbers(column) is not None and not head.isdigit() for head, column in zip(rows[0], body))


def _numbers(column: Sequence[str]) -> Optional[list[int]]:
    if not column or not all(cell.isascii() and cell.isdigit() for cell in column):
        return None
    numbers = [int(cell) for cell in column]
    return numbers if _in_order([(number, "") for number in numbers]) is not None else None


def _of_json(document: Any) -> list[str]:
    if isinstance(document, Mapping):
        return _of_map(document)
    if not isinstance(document, list):
        raise ValueError(f"found {type(document).__name__}")
    names = [_name(entry) for entry in document]
    numbers = [_number(entry) for entry in document]
    pairs = [(number, name) for number, name in zip(numbers, names) if number is not None]
    return names if not names or len(pairs) < len(names) else _ordered(pairs)


def _number(entry: Any) -> Optional[int]:
    """Return the number of the class that an object holds, as COCO's categories do: {"id": 1, "name": "cat"}."""
    number = next((entry[key] for key in NUMBER_KEYS if key in entry), None) if isinstance(entry, Mapping) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _of_map(document: Mapping[str, Any]) -> list[str]:
    nested = next((document[name] for name in NESTED if isinstance(document.get(name), (list, dict))), None)
    if nested is not None:
        return _of_json(nested)
    if document and all(key.isascii() and key.isdigit() for key in document):
        pairs = [(int(key), _name(value)) for key, value in document.items()]
    elif document and all(isinstance(value, int) and not isinstance(value, bool) for value in document.values()):
        pairs = [(value, key) for key, value in document.items()]
    else:
        raise ValueError(f"its keys are {', '.join(list(document)[:5]) or 'none'}")
    return _ordered(pairs)


def _ordered(pairs: Sequence[tuple[int, str]]) -> list[str]:
    """Return names by their numbers. Raises ValueError for numbers with gaps: no output would be known to be theirs."""
    in_order = _in_order(pairs)
    if in_order is None:
        listed = ", ".join(str(number) for number in sorted(number for number, _ in pairs)[:5])
        raise ValueError(f"its numbers {listed}, ... are not 0 to {len(pairs) - 1}")
    return in_order


def _name(entry: Any) -> str:
    """Return the name in an entry: a text, a number, the last of a list (as ImageNet's), or an object's name."""
    if isinstance(entry, list) and entry:
        return _name(entry[-1])
    if isinstance(entry, Mapping):
        entry = next((entry[name] for name in NAME_COLUMNS if name in entry), None)
    if not isinstance(entry, (str, int, float)) or isinstance(entry, bool):
        raise ValueError(f"found {entry!r:.40} in place of a label")
    return str(entry)
