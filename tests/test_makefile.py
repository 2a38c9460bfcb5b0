"""The Makefile: its lists are found from the files, and a stage runs again only for a file that can change its result."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.runtimes import Accelerated, find_runtime, runtime_names
from device.runtimes import TFLITE_RUNTIMES
from tests.conftest import ROOT, run
from train.models import model_names

FOLDERS = ("bench", "common", "convert", "data/ready", "device", "train")
STAGES = {
    "train": re.compile(r"-m train run "),
    "convert": re.compile(r"-m convert run "),
    "bench": re.compile(r"-m bench run *$", re.MULTILINE),
    "pyz": re.compile(r"-m convert.deployment.one_file "),
}
OLD_S, BUILT_S, NEW_S = 1_000_000_000, 1_100_000_000, 1_200_000_000


def make(folder: Path, *targets: str) -> str:
    """Return what make would run."""
    result = subprocess.run(["make", "-n", *targets], cwd=folder, capture_output=True, text=True, check=True)
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources in which every stage has run."""
    folder = tmp_path_factory.mktemp("built")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    for path in folder.rglob("*"):
        os.utime(path, (OLD_S, OLD_S))
    trained = [f"build/{model}/{model}.keras" for model in model_names()]
    converted = [f"build/{model}/converted" for model in model_names()]
    outputs = [".venv/installed", *trained, *converted, "build/classify.pyz", "build/bench.json"]
    for place, name in enumerate(outputs):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        os.utime(folder / name, (BUILT_S + place, BUILT_S + place))
    return folder


def stages_after_touching(folder: Path, path: str) -> set[str]:
    """Return which stages would run if a file had changed since they did."""
    assert (folder / path).is_file()
    os.utime(folder / path, (NEW_S, NEW_S))
    try:
        planned = make(folder, "train", "convert", "bench")
    finally:
        os.utime(folder / path, (OLD_S, OLD_S))
    return {stage for stage, command in STAGES.items() if command.search(planned)}


def test_nothing_runs_where_nothing_changed(built: Path) -> None:
    assert stages_after_touching(built, "data/ready/README.md") == set()


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("common/cli.py", set()),
        ("common/progress.py", set()),
        ("train/plots.py", set()),
        ("train/sweep.py", set()),
        ("convert/commands/run.py", set()),
        ("convert/show.py", set()),
        ("convert/doctor/text.py", set()),
        ("convert/deployment/bundle.py", set()),
        ("convert/importing/import_model.py", set()),
        ("bench/remote/ssh.py", set()),
        ("bench/remote/emulation/qemu.py", set()),
        ("bench/report/html.py", set()),
        ("bench/analysis/wording.py", set()),
        ("bench/budgets/check.py", set()),
        ("bench/measure/doctor.py", set()),
        ("device/commands.py", {"pyz"}),
        ("device/serve/service.py", {"pyz"}),
        ("device/serve/page.js", {"pyz"}),
        ("device/pictures/steps.py", {"train", "convert", "bench", "pyz"}),
        ("train/fitting/fit.py", {"train", "convert", "bench"}),
        ("train/examples.py", {"train", "convert", "bench"}),
        ("train/models/mnist_cnn.py", {"train", "convert", "bench"}),
        ("convert/formats/to_tflite.py", {"convert", "bench"}),
        ("convert/variants.py", {"convert", "bench"}),
        ("bench/measure/worker.py", {"bench"}),
        ("bench/stats/intervals.py", {"bench"}),
        ("device/timing.py", {"bench", "pyz"}),
    ],
)
def test_a_stage_runs_again_only_for_what_changes_its_result(built: Path, path: str, stages: set[str]) -> None:
    assert stages_after_touching(built, path) == stages


@pytest.mark.parametrize(
    ("touched", "trained"),
    [("mobilenet_v2", ["mobilenet_v2"]), ("mnist_cnn", ["mnist_cnn", "mnist_cnn_crop", "mobilenet_v2"])],
)
def test_a_models_file_retrains_that_model_and_those_that_take_from_it(
    built: Path, touched: str, trained: list[str]
) -> None:
    path = built / "train" / "models" / f"{touched}.py"
    os.utime(path, (NEW_S, NEW_S))
    planned = make(built, "train")
    os.utime(path, (OLD_S, OLD_S))
    assert sorted(re.findall(r"-m train run (\w+)", planned)) == trained


def test_the_gpu_runtimes_are_those_on_an_accelerator() -> None:
    named = re.findall(r"--runtime (\w+)", make(ROOT, "bench-gpu", "GPU_RUN=python3"))
    assert named == [name for name in runtime_names() if isinstance(find_runtime(name), Accelerated)]


def test_the_self_test_is_run_in_each_runtime_that_opens_models_as_a_device_does() -> None:
    named = re.findall(r"for runtime in ([\w ]+);", make(ROOT, "self-test"))[0].split()
    assert named == [name for name in runtime_names() if name in TFLITE_RUNTIMES]


def test_every_target_is_phony_and_has_help() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    database = subprocess.run(["make", "-pn", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = set(re.findall(r"^\.PHONY: (.*)$", database, re.MULTILINE)[0].split())
    targets = set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))
    assert phony == targets
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in shown.splitlines()} == targets


def test_a_make_in_a_test_does_not_know_by_which_make_the_tests_were_started(tmp_path: Path) -> None:
    told = {"MAKELEVEL": "1", "MAKEFLAGS": "w", "MFLAGS": "-w"}
    code = f"import os, tests.conftest; print(sorted(set({list(told)}) & set(os.environ)))"
    assert run(["-c", code], tmp_path, **told).stdout == "[]\n"
