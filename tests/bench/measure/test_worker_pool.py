"""Measuring processes: crashing, hungry and hanging runtimes cost their row; Ctrl-C keeps what is finished."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.measure.job import Job
from bench.measure.worker_pool import Workers, how_it_ended
from bench.results.outcome import RowCrashed
from bench.results.store import Results, load_results
from tests.conftest import Finished, run
from tests.support.models.model_files import ENVIRONMENT, model


def bench(folder: Path, *arguments: str | Path) -> tuple[Finished, Results]:
    options = ["--runtime", "tflite_runtime", "--seconds", "0.03", "--output", "bench.json"]
    finished = run(["-m", "bench", "run", *arguments, *options], folder, **ENVIRONMENT)
    return finished, load_results(folder / "bench.json")


@pytest.mark.slow
def test_a_crashing_runtime_costs_its_row_and_is_exit_code_1(tmp_path: Path) -> None:
    finished, results = bench(tmp_path, model(tmp_path, "crashing"), model(tmp_path, "healthy"))
    assert finished.code == 1, finished.stderr
    assert [row.subject.model for row in results.rows] == ["healthy"]
    assert [row.subject.model for row in results.skipped] == ["crashing"]
    assert "SIGSEGV" in results.skipped[0].reason


@pytest.mark.slow
def test_a_model_that_eats_memory_costs_its_row(tmp_path: Path) -> None:
    bound = ["--max-memory-mb", "400"]
    finished, results = bench(tmp_path, model(tmp_path, "hungry"), model(tmp_path, "healthy"), *bound)
    assert finished.code == 1, finished.stderr
    assert [row.subject.model for row in results.rows] == ["healthy"]
    assert "400 MB" in results.skipped[0].reason


@pytest.mark.slow
def test_a_model_that_its_only_runtime_refuses_is_skipped_with_its_reason_and_exit_code_1(tmp_path: Path) -> None:
    finished, results = bench(tmp_path, model(tmp_path, "refused"), model(tmp_path, "healthy"))
    assert finished.code == 1, finished.stderr
    assert finished.error_line.startswith("failed: ")
    assert "refused.tflite: was measured in no runtime" in finished.error_line
    assert "no such operation" in results.skipped[0].reason


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


@pytest.mark.slow
def test_ctrl_c_in_a_round_keeps_the_finished_rounds_and_is_exit_code_130(tmp_path: Path) -> None:
    process = start(tmp_path, model(tmp_path, "healthy"), model(tmp_path, "hanging"))
    starts = tmp_path / "hanging.starts"
    deadline_s = time.monotonic() + 300
    while not (starts.exists() and len(starts.read_text().split()) == 3) and time.monotonic() < deadline_s:
        assert process.poll() is None, "ended before it was interrupted"
        time.sleep(0.1)
    finished = interrupted(process)
    assert finished.code == 130
    assert finished.error_line == "bench: interrupted"
    results = load_results(tmp_path / "bench.json")
    rounds = {row.subject.model: row.latency.processes for row in results.rows}
    assert rounds["hanging"] == 2  # its third process hangs
    assert rounds["healthy"] in (2, 3)  # as the order of the models was in the third round
    assert results.skipped == []
    assert "2 of 2 rows are finished and kept" in finished.stdout
    last = starts.read_text().split()[-1]
    assert not Path("/proc", last).exists(), "a measuring process outlived the run"


@pytest.mark.slow
def test_one_core_is_enough_for_rows_that_take_turns(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    on_one_core = f"import os, runpy; os.sched_setaffinity(0, {{{core}}}); runpy.run_module('bench', run_name='__main__')"
    paths = [model(tmp_path, "healthy"), model(tmp_path, "other")]
    options = ["--runtime", "tflite_runtime", "--threads", "1,2", "--seconds", "0.03", "--output", "bench.json"]
    finished = run(["-c", on_one_core, "run", *map(str, paths), *options], tmp_path, **ENVIRONMENT)
    assert finished.code == 0, finished.stderr
    results = load_results(tmp_path / "bench.json")
    assert [row.latency.rounds_measured for row in results.rows] == [4] * 4
    assert all(row.conditions[0].waited is not None for row in results.rows)


@pytest.mark.slow
def test_ctrl_c_during_a_sustained_load_keeps_its_minutes_and_the_row(tmp_path: Path) -> None:
    process = start(tmp_path, model(tmp_path, "busy"), "--sustain", "10m")
    seen = tmp_path / "busy.busy"
    deadline_s = time.monotonic() + 300
    while not seen.exists() and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.1)
    finished = interrupted(process)
    assert finished.code == 130
    assert [row.subject.model for row in load_results(tmp_path / "bench.json").rows] == ["busy"]
    told = json.loads(next((tmp_path / "build" / "sustain").iterdir()).read_text())
    assert [minute["number"] for minute in told["minutes"]] == [1]
    assert told["minutes"][0]["queries"] > 0
    assert told["verdict"] in finished.stdout


def test_temporary_files_of_a_measuring_process_are_made_in_the_folder_of_the_run(tmp_path: Path) -> None:
    told = "import json, tempfile; input(); print(json.dumps({'ready': True, 'place': tempfile.gettempdir()}))"
    with Workers(tmp_path, 0, [sys.executable, "-c", told]).talking("{}\n") as talk:
        assert talk.ready["place"] == str(tmp_path)


JOB = Job("sustain", "litert", "m.tflite", 1, None)
ANSWER = "print('{\"ready\": true}', flush=True)"
LINES = (  # what a library may print before an answer
    "{",
    "{warning}: no GPU",
    "{'a': 1}",
    "{" * 5,
    '{"a":' * 20_000,
    "\\xff",
    "",
)
CLOSES_AND_HANGS = "import os, time; input(); os.close(1); time.sleep(600)"
ENDINGS = {  # what a process does, and what is said of it
    CLOSES_AND_HANGS: "it closed its output and had not ended",
    "import sys; sys.exit(7)": "its process ended with 7",
    "import os; os.close(0); os.kill(os.getpid(), 11)": "SIGSEGV",
    "import os, sys; os.write(2, b'edgeproof: \\xff\\n'); sys.exit(7)": "its process ended with 7",
}


def workers(folder: Path, code: str) -> Workers:
    return Workers(folder, 0, [sys.executable, "-c", code])


def printing(line: str) -> str:
    """Return a program that prints a line, and then its answer."""
    return f"import sys; input(); sys.stdout.buffer.write({line.encode('latin-1')!r} + b'\\n'); {ANSWER}"


@pytest.mark.parametrize("line", LINES, ids=["brace", "words", "quotes", "braces", "deep", "no text", "empty"])
def test_a_line_of_a_library_is_no_answer(tmp_path: Path, line: str) -> None:
    """Also if it begins with a brace, as an answer does, or is no text at all."""
    line = line.encode().decode("unicode_escape")
    with workers(tmp_path, printing(line)).talking("{}") as talk:
        assert talk.ready == {"ready": True}
    assert list(workers(tmp_path, printing(line)).lines_of(JOB)) == [{"ready": True}]


@pytest.mark.parametrize("code", ENDINGS, ids=["hangs", "ends", "crashes", "no text"])
def test_however_a_process_ends_only_its_row_is_lost(tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way of talking to it says so in RowCrashed, which costs one row; the process is gone then."""
    monkeypatch.setattr("bench.measure.worker_pool.STOP_S", 0.5)
    pool = workers(tmp_path, code)
    with pytest.raises(RowCrashed, match=ENDINGS[code]), pool.talking("{}" + " " * 100_000) as talk:
        talk.ask()
    with pytest.raises(RowCrashed, match=ENDINGS[code]):
        list(pool.lines_of(replace(JOB, path="p" * 100_000)))
    assert pool.running == 0


