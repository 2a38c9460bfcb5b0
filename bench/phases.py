"""Running bench/marked.py: here, on an emulated device, and beside the counters that there are."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.emulated.device import EmulatedDevice
from bench.emulated.emulator import find_emulator, path_prefix, run_python
from bench.emulated.overlay import JOB, overlay
from bench.emulated.plugin import plugin, read_marks
from bench.emulated.userspace import find_user_space
from bench.instructions import Instructions, of_marks
from bench.marked import EXIT_REFUSED, RESULT
from device.classify import EdgeproofError

ROOT = Path(__file__).resolve().parent.parent
NEVER = -1  # stop after no phase
HOST_TIMEOUT_S = 3_600


@dataclass(frozen=True)
class Phases:
    """A job for bench/marked.py."""

    model: Path
    runtime: str
    threads: int = 1
    inferences: int = 8  # steady ones
    golden: bool = False  # run the self-test and return the golden pictures' scores
    pictures: Path | None = None  # .npy, (N, H, W, C), uint8, prepared
    files: tuple[str, ...] = ()  # pictures or folders of them, as the process will see them
    stop_after: int = NEVER
    marks: str = ""

    def to_json(self, model: str, pictures: str | None) -> str:
        """Return the job as JSON with the paths that its process will see."""
        return json.dumps({**vars(self), "model": model, "pictures": pictures})


@dataclass(frozen=True)
class Ran:
    """What a process brought: the worker's result, and the counts if they were asked for."""

    result: dict[str, Any]
    instructions: Instructions | None = None


class Refused(EdgeproofError):
    """The runtime is missing there or refuses the model, or nothing here can count: the row is skipped with the reason."""


def run_emulated(phases: Phases, device: EmulatedDevice, count: bool) -> Ran:
    """Run a job on an emulated device. Raises Refused, or EdgeproofError where the process dies."""
    space = find_user_space(device)
    if phases.runtime not in space.runtimes:
        raise Refused(f"{phases.runtime} has no wheel for {device.target.name}: there are {', '.join(space.runtimes)}")
    emulator = find_emulator(device.qemu)
    with overlay(device, space) as folder:
        job = folder / JOB
        (job / "device").mkdir()
        for source, place in (("device/__init__.py", "device"), ("device/classify.py", "device"), ("bench/marked.py", "")):
            shutil.copy(ROOT / source, job / place)
        model = f"model{phases.model.suffix}"
        shutil.copy(phases.model, job / model)
        if phases.pictures is not None:
            shutil.copy(phases.pictures, job / "pictures.npy")
        inside = replace(phases, marks="close" if count else "")
        there = f"{path_prefix(device, folder)}/{JOB}"
        pictures = None if phases.pictures is None else f"{there}/pictures.npy"
        (job / "job.json").write_text(inside.to_json(f"{there}/{model}", pictures))
        counts = folder / "counts.txt"
        options = ["-plugin", f"{plugin(emulator)},out={counts}"] if count else []
        arguments = [f"{there}/marked.py", f"{there}/job.json"]
        result = result_of(run_python(emulator, device, space, folder, arguments, options), device.name)
        if not count:
            return Ran(result)
        totals, dots = read_marks(counts)
        known_dots = dots if device.target.bits == 64 else None
        return Ran(result, of_marks(totals, device.core.name, emulator.version, space.sha256, known_dots))


def run_here(phases: Phases) -> Ran:
    """Run a job on this machine."""
    return Ran(run_host([], phases))


def run_host(before: Sequence[str], phases: Phases) -> dict[str, Any]:
    """Run a job here, under the command `before`; return its result."""
    with job_file(phases) as path:
        return result_of(run_command([*before, sys.executable, "-m", "bench.marked", path]), "this machine")


class job_file:  # noqa: N801  # a context manager is used like a function
    """A job on disk for as long as its process runs."""

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
    """Run a command from the checkout, with what makes two runs of Python alike."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=HOST_TIMEOUT_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise EdgeproofError(f"{command[0]}: stopped after {HOST_TIMEOUT_S} s: take fewer inferences") from error


def result_of(process: subprocess.CompletedProcess[str], where: str) -> dict[str, Any]:
    """Return the worker's result. Raises Refused for what it refused, EdgeproofError where it died."""
    last_line = (process.stderr.strip().splitlines() or ["it printed nothing"])[-1]
    if process.returncode == EXIT_REFUSED:
        raise Refused(last_line)
    found = [line for line in process.stdout.splitlines() if line.startswith(RESULT)]
    if process.returncode != 0 or not found:
        raise EdgeproofError(f"{where}: the process ended with {process.returncode}: {last_line}")
    result: dict[str, Any] = json.loads(found[-1].removeprefix(RESULT))
    return result
