"""What is drawn at random is the same in every run: a test that fails one time in a hundred stops somebody else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.packages import MODULES

GENERATORS = ("default_rng", "Random", "RandomState", "SeedSequence")


def without_a_seed(path: Path) -> Iterator[str]:
    """Yield where a file makes a generator of random numbers without saying its seed."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and not node.args and not node.keywords:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in GENERATORS:
                yield f"{path}:{node.lineno}"


def test_every_generator_of_random_numbers_has_a_seed() -> None:
    files = sorted({*MODULES, *(ROOT / "tests").rglob("*.py")})
    assert [place for path in files for place in without_a_seed(path)] == []


@pytest.mark.parametrize("line", ["np.random.default_rng()", "Random()", "random.Random()"])
def test_one_without_a_seed_is_found(line: str, tmp_path: Path) -> None:
    path = tmp_path / "noise.py"
    path.write_text(f"noise = 1\nnoise = {line}.random()\n")
    assert list(without_a_seed(path)) == [f"{path}:2"]
