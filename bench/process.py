"""Measuring processes: one fresh process a job, bounded in memory and time, whose death costs its row and nothing else."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.worker import EXIT_FELL_BACK, EXIT_REFUSED, REASON, Job, job_json
from device.classify import printable

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 900
STOP_S = 5
MEMORY_SHARE = 0.8  # of what is available when the run begins


class RowRefused(Exception):
    """A row that cannot be measured: the runtime is missing or refuses the model. The message is the reason."""


class RowCrashed(Exception):
    """A row whose process died."""


class Stopped(Exception):
    """The run was interrupted, so the process was ended."""


class Workers:
    """Starts measuring processes, and ends those that still run when the run is interrupted.

    Each leads a process group of its own: Ctrl-C in the terminal reaches the run alone, which decides what to keep.
    """

    def __init__(self, scratch: Path, memory_bytes: int) -> None:
        self.scratch, self.memory_bytes = scratch, memory_bytes
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def running(self) -> int:
        """Return how many processes there are at this moment."""
        return len(self._running)

    def stop(self) -> None:
        """End all processes; none starts any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    @contextmanager
    def result_of(self, job: Job) -> Iterator[Any]:
        """Run a job to its end and yield the arrays that it wrote. Raises RowRefused, RowCrashed or Stopped."""
        with tempfile.NamedTemporaryFile(suffix=".npz", dir=self.scratch) as result:
            with self._started() as process:
                try:
                    _, errors = process.communicate(job_json(job, result.name, self.memory_bytes), timeout=TIMEOUT_S)
                except subprocess.TimeoutExpired as error:
                    raise RowCrashed(f"its process was stopped after {TIMEOUT_S} s") from error
            self.check(process.returncode, errors)
            with np.load(result.name, allow_pickle=False) as arrays:
                yield arrays

    def lines_of(self, job: Job) -> Iterator[Any]:
        """Run a job and yield each line of JSON that it prints, as it comes. An interrupted job may end with a last line.

        Raises RowRefused or RowCrashed; KeyboardInterrupt once the last lines were yielded.
        """
        with tempfile.TemporaryFile("w+", dir=self.scratch) as errors, self._started(errors) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(job_json(job, "", self.memory_bytes))
            process.stdin.close()
            interrupted = False
            while True:
                try:
                    line = process.stdout.readline()
                except KeyboardInterrupt:
                    interrupted = True
                    process.send_signal(signal.SIGINT)  # it closes its minute and ends
                    continue
                if not line:
                    break
                if line.startswith("{"):  # the libraries may print what they please
                    yield json.loads(line)
            code = process.wait(STOP_S)
            errors.seek(0)
            if interrupted:
                raise KeyboardInterrupt
            self.check(code, errors.read())

    @contextmanager
    def talking_to(self, job: Job) -> Iterator["Talk"]:
        """Start a job that is asked things while it runs, and end it. Raises RowRefused or RowCrashed."""
        with tempfile.TemporaryFile("w+", dir=self.scratch) as errors, self._started(errors) as process:
            watch = threading.Timer(TIMEOUT_S, process.kill)
            watch.daemon = True
            watch.start()
            try:
                yield Talk(self, process, errors, job_json(job, "", self.memory_bytes))
            finally:
                watch.cancel()

    @contextmanager
    def _started(self, errors: IO[str] | None = None) -> Iterator[subprocess.Popen[str]]:
        with self._lock:
            if self._stopped:
                raise Stopped
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if errors is None else errors,
                text=True,
                cwd=ROOT,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            with process:
                try:
                    yield process
                finally:
                    if process.poll() is None:
                        process.kill()
        finally:
            with self._lock:
                self._running.discard(process)

    def check(self, code: int, errors: str) -> None:
        """Say how a process ended, unless it ended well. Raises RowRefused, RowCrashed or Stopped."""
        if code == 0:
            return
        if self._stopped:
            raise Stopped
        told = reason(errors)
        if code == EXIT_REFUSED:
            raise RowRefused(told)
        if code == EXIT_FELL_BACK:
            raise RowCrashed(told)
        raise RowCrashed(f"{how_it_ended(code)} (memory bound {self.memory_bytes / 1e6:,.0f} MB): {told}")


class Talk:
    """A measuring process that answers each line with one of JSON."""

    def __init__(self, workers: Workers, process: "subprocess.Popen[str]", errors: IO[str], job: str) -> None:
        self._workers, self._process, self._errors = workers, process, errors
        self.ready = self.ask(job)

    def ask(self, line: str = "") -> dict[str, Any]:
        """Return the answer to a line. Raises RowRefused, RowCrashed or Stopped where the process ends instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended: how, is said below
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        for answer in self._process.stdout:
            if answer.startswith("{"):  # the libraries may print what they please
                found: dict[str, Any] = json.loads(answer)
                return found
        code = self._process.wait(STOP_S)
        self._errors.seek(0)
        self._workers.check(code, self._errors.read())
        raise RowCrashed("its process ended before it had answered")


def reason(errors: str) -> str:
    """Return the worker's own reason out of its standard error, or the last line where it gave none."""
    lines = errors.strip().splitlines() or ["it printed nothing"]
    return printable(next((line.removeprefix(REASON) for line in reversed(lines) if line.startswith(REASON)), lines[-1]))


def how_it_ended(code: int) -> str:
    """Say in words how a process ended."""
    if code >= 0:
        return f"its process ended with {code}"
    try:
        return f"its process ended with {signal.Signals(-code).name}"
    except ValueError:
        return f"its process ended with signal {-code}"


def available_memory_bytes() -> int:
    """Return what a run may use: MEMORY_SHARE of the memory that is available, or of a container's bound."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroup 2 and 1
        try:
            available = min(available, int((Path("/sys/fs/cgroup") / name).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return int(available * MEMORY_SHARE)
