"""Every command works in any working directory: its files are there, and a user's own modules are not imported."""

import shutil
from pathlib import Path

import pytest

from common.paths import BUDGETS, DEVICES
from common.project import baseline_path, budgets_path, device_files
from device.errors import EdgeproofError
from tests.conftest import ROOT, Finished, run
from tests.support.models.model_files import own_bytes
from tests.support.packages import PACKAGES

LAUNCHER = ROOT / "edgeproof.py"
READY = ROOT / "data" / "ready" / "mnist_cnn_crop.int8.tflite"
COPY, BARE = "copy.tflite", "bare.tflite"  # in the user's folder, as it is and without its card
PICTURE = ROOT / "data" / "ready" / "pictures" / "7" / "red_pen.jpg"
SHADOWS = (*PACKAGES, "random", "json", "numpy", "multiprocessing", "click")  # a user's own modules of these names


def edgeproof(*arguments: str | Path, cwd: Path) -> Finished:
    """Run the command `edgeproof` as its console script does: without the checkout in PYTHONPATH."""
    return run(["-P", LAUNCHER, *arguments], cwd, PYTHONPATH="")


@pytest.fixture
def users_folder(tmp_path: Path) -> Path:
    """Return a working directory whose modules raise when they are imported, as packages and as files."""
    for number, name in enumerate(SHADOWS):
        if number % 2:
            (tmp_path / f"{name}.py").write_text("raise SystemExit('the user\\'s own module was imported')\n")
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("raise SystemExit('the user\\'s own package was imported')\n")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", READY, PICTURE),
        ("convert", "show", READY),
        ("convert", "inspect", BARE),  # in a child process
        ("convert", "check", READY, "--target", "pi4_bookworm"),
        ("convert", "bundle", COPY, "--one-file", "--target", "pi4_bookworm"),
        ("train", "list"),
        ("bench", "doctor", "--json"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:2])),
)
def test_a_users_own_modules_shadow_nothing(users_folder: Path, arguments: tuple[str | Path, ...]) -> None:
    shutil.copyfile(READY, users_folder / COPY)
    (users_folder / BARE).write_bytes(own_bytes(READY))
    done = edgeproof(*arguments, cwd=users_folder)
    assert "the user's own" not in done.stderr
    assert done.code == 0 or arguments[:2] == ("bench", "doctor"), done.stderr  # which ends with 1 for what is to be mended
    assert done.stdout


@pytest.mark.slow
def test_measuring_in_a_users_folder_writes_there_and_shadows_nothing(users_folder: Path) -> None:
    done = edgeproof("bench", "run", READY, "--runtime", "litert", "--seconds", "0.1", cwd=users_folder)
    assert done.code == 0, done.stderr
    written = {path.name for path in (users_folder / "build").iterdir()}
    assert written >= {"bench.json", "bench.npz", "report.html", "report.md"}


def test_the_built_in_budgets_and_devices_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert budgets_path(None) == BUDGETS
    assert device_files() == {path.stem: path for path in sorted(DEVICES.glob("*.toml"))}
    with pytest.raises(EdgeproofError, match=r"--baseline DIR, or baseline = \"DIR\" in edgeproof.toml"):
        baseline_path(None)


def test_a_project_file_names_its_own_and_an_option_beats_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("edgeproof.toml").write_text('budgets = "limits.toml"\nbaseline = "kept"\ndevices = "boards"\n')
    Path("limits.toml").touch()
    for name in ("kept", "boards"):
        Path(name).mkdir()
    for name in ("pi4.toml", "camera.toml"):
        Path("boards", name).touch()
    assert budgets_path(None) == Path("limits.toml")
    assert baseline_path(None) == Path("kept")
    assert budgets_path(Path("other.toml")) == Path("other.toml")
    assert baseline_path(Path("other")) == Path("other")
    devices = device_files()
    assert devices["pi4"] == Path("boards/pi4.toml")
    assert devices["camera"] == Path("boards/camera.toml")
    assert devices["pi5"] == DEVICES / "pi5.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('budget = "limits.toml"', "edgeproof.toml: unknown key 'budget': there are budgets, baseline, devices"),
        ("budgets = 1", "edgeproof.toml: key 'budgets': found 1, expected a string"),
        ('budgets = "nowhere.toml"', "edgeproof.toml: key 'budgets': nowhere.toml does not exist"),
        ("budgets", "edgeproof.toml: is no readable TOML"),
    ],
)
def test_a_faulty_project_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "edgeproof.toml").write_text(text)
    done = edgeproof("bench", "check", ROOT / "data" / "baseline" / "bench.json", cwd=tmp_path)
    assert done.code == 2
    assert done.error_line.startswith(f"bench: {said}")


def test_built_in_budgets_say_how_to_write_ones_own(tmp_path: Path) -> None:
    done = edgeproof("bench", "check", ROOT / "data" / "baseline" / "bench.json", cwd=tmp_path)
    assert done.code == 2
    assert "mobilenet_v2" in done.error_line
    assert done.error_line.endswith(
        "which is of mnist_cnn, mnist_cnn_crop: these are the built-in budgets of edgeproof's own models: "
        "write your own with `edgeproof init`"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a command: train, convert, bench, classify, init"),
        (("bake",), "there is no command 'bake': there are train, convert, bench, classify, init"),
    ],
)
def test_a_wrong_command_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = edgeproof(*arguments, cwd=tmp_path)
    assert (done.code, done.stderr) == (2, f"edgeproof: {said}\n")


def test_an_unsupported_python_is_one_line(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, {0!r}); sys.version_info = ({1}, {2}, 0); sys.argv = ['edgeproof', 'bench', 'run']; "
        "from edgeproof import main; main()"
    )
    for version in ((3, 10), (3, 14)):
        done = run(["-c", code.format(str(ROOT), *version)], tmp_path)
        said = f"edgeproof: needs Python 3.11 to 3.13, this is {version[0]}.{version[1]}: install it in one of those\n"
        assert (done.code, done.stderr) == (2, said)


@pytest.mark.parametrize("part", ["train", "convert", "bench"])
def test_help_names_the_command_that_was_typed(tmp_path: Path, part: str) -> None:
    assert edgeproof(part, "--help", cwd=tmp_path).stdout.startswith(f"Usage: edgeproof {part} ")
