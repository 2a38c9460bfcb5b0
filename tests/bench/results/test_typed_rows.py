"""A row is a typed value everywhere from reading to the report: no code uses it as a dict."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from bench.results.row import ResultRow, Skipped
from common.json_record import Record
from common.paths import PROGRAM

ROW_NAMES = frozenset({"row", "rows", "baseline_row", "skipped"})
UNTYPED = ("Any", "dict", "Mapping", "object")


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of bench/ with its name."""
    for path in sorted((PROGRAM / "bench").rglob("*.py")):
        yield path.relative_to(PROGRAM).as_posix(), ast.parse(path.read_text())


def taken(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the name and the annotation of each parameter and field that holds a row or rows."""
    for node in ast.walk(module):
        if isinstance(node, ast.arg) and node.arg in ROW_NAMES and node.annotation is not None:
            yield node.arg, ast.unparse(node.annotation)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in ROW_NAMES:
            yield node.target.id, ast.unparse(node.annotation)


def indexed(module: ast.Module) -> Iterator[str]:
    """Yield each expression that reads a field of a row by a string, with brackets or with get."""
    for node in ast.walk(module):
        if isinstance(node, ast.Subscript) and _is_text(node.slice) and _last_name(node.value) in ROW_NAMES:
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            looked_for = node.args[0] if node.args else node.func
            if _is_text(looked_for) and _last_name(node.func.value) in ROW_NAMES:
                yield ast.unparse(node)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _last_name(node: ast.expr) -> str:
    """Return "row" of `row`, `pair.row` and `results.row[0]`."""
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def kinds(hint: Any) -> Iterator[Any]:
    """Yield all types inside a type, down to the simple ones."""
    if get_origin(hint) is Annotated:
        yield from kinds(get_args(hint)[0])
    elif get_args(hint):
        for part in get_args(hint):
            yield from kinds(part)
    elif isinstance(hint, type) and issubclass(hint, Record):
        hints = get_type_hints(hint, include_extras=True)
        for field in fields(hint):
            if field.name not in {"more", "loadgen", "health"}:  # what others told, kept as they told it
                yield from kinds(hints[field.name])
    else:
        yield hint


def test_no_module_looks_into_a_row_by_a_string() -> None:
    assert [(name, found) for name, module in modules() for found in indexed(module)] == []


@pytest.mark.parametrize(
    "code",
    ["row['latency']", "pair.row['latency']['p50_ms']", "results.rows[0]['model']", "row.get('path')", "row[f'{x}_ms']"],
)
def test_such_a_look_is_found(code: str) -> None:
    assert list(indexed(ast.parse(code))) != []


def test_whatever_takes_a_row_says_what_it_is() -> None:
    found = [(module, name, kind) for module, tree in modules() for name, kind in taken(tree)]
    assert sum("ResultRow" in kind for _, _, kind in found) > 50
    assert [one for one in found if any(word in one[2] for word in UNTYPED)] == []


@pytest.mark.parametrize("kind", [ResultRow, Skipped])
def test_each_figure_of_a_row_has_its_type(kind: type[Record]) -> None:
    assert set(kinds(kind)) <= {str, int, float, bool, NoneType, ...}
