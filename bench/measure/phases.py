"""Running bench/measure/phase_worker.py: here, on an emulated device, and under instruction counters."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure.phase_worker import EXIT_REFUSED, RESULT
from bench.results.outcome import RowCrashed, RowRefused
from common.paths import PROGRAM
from common.python_process import module_command
from device.errors import EdgeproofError

NEVER = -1  # stop after no phase
HOST_TIMEOUT_S = 3_600
WORKER = "bench.measure.phase_worker"


@dataclass(frozen=True)
class Phases:
    """A job for bench/measure/phase_worker.py."""

    model: Path
    runtime: str
    threads: int = 1
    inferences: int = 8  # steady ones
    golden: bool = False  # run the self-test and return the golden pictures' scores
    pictures: Path | None = None  # .npy, (N, H, W, C), uint8, prepared
    files: tuple[str, ...] = ()  # pictures or folders of them, with the paths that the process will see
    stop_after: int = NEVER
    marks: str = ""

    def to_json(self, model: str, pictures: str | None) -> str:
        """Return the job as JSON with the paths that its process will see."""
        return json.dumps({**vars(self), "model": model, "pictures": pictures})


def run_host(before: Sequence[str], phases: Phases) -> dict[str, Any]:
    """Run a job on this machine, under the command `before` (none: by itself); return its result."""
    with job_file(phases) as path:
        return result_of(run_command([*before, *module_command(WORKER, path)]), "this machine")


class job_file:  # noqa: N801  # a context manager is used like a function
    """A job in a file while its process runs."""

    def __init__(self, phases: Phases) -> None:
        pictures = None if phases.pictures is None else str(phases.pictures.resolve())
        self._text = phases.to_json(str(phases.model.resolve()), pictures)

    def __enter__(self) -> str:
        handle, self._name = tempfile.mkstemp(prefix="edgeproof-", suffix=".json")
        with os.fdopen(handle, "w") as file:
            file.write(self._text)
        return self._name

    def __exit__(self, *_: object) -> None:
        Path(self._name).unlink(missing_ok=True)


def run_command(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the program's folder, with variables that make two runs of Python equal."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, cwd=PROGRAM, capture_output=True, text=True, timeout=HOST_TIMEOUT_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise EdgeproofError(f"{command[0]}: stopped after {HOST_TIMEOUT_S} s: use fewer inferences") from error


def result_of(process: subprocess.CompletedProcess[str], where: str) -> dict[str, Any]:
    """Return the worker's result. Raises RowRefused for a refusal, RowCrashed where it crashed."""
    last_line = (process.stderr.strip().splitlines() or ["it printed nothing"])[-1]
    if process.returncode == EXIT_REFUSED:
        raise RowRefused(last_line)
    found = [line for line in process.stdout.splitlines() if line.startswith(RESULT)]
    if process.returncode != 0 or not found:
        raise RowCrashed(f"{where}: the process ended with {process.returncode}: {last_line}")
    result: dict[str, Any] = json.loads(found[-1].removeprefix(RESULT))
    return result
