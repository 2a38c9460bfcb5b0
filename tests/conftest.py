"""Fixtures: the project's commands, and a tiny model that was trained and converted by them once a session."""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from bench.runtimes import can_be_installed
from common.native_lines import ask_for_silence
from convert.variants import VARIANTS
from train.data.dataset import Dataset
from train.data.mnist import load_mnist

ROOT = Path(__file__).resolve().parent.parent
TRAINING_A_CLASS, OTHER_A_CLASS = 60, 8
CONVERTED = tuple(variant for variant in VARIANTS if not variant.by_doctor)  # what `tiny` holds

# The TFLite runtimes that there are for this Python, and what needs the one that some Pythons have none of
TFLITE = tuple(name for name in ("litert", "tflite_runtime") if can_be_installed(name))
needs_tflite_runtime = pytest.mark.skipif("tflite_runtime" not in TFLITE, reason="tflite-runtime is not for this Python")

ask_for_silence()  # of what tests import themselves, and of the programs that they start without a command line
# A shell starts what runs in its background with SIGINT ignored, which every command that a test starts would inherit
signal.signal(signal.SIGINT, signal.default_int_handler)
# Under `make test` a make that a test starts would believe that it was called by that one, and print its folder
for inherited in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS"):
    os.environ.pop(inherited, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests: a long file that begins last leaves the other processes without work."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def error_line(self) -> str:
        """Return the last line on standard error: libraries may have written lines before it."""
        assert "Traceback" not in self.stderr, self.stderr
        return self.stderr.strip().splitlines()[-1]


def run(arguments: Sequence[str | Path], cwd: Path, python: str = sys.executable, **environment: str) -> Finished:
    """Run Python with arguments in a folder, with the project importable, as a user does from the checkout."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [python, *map(str, arguments)]
    result = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=600, check=False)
    return Finished(result.returncode, result.stdout, result.stderr)


def run_module(module: str, *arguments: str | Path, cwd: Path) -> Finished:
    """Run `python -m MODULE ARGUMENTS`."""
    return run(["-m", module, *arguments], cwd)


def classify(*arguments: str | Path, cwd: Path) -> Finished:
    """Run device/classify.py."""
    return run([ROOT / "device" / "classify.py", *arguments], cwd)


@pytest.fixture(scope="module", autouse=True)
def _same_networks_in_a_module() -> None:
    """Let the networks that a module's fixtures build start from the same weights in every run: Keras seeds by `random`."""
    random.seed(0)


@pytest.fixture(autouse=True)
def _same_networks_in_a_test(_same_networks_in_a_module: None) -> None:
    """Do so for each test, whatever ran before it."""
    random.seed(0)


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    return load_mnist()


def write_class_folders(folder: Path, dataset: Dataset, part: str, a_class: int) -> None:
    """Write the first pictures of each class of a split as PNG files in class folders."""
    split = getattr(dataset, part)
    left = dict.fromkeys(dataset.labels, a_class)
    for index in range(len(split)):
        label = dataset.labels[split.labels[index]]
        if left[label]:
            left[label] -= 1
            path = folder / label / f"{index:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            split.open(index).save(path)


@pytest.fixture(scope="session")
def digit_folder(mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of some hundred MNIST digits as class folders, in train, val and test."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    for part, a_class in (("train", TRAINING_A_CLASS), ("val", OTHER_A_CLASS), ("test", OTHER_A_CLASS)):
        write_class_folders(folder / part, mnist, part, a_class)
    return folder


@dataclass(frozen=True)
class Tiny:
    """A small trained and converted model: its accuracy is low, but all its files are there."""

    workspace: Path  # holds build/
    folder: Path  # build/mnist_cnn@tiny
    data: Path

    def artifact(self, key: str) -> Path:
        """Return the path of an artifact, given its key, such as "int8.tflite"."""
        return self.folder / f"mnist_cnn.{key}"


def make_tiny(shared: Path) -> None:
    """Train and convert in a folder, with the commands, as a user does; the pictures are in it."""
    options = ["--data", str(shared / "digits"), "--recipe", "tutorial", "--name", "tiny"]
    workspace = shared / "workspace"
    workspace.mkdir(exist_ok=True)
    trained = run_module("train", "run", "mnist_cnn", *options, cwd=workspace)
    assert trained.code == 0, trained.stderr
    every = ",".join(variant.key for variant in CONVERTED)
    converted = run_module("convert", "run", "mnist_cnn@tiny", "--variants", every, cwd=workspace)
    assert converted.code == 0, converted.stderr


@pytest.fixture(scope="session")
def tiny(digit_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return a copy that tests may write into: one worker of pytest-xdist makes it, the others wait and copy it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "made").exists():
            shutil.copytree(digit_folder, shared / "digits", dirs_exist_ok=True)
            make_tiny(shared)
            (shared / "made").touch()
    workspace = tmp_path_factory.mktemp("tiny") / "workspace"
    shutil.copytree(shared / "workspace", workspace)
    return Tiny(workspace, workspace / "build" / "mnist_cnn@tiny", shared / "digits")


@pytest.fixture(scope="session")
def digit_png(tmp_path_factory: pytest.TempPathFactory, mnist: Dataset) -> Path:
    """Return a picture of the first test digit, a 7."""
    path = tmp_path_factory.mktemp("pictures") / "seven.png"
    picture: Image.Image = mnist.test.open(0)
    picture.save(path)
    return path
