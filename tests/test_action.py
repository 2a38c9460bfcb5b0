"""action.yml, for other projects' CI: it follows GitHub's schema, and its steps do what they say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench.artifacts.find import find_artifacts
from tests.conftest import ROOT, run, run_module
from tests.support.baselines import changed

ACTION: dict[str, Any] = YAML(typ="safe").load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{ (\w+)\.([\w-]+) \}\}")


def step(name: str) -> dict[str, Any]:
    (found,) = [one for one in STEPS if one.get("name") == name]
    return found


def run_step(name: str, project: Path, **inputs: str) -> "subprocess.CompletedProcess[str]":
    """Run a step after the one that finds the files, which it depends on."""
    found = run_script("Find the files", project, **inputs)
    assert found.returncode == 0, found.stderr
    return run_script(name, project, **inputs)


def run_script(name: str, project: Path, **inputs: str) -> "subprocess.CompletedProcess[str]":
    """Run a step's script as GitHub does: `bash -eo pipefail`, with the inputs in its environment."""
    values = {key: str(given.get("default", "")) for key, given in ACTION["inputs"].items()}
    values |= {key.replace("_", "-"): value for key, value in inputs.items()}
    known = {"inputs": values, "github": {"action_path": str(ROOT)}}
    environment = {
        key: EXPRESSION.sub(lambda found: known[found[1]][found[2]], text) for key, text in step(name)["env"].items()
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)["run"]]
    return subprocess.run(
        command, cwd=project, env=os.environ | environment, capture_output=True, text=True, timeout=900, check=False
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a model, and what its runner has: a summary, and the command `edgeproof` on PATH."""
    command = tmp_path / "bin" / "edgeproof"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{ROOT / "edgeproof.py"}" "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "data" / "baseline", folder)
    (folder / "baseline.json").unlink()
    (folder / "build").mkdir()
    for name in ("bench.json", "bench.npz"):
        (folder / name).rename(folder / "build" / name)
    assert run_module("bench", "init", cwd=folder).code == 0
    return folder


def test_it_keeps_githubs_schema() -> None:
    done = run(["-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml"], ROOT)
    assert done.code == 0, done.stdout + done.stderr


def test_every_input_is_used_and_none_stands_in_a_script() -> None:
    used = set(re.findall(r"\$\{\{ inputs\.([\w-]+) \}\}", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])
    for one in STEPS:
        assert "${{" not in one.get("run", "")  # whoever opens a pull request would write the script


def test_check_judges_what_was_measured_and_writes_the_summary(project: Path, tmp_path: Path) -> None:
    done = run_step("Judge", project)
    assert done.returncode == 0, done.stderr
    assert "6 PASS" in done.stdout
    assert "max_size_kb" in (tmp_path / "summary.md").read_text()
    assert "max_size_kb" in (project / ACTION["outputs"]["comment"]["value"]).read_text()
    assert (project / "build" / "verdict.xml").is_file()


def test_a_broken_budget_fails_the_step(project: Path) -> None:
    (project / "strict.toml").write_text('[[budget]]\nmodel = "mnist_cnn"\nmax_size_kb = 1\n')
    assert run_step("Judge", project, budgets="strict.toml").returncode == 1


@pytest.mark.parametrize("between", [" ", "\n"])
def test_gate_passes_the_same_files_unmeasured_on_one_line_or_a_line_each(project: Path, between: str) -> None:
    files = [str(path.relative_to(project)) for path in sorted(project.glob("mnist*/*"))]
    done = run_step("Judge", project, command="gate", files=between.join(files))
    assert done.returncode == 0, done.stderr
    assert "the same file, not measured" in done.stdout
    assert len(files) > 1
    assert [file for file in files if f": {file} against" not in done.stdout] == []


@pytest.mark.slow
def test_gate_answers_the_pictures_of_data(project: Path) -> None:
    model = next(project.glob("mnist_cnn/*.tflite"))
    changed(find_artifacts([model])[0], project / "new")
    (project / "new" / model.name).replace(model)
    budgets = project / "top1.toml"
    budgets.write_text('[[budget]]\nmodel = "mnist_cnn"\nmax_top1_regression = 0.005\n')
    pictures = project / "pictures" / "7"
    pictures.mkdir(parents=True)
    shutil.copy(next((ROOT / "data" / "ready").glob("*/7/*")), pictures)
    file = str(model.relative_to(project))
    done = run_step("Judge", project, command="gate", files=file, budgets="top1.toml", data="pictures")
    assert "1 picture of pictures" in done.stdout, done.stdout + done.stderr


def test_a_failed_measurement_still_leaves_a_verdict() -> None:
    assert step("Judge")["if"] == "${{ !cancelled() && steps.install.outcome == 'success' }}"
    assert step("Install")["id"] == "install"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", []),
        ("a.tflite b.onnx", ["a.tflite", "b.onnx"]),
        ("a.tflite\nb.onnx\n", ["a.tflite", "b.onnx"]),
        ("my models/a b.tflite", ["my models/a b.tflite"]),
        ("my models/a b.tflite\n", ["my models/a b.tflite"]),
        ("  my models/a b.tflite \n\n  a.tflite\n", ["my models/a b.tflite", "a.tflite"]),
        ("*.tflite b.onnx", ["a.tflite", "c.tflite", "b.onnx"]),
        ("my models/*.tflite\n*.onnx", ["my models/a b.tflite", "b.onnx"]),
        ("none/*.tflite gone.onnx", ["none/*.tflite", "gone.onnx"]),  # edgeproof says that they are not there
        ("$(touch planted) `touch planted`", ["$(touch", "planted)", "`touch", "planted`"]),
    ],
)
def test_files_are_found_by_line_space_and_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, found: list[str]
) -> None:
    monkeypatch.setenv("RUNNER_TEMP", str(tmp_path))
    folder = tmp_path / "project"
    (folder / "my models").mkdir(parents=True)
    for name in ("a.tflite", "b.onnx", "c.tflite", "my models/a b.tflite"):
        (folder / name).touch()
    done = run_script("Find the files", folder, files=given)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "edgeproof-files").read_text().splitlines() == found
    assert not (folder / "planted").exists()


def test_an_unknown_command_is_one_line(project: Path) -> None:
    done = run_step("Judge", project, command="guess")
    assert (done.returncode, done.stderr) == (2, "edgeproof: input command: found 'guess', expected check or gate\n")


@pytest.mark.slow
def test_it_measures_the_files_and_writes_the_report(project: Path) -> None:
    shutil.rmtree(project / "build")  # of the machine where `init` ran: a checkout has none
    done = run_step("Measure", project, files="mnist_cnn_crop/mnist_cnn_crop.int8.tflite", seconds="0.1")
    assert done.returncode == 0, done.stderr
    kept = step("Keep the report")["with"]["path"].split()
    assert [path for path in kept if "*" not in path and not (project / path).is_file()] == []
