"""Measuring processes: crashing, hungry and hanging runtimes cost their row; Ctrl-C keeps what is finished."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.process import available_memory_bytes, how_it_ended
from bench.results import Results, load_results
from tests.conftest import ROOT, Finished, run
from tests.test_convert import own_bytes

PLANTED = ROOT / "tests" / "planted"
READY = ROOT / "data" / "ready" / "mnist_cnn.int8.tflite"
ENVIRONMENT = {"PYTHONPATH": f"{PLANTED}{os.pathsep}{ROOT}"}


def model(folder: Path, name: str) -> Path:
    """Write a file that passes for a `.tflite` without a card; the planted runtime goes by its name."""
    path = folder / f"{name}.tflite"
    path.write_bytes(own_bytes(READY))  # in order: what is damaged never gets to a runtime
    return path


def bench(folder: Path, *arguments: str | Path) -> tuple[Finished, Results]:
    options = ["--runtime", "tflite_runtime", "--seconds", "0.03", "--output", "bench.json"]
    finished = run(["-m", "bench", "run", *arguments, *options], folder, **ENVIRONMENT)
    return finished, load_results(folder / "bench.json")


def test_a_crashing_runtime_costs_its_row_and_is_exit_code_1(tmp_path: Path) -> None:
    finished, results = bench(tmp_path, model(tmp_path, "crashing"), model(tmp_path, "healthy"))
    assert finished.code == 1, finished.stderr
    assert [row["model"] for row in results.rows] == ["healthy"]
    assert [row["model"] for row in results.skipped] == ["crashing"]
    assert "SIGSEGV" in results.skipped[0]["reason"]


def test_a_model_that_eats_memory_costs_its_row(tmp_path: Path) -> None:
    bound = ["--max-memory-mb", "400"]
    finished, results = bench(tmp_path, model(tmp_path, "hungry"), model(tmp_path, "healthy"), *bound)
    assert finished.code == 1, finished.stderr
    assert [row["model"] for row in results.rows] == ["healthy"]
    assert "400 MB" in results.skipped[0]["reason"]


def test_a_model_that_a_runtime_refuses_is_skipped_with_its_reason_and_exit_code_0(tmp_path: Path) -> None:
    finished, results = bench(tmp_path, model(tmp_path, "refused"), model(tmp_path, "healthy"))
    assert finished.code == 0, finished.stderr
    assert "no such operation" in results.skipped[0]["reason"]


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    options = ["--runtime", "tflite_runtime", "--seconds", "0.03", "--output", "bench.json"]
    command = [sys.executable, "-u", "-m", "bench", "run", *map(str, arguments), *options]
    environment = {**os.environ, **ENVIRONMENT}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupted(process: subprocess.Popen[str]) -> Finished:
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    out, errors = process.communicate(timeout=120)
    return Finished(process.returncode, out, errors)


def test_ctrl_c_keeps_the_rows_that_are_finished_and_is_exit_code_130(tmp_path: Path) -> None:
    process = start(tmp_path, model(tmp_path, "healthy"), model(tmp_path, "hanging"))
    assert process.stdout is not None
    lines: list[str] = []
    while sum("p50" in line for line in lines) < 4:  # the seeded order: hanging, healthy three times, and then it hangs
        lines.append(process.stdout.readline())
        assert lines[-1], "ended before it was interrupted"
    finished = interrupted(process)
    assert finished.code == 130
    assert finished.error_line == "bench: interrupted"
    results = load_results(tmp_path / "bench.json")
    assert ([row["model"] for row in results.rows], results.skipped) == (["healthy"], [])
    assert "1 of 2 rows are finished and kept" in finished.stdout
    last = (tmp_path / "hanging.starts").read_text().split()[-1]
    assert not Path("/proc", last).exists(), "a measuring process outlived the run"


def test_ctrl_c_during_a_sustained_load_keeps_its_minutes_and_the_row(tmp_path: Path) -> None:
    process = start(tmp_path, model(tmp_path, "busy"), "--sustain", "10m")
    seen = tmp_path / "busy.busy"
    deadline_s = time.monotonic() + 300
    while not seen.exists() and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.1)
    finished = interrupted(process)
    assert finished.code == 130
    assert [row["model"] for row in load_results(tmp_path / "bench.json").rows] == ["busy"]
    told = json.loads(next((tmp_path / "build" / "sustain").iterdir()).read_text())
    assert [minute["number"] for minute in told["minutes"]] == [1]
    assert told["minutes"][0]["queries"] > 0
    assert told["verdict"] in finished.stdout


@pytest.mark.parametrize(("code", "words"), [(-11, "SIGSEGV"), (-9, "SIGKILL"), (-1000, "signal 1000"), (7, "with 7")])
def test_an_end_is_said_in_words(code: int, words: str) -> None:
    assert words in how_it_ended(code)


def test_the_default_bound_is_below_the_memory_that_is_there() -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available_memory_bytes() < total


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--threads", "0"], "numbers from 1 to 256"),
        (["--threads", "1,x"], "numbers from 1 to 256"),
        (["--sustain", "10"], "90s, 10m or 1h"),
        (["--sustain", "0m"], "90s, 10m or 1h"),
        (["--max-memory-mb", "0"], "x>=1"),
    ],
)
def test_wrong_options_are_named_and_code_2(tmp_path: Path, arguments: list[Any], found: str) -> None:
    finished = run(["-m", "bench", "run", *arguments, model(tmp_path, "healthy")], tmp_path)
    assert finished.code == 2
    assert found in " ".join(finished.stderr.split())
