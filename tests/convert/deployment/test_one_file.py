"""The program as one file, with and without a model inside."""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from convert.deployment.one_file import NAME, STARTER, device_archive, write_one_file
from device.errors import CardError, ModelError
from tests.conftest import ROOT, Finished, run, run_module
from tests.support.models.model_files import bare_copy
from tests.support.models.onnx_models import TORCH, save_onnx

READY = ROOT / "data" / "ready" / "mnist_cnn.int8.tflite"
PICTURE = next((ROOT / "data" / "ready" / "pictures" / "4").glob("*.jpg"))
MODULE = "device/pictures/digit_frame.py"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / NAME
    path.write_bytes(device_archive())
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return an archive that holds the model."""
    shutil.copy(READY, tmp_path)
    return write_one_file(tmp_path / READY.name)


def alone(*words: str | Path, cwd: Path) -> Finished:
    """Run Python without the checkout on its path."""
    return run(words, cwd, PYTHONPATH="")


def answer(finished: Finished) -> str:
    assert finished.code == 0, finished.stderr
    return str(json.loads(finished.stdout)["top"][0]["label"])


def test_answers_as_the_folder_does(archive: Path, tmp_path: Path) -> None:
    folder = alone(ROOT / "device" / "classify.py", READY, PICTURE, "--json", cwd=tmp_path)
    one = alone(archive, READY, PICTURE, "--json", cwd=tmp_path)
    assert answer(one) == answer(folder) == "4"
    assert json.loads(one.stdout)["top"] == json.loads(folder.stdout)["top"]


def test_is_the_same_bytes_each_time(archive: Path) -> None:
    assert device_archive() == archive.read_bytes()


def test_holds_each_file_of_the_program_and_byte_code_beside_each_module(archive: Path) -> None:
    names = set(zipfile.ZipFile(archive).namelist())
    tracked = subprocess.run(["git", "ls-files", "device"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = set(tracked.split()) - {"device/README.md"}
    modules = {name for name in files if name.endswith(".py")}
    assert "device/serve/page.html" in files
    assert names == {"__main__.py", *files, *(f"{module}c" for module in modules)}


def test_with_a_model_inside_it_needs_pictures_alone(own: Path, tmp_path: Path) -> None:
    (tmp_path / READY.name).unlink()
    assert own.name == "mnist_cnn.int8.pyz"
    assert answer(alone(own.name, PICTURE, "--json", cwd=tmp_path)) == "4"
    assert alone(own.name, "--self-test", cwd=tmp_path).code == 0
    about = json.loads(alone(own.name, "--info", "--json", cwd=tmp_path).stdout)
    assert (about["model"], about["size_bytes"]) == ("mnist_cnn", READY.stat().st_size)


def test_the_model_inside_is_the_artifact_byte_for_byte(own: Path) -> None:
    assert zipfile.ZipFile(own).read(READY.name) == READY.read_bytes()


def test_the_command_writes_it_beside_the_artifact_without_a_target(tmp_path: Path) -> None:
    shutil.copy(READY, tmp_path)
    done = run_module("convert", "bundle", tmp_path / READY.name, "--one-file", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert (tmp_path / "mnist_cnn.int8.pyz").read_bytes() == device_archive(READY)
    assert {path.name for path in tmp_path.iterdir()} == {READY.name, "mnist_cnn.int8.pyz"}


def test_the_command_writes_it_where_it_is_told_to(tmp_path: Path) -> None:
    shutil.copy(READY, tmp_path)
    words = ("convert", "bundle", tmp_path / READY.name, "--one-file", "--output")
    done = run_module(*words, "mine.pyz", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {READY.name, "mine.pyz"}
    over = run_module(*words, READY.name, cwd=tmp_path)
    assert over.code == 2
    assert (tmp_path / READY.name).read_bytes() == READY.read_bytes()


def test_a_model_without_a_card_is_refused_with_the_command_that_adds_one(tmp_path: Path) -> None:
    bare = bare_copy(READY, tmp_path)
    with pytest.raises(CardError, match=rf"has no card, .*: `edgeproof convert card {bare}`"):
        write_one_file(bare)
    assert not bare.with_suffix(".pyz").exists()


def test_without_a_target_and_one_file_the_command_says_what_to_name(tmp_path: Path) -> None:
    done = run_module("convert", "bundle", READY, cwd=tmp_path)
    assert done.code == 2
    assert "--target" in done.error_line
    assert "--one-file" in done.error_line


def test_what_is_no_model_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"no model at all")
    with pytest.raises(ModelError, match="no TFLite model"):
        device_archive(tmp_path / "model.tflite")


class TestDamage:
    def test_a_flipped_byte_in_a_module_is_said_before_it_is_imported(self, archive: Path, tmp_path: Path) -> None:
        data = bytearray(archive.read_bytes())
        member = zipfile.ZipFile(archive).getinfo(MODULE)
        data[member.header_offset + 30 + len(MODULE) + member.compress_size // 2] ^= 0x10
        (tmp_path / "flipped.pyz").write_bytes(data)
        done = alone("flipped.pyz", READY, PICTURE, cwd=tmp_path)
        assert done.code == 2
        assert done.error_line.startswith("flipped.pyz: is damaged")
        assert done.error_line.endswith("copy it again")

    def test_one_that_lacks_its_model_says_so(self, own: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(own) as whole, zipfile.ZipFile(tmp_path / "less.pyz", "w") as less:
            for member in whole.infolist():
                if member.filename != READY.name:
                    less.writestr(member, whole.read(member))
        done = alone("less.pyz", PICTURE, cwd=tmp_path)
        assert done.code == 2
        assert done.error_line.endswith("copy it again")

    def test_one_that_was_cut_off_is_no_program(self, archive: Path, tmp_path: Path) -> None:
        (tmp_path / "cut.pyz").write_bytes(archive.read_bytes()[:40_000])
        done = alone("cut.pyz", READY, PICTURE, cwd=tmp_path)
        assert done.code == 1
        assert "this-file-is-damaged.copy-it-again" in done.error_line


@pytest.fixture(params=["2.7", "3.6", "3.8"])
def old_python(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return the version and the command of a Python that is too old."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [shutil.which(f"python{request.param}"), *map(str, pyenv.glob(f"{request.param}.*/bin/python"))]
    runs = [name for name in names if name and run(["-c", ""], Path.cwd(), python=name).code == 0]
    if not runs:  # what pyenv puts on PATH may be a shim of a version that is not chosen
        pytest.skip(f"this machine has no Python {request.param}")
    return request.param, runs[0]


@pytest.mark.parametrize("copy", ["folder", "archive", "starter"])
def test_in_a_python_that_is_too_old_each_copy_says_so(
    archive: Path, tmp_path: Path, old_python: tuple[str, str], copy: str
) -> None:
    version, python = old_python
    shutil.copy(archive, tmp_path)
    (tmp_path / "classify.py").write_text(STARTER)
    program = {"folder": ROOT / "device" / "classify.py", "archive": Path(NAME), "starter": Path("classify.py")}[copy]
    done = run([program, READY, PICTURE], tmp_path, python=python, PYTHONPATH="")
    assert done.code == 2
    name = "classify.py" if copy == "folder" else NAME
    assert done.stderr.splitlines()[-1].endswith(f"{name}: needs Python 3.9 or newer, this is {version}")


class TestStarter:
    def test_starts_the_archive_beside_it(self, archive: Path, tmp_path: Path) -> None:
        shutil.copy(archive, tmp_path)
        (tmp_path / "classify.py").write_text(STARTER)
        assert answer(alone(tmp_path / "classify.py", READY, PICTURE, "--json", cwd=tmp_path.parent)) == "4"

    def test_without_the_archive_says_what_to_copy(self, tmp_path: Path) -> None:
        (tmp_path / "classify.py").write_text(STARTER)
        done = alone("classify.py", READY, PICTURE, cwd=tmp_path)
        assert (done.code, done.error_line) == (2, "classify.py: classify.pyz is missing beside it: copy both")


def test_a_model_whose_weights_are_in_another_file_is_refused_and_not_packed_without_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"its weights are in paint\.onnx\.data, .*: save it with its weights inside"):
        device_archive(save_onnx(TORCH, tmp_path, external=True))
