"""The tests of a source file: the module at the same place under tests/, or those that import it where there is none."""

import ast
from pathlib import Path

OTHER_SUBJECTS = ("robustness", "support", "tools")  # of the folders under tests/: they mirror nothing


def tests_of(source: Path, checkout: Path) -> list[Path]:
    """Return the test modules of a source file; all paths start at the checkout's top."""
    mirrored = Path("tests") / source.parent / f"test_{source.stem}.py"
    if (checkout / mirrored).is_file():
        return [mirrored]
    name = ".".join(source.with_suffix("").parts)
    tests = [path.relative_to(checkout) for path in sorted((checkout / "tests").glob("*/**/test_*.py"))]
    return [test for test in tests if test.parts[1] not in OTHER_SUBJECTS and name in imported_by(checkout / test)]


def imported_by(path: Path) -> set[str]:
    """Return the full names of all modules, and of what is taken from them, that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names
