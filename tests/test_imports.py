"""What the packages import, and what start-up costs."""

import ast
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, run
from tests.support.packages import MODULES

HEAVY = ("tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert", "tflite_runtime", "tf2onnx", "matplotlib", "scipy")


def imports(path: Path, top_level_only: bool) -> set[str]:
    """Return the names of the packages that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_a_heavy_library_at_its_top(path: Path) -> None:
    assert not imports(path, top_level_only=True) & set(HEAVY)


@pytest.mark.parametrize("path", sorted((ROOT / "device").rglob("*.py")), ids=lambda path: path.name)
def test_what_runs_on_a_device_imports_the_standard_library_numpy_and_pillow_alone(path: Path) -> None:
    allowed = {"numpy", "PIL", "device", *sys.stdlib_module_names}
    assert imports(path, top_level_only=True) <= allowed


@pytest.mark.parametrize("package", ["train", "convert", "bench"])
def test_help_loads_click_but_no_heavy_library(package: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{package}', '--help']\n"
        "try: runpy.run_module(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"print('LOADED', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    result = run(["-c", code], ROOT)
    assert "LOADED []" in result.stdout, result.stdout + result.stderr
