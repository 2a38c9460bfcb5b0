"""The wheel: built from this checkout, installed into an empty environment, and used there without TensorFlow."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from common.version import VERSION
from tests.conftest import ROOT, Finished, run
from tests.support.environments import install
from tests.support.packages import PACKAGES

pytestmark = pytest.mark.slow

MAX_MB = 600
PARTS = ("train", "convert", "bench")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = install(folder / "tools", ["build", "twine"])
    command: list[str | Path] = [build, "-m", "build", "--wheel", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    (found,) = folder.glob("*.whl")
    checked = subprocess.run([build, "-m", "twine", "check", "--strict", found], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the wheel and what it requires."""
    return install(tmp_path_factory.mktemp("installed"), [str(wheel)])


def edgeproof(python: Path, *arguments: str | Path, cwd: Path) -> Finished:
    return run([python.with_name("edgeproof"), *arguments], cwd, str(python), PYTHONPATH="")


def test_it_holds_what_the_program_needs_and_no_package_of_a_common_name(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "edgeproof.py",
        "edgeproof_files",
        f"edgeproof-{VERSION}.dist-info",
    }
    for folder in (*PACKAGES, "data"):
        tracked = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert {f"edgeproof_files/{name}" for name in tracked.splitlines()} <= set(names)


def test_it_declares_no_licence(wheel: Path) -> None:
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "License" not in text.partition("\n\n")[0]


def test_an_installed_program_works_in_a_users_folder_and_writes_only_there(python: Path, tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the user\\'s own package was imported')\n")
    before = contents(python)
    model = Path("ready/mnist_cnn_crop.int8.tflite")
    for arguments, code in (
        (["--version"], 0),
        (["init", "--example"], 0),
        (["classify", model, "ready/pictures/7/red_pen.jpg"], 0),
        (["convert", "show", model], 0),
        (["convert", "check", model, "--target", "pi4_bookworm"], 0),
        (["bench", "run", model, "--seconds", "0.1"], 0),
        (["bench", "report"], 0),
        (["init"], 0),
        (["bench", "check"], 0),
        (["bench", "gate", model], 0),
    ):
        done = edgeproof(python, *arguments, cwd=tmp_path)
        assert done.code == code, (arguments, done.stdout, done.stderr)
    assert contents(python) == before


def contents(python: Path) -> dict[str, str]:
    """Return the hash of each file of the installed program, without the byte code."""
    (folder,) = python.parent.parent.glob("lib/python3*/site-packages/edgeproof_files")
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_needs_an_extra_says_the_command_that_adds_it(python: Path, tmp_path: Path) -> None:
    done = edgeproof(python, "train", "run", "mnist_cnn", cwd=tmp_path)
    assert done.code == 2
    assert f"it is in the extra 'train'; add it with: {python} -m pip install keras==3.15.1 " in done.error_line
    assert "tensorflow" in done.error_line


def test_it_takes_at_most_600_mb(python: Path) -> None:
    files = [path for path in python.parent.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) <= MAX_MB * 1_000_000


def test_help_of_each_part_names_the_installed_command(python: Path, tmp_path: Path) -> None:
    for part in PARTS:
        assert edgeproof(python, part, "--help", cwd=tmp_path).stdout.startswith(f"Usage: edgeproof {part} ")
    assert edgeproof(python, "--version", cwd=tmp_path).stdout == f"edgeproof {VERSION}\n"