@pytest.mark.parametrize("code", ["", "import os; input(); os._exit(0)"], ids=["at once", "later"])
def test_a_process_that_ends_well_without_an_answer_loses_its_row(tmp_path: Path, code: str) -> None:
    with pytest.raises(RowCrashed, match="its process ended without a result"):
        workers(tmp_path, code).result_of(JOB).__enter__()
    with pytest.raises(RowCrashed, match="its process ended before it answered"), workers(tmp_path, code).talking("{}"):
        pass


@pytest.mark.parametrize(("code", "words"), [(-11, "SIGSEGV"), (-9, "SIGKILL"), (-1000, "signal 1000"), (7, "with 7")])
def test_an_end_is_said_in_words(code: int, words: str) -> None:
    assert words in how_it_ended(code)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--threads", "0"], "numbers from 1 to 256"),
        (["--threads", "1,x"], "numbers from 1 to 256"),
        (["--sustain", "10"], "90s, 10m or 1h"),
        (["--sustain", "0m"], "90s, 10m or 1h"),
        (["--max-memory-mb", "0"], "1<=x<=1000000000"),
    ],
)
def test_wrong_options_are_named_and_code_2(tmp_path: Path, arguments: list[Any], found: str) -> None:
    finished = run(["-m", "bench", "run", *arguments, model(tmp_path, "healthy")], tmp_path)
    assert finished.code == 2
    assert found in " ".join(finished.stderr.split())
