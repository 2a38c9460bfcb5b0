"""The house itself: who imports whom, what start-up costs, what the documents promise."""

import ast
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, run, run_room

ROOMS = ("bench", "convert", "train", "device")  # each may import only those to its right
HEAVY = ("tensorflow", "keras", "onnx", "onnxruntime", "ai_edge_litert", "tflite_runtime", "tf2onnx", "matplotlib", "scipy")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


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
def test_a_room_imports_only_rooms_to_its_right(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    allowed = set(ROOMS[ROOMS.index(room) :])
    assert imports(path, top_level_only=False) & set(ROOMS) <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_a_heavy_library_at_its_top(path: Path) -> None:
    assert not imports(path, top_level_only=True) & set(HEAVY)


def test_the_device_file_imports_the_standard_library_numpy_and_pillow_alone() -> None:
    allowed = {"numpy", "PIL", *sys.stdlib_module_names}
    assert imports(ROOT / "device" / "classify.py", top_level_only=True) <= allowed


@pytest.mark.parametrize("room", ["train", "convert", "bench"])
def test_help_loads_click_but_no_heavy_library(room: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{room}', '--help']\n"
        "try: runpy.run_module(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        f"print('LOADED', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    result = run(["-c", code], ROOT)
    assert "LOADED []" in result.stdout, result.stdout + result.stderr


COMMANDS = {
    "train": ["run", "sweep", "list"],
    "convert": ["run", "show", "check", "bundle", "doctor"],
    "bench": [
        "run",
        "report",
        "recommend",
        "compare",
        "doctor",
        "emulate",
        "rehearse",
        "count",
        "check",
        "gate",
        "baseline save",
    ],
}


@pytest.mark.parametrize(("room", "command"), [(room, command) for room, names in COMMANDS.items() for command in names])
def test_every_command_has_help_and_stands_in_the_readme(room: str, command: str) -> None:
    result = run_room(room, *command.split(), "--help", cwd=ROOT)
    assert result.code == 0
    assert "Usage" in result.stdout
    assert f"python -m {room} {command}" in (ROOT / "README.md").read_text()


def test_wrong_usage_is_code_2(tmp_path: Path) -> None:
    for room in ("train", "convert", "bench"):
        assert run_room(room, "run", "--no-such-option", cwd=tmp_path).code == 2


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["resnet"], "unknown model 'resnet'"),
        (["mnist_cnn", "--recipe", "grandmothers"], "unknown recipe"),
        (["mnist_cnn", "--data", "nowhere"], "no such folder"),
        (["mnist_cnn", "--name", "../../etc"], "--name"),
    ],
)
def test_a_training_request_that_cannot_be_met_is_one_line_and_leaves_nothing(
    tmp_path: Path, arguments: list[str], found: str
) -> None:
    result = run_room("train", "run", *arguments, cwd=tmp_path)
    assert result.code == 2
    assert found in result.error_line
    assert list(tmp_path.iterdir()) == []


def test_training_leaves_all_its_files(tiny: "object") -> None:
    from tests.conftest import Tiny

    assert isinstance(tiny, Tiny)
    names = {path.name for path in tiny.folder.iterdir()}
    expected = ("mnist_cnn.keras", "mnist_cnn.card.json", "history.json", "history.png", "layers.png", "summary.txt")
    assert set(expected) <= names


def test_no_file_names_a_package_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "http" not in lock
    assert "--hash=sha256:" in lock
