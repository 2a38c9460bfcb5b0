"""The changes that can be made to a source file: each changes one place, and the program still compiles."""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BORDERS: dict[type[ast.cmpop], ast.cmpop] = {ast.Lt: ast.LtE(), ast.LtE: ast.Lt(), ast.Gt: ast.GtE(), ast.GtE: ast.Gt()}
OPPOSITES: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Lt: ast.GtE(),
    ast.LtE: ast.Gt(),
    ast.Gt: ast.LtE(),
    ast.GtE: ast.Lt(),
    ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(),
    ast.Is: ast.IsNot(),
    ast.IsNot: ast.Is(),
    ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
}
ARITHMETIC: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.Div(),
    ast.Div: ast.Mult(),
    ast.FloorDiv: ast.Mult(),
    ast.Mod: ast.Mult(),
    ast.Pow: ast.Mult(),
    ast.BitOr: ast.BitAnd(),
    ast.BitAnd: ast.BitOr(),
    ast.BitXor: ast.BitAnd(),
    ast.LShift: ast.RShift(),
    ast.RShift: ast.LShift(),
}
_CALLS = (("min", "max"), ("any", "all"), ("floor", "ceil"), ("minimum", "maximum"), ("argmin", "argmax"), ("left", "right"))
CALLS = {one: other for pair in _CALLS for one, other in (pair, pair[::-1])}
WHOLE = (ast.Constant, ast.Name, ast.Call, ast.Attribute)  # needs no brackets wherever it stands


@dataclass(frozen=True)
class Mutation:
    """The bytes from `start` to before `stop` of a file become `text`."""

    path: Path  # from the checkout's top
    line: int
    start: int
    stop: int
    text: str

    def applied(self, source: bytes) -> bytes:
        """Return the file's bytes with the change."""
        return source[: self.start] + self.text.encode() + source[self.stop :]

    def diff(self, source: bytes) -> str:
        """Return the lines that change, old and new."""
        before, after = source.decode().splitlines(), self.applied(source).decode().splitlines()
        lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[3:]
        return "\n".join([f"{self.path}:{self.line}", *lines])


def mutations_of(path: Path, source: bytes) -> list[Mutation]:
    """Return every change that can be made to a file, in the order of its lines, each once."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: dict[Mutation, None] = {}
    for node, text in _changes(ast.parse(source)):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        stop = starts[node.end_lineno - 1] + node.end_col_offset
        found[Mutation(path, node.lineno, start, stop, text)] = None
    return sorted(found, key=lambda mutation: (mutation.start, mutation.stop, mutation.text))


Place = ast.expr | ast.stmt
Change = tuple[Place, str]  # what stands there instead


def _changes(node: ast.AST) -> Iterator[Change]:
    """Visit the code that computes: no annotations, decorators or texts."""
    if isinstance(node, ast.expr):
        yield from _of_expression(node)
    elif isinstance(node, ast.stmt):
        yield from _of_statement(node)
    elif isinstance(node, ast.comprehension):
        yield from ((test, _not(test)) for test in node.ifs if not _is_covered(test))
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            # Python 3.11 does not know where the parts of an f-string stand
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield from _changes(child)


def _written(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, WHOLE) else f"({ast.unparse(node)})"


def _not(node: ast.expr) -> str:
    return _written(ast.UnaryOp(ast.Not(), node))


def _of_expression(node: ast.expr) -> Iterator[Change]:
    match node:
        case ast.Compare():
            yield from _of_comparison(node)
        case ast.BinOp(left, op, right) if other_op := ARITHMETIC.get(type(op)):
            yield node, _written(ast.BinOp(left, other_op, right))
        case ast.BoolOp(op, values):
            yield node, _written(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
        case ast.UnaryOp(_, operand) if not isinstance(operand, ast.Constant):
            yield node, _written(operand)
        case ast.Constant(value):
            yield from ((node, f"({other})") for other in _other_values(value))
        case ast.IfExp(test, body, orelse):
            yield node, _written(ast.IfExp(test, orelse, body))
        case ast.Name(name) if name in CALLS:
            yield node, CALLS[name]
        case ast.Attribute(value, name) if name in CALLS:
            yield node, _written(ast.Attribute(value, CALLS[name]))
        case ast.Subscript(_, ast.Slice(lower, upper)):
            bounds = [bound for bound in (lower, upper) if bound and not isinstance(bound, ast.Constant)]
            yield from ((bound, _written(ast.BinOp(bound, ast.Add(), ast.Constant(1)))) for bound in bounds)


def _of_comparison(node: ast.Compare) -> Iterator[Change]:
    for place, op in enumerate(node.ops):
        for table in (BORDERS, OPPOSITES):
            if other := table.get(type(op)):
                ops = [*node.ops[:place], other, *node.ops[place + 1 :]]
                yield node, _written(ast.Compare(node.left, ops, node.comparators))


def _other_values(value: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [2 * value, value / 2] if value else [1.0]
    return []


def _is_covered(test: ast.expr) -> bool:
    """Say whether a change of a condition itself is its opposite."""
    return isinstance(test, ast.UnaryOp) or (isinstance(test, ast.Compare) and len(test.ops) == 1)


def _of_statement(node: ast.stmt) -> Iterator[Change]:
    match node:
        case ast.If(test) | ast.While(test) if not _is_covered(test):
            yield test, _not(test)
        case ast.Return(ast.expr() as value) if not isinstance(value, ast.Constant | ast.Compare | ast.BoolOp):
            yield value, "None"
        case ast.AugAssign(target, op, value) if other := ARITHMETIC.get(type(op)):
            yield node, ast.unparse(ast.AugAssign(target, other, value))
        case ast.Expr(ast.Call()) | ast.Raise():
            yield node, "pass"
        case ast.Break():
            yield node, "continue"
        case ast.Continue():
            yield node, "break"
