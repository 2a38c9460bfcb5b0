"""Measuring processes: one fresh process for each job, limited in memory and time; if it crashes, only its row is lost."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.measure.job import EXIT_FELL_BACK, EXIT_REFUSED, REASON, Job, job_json
from bench.results.outcome import RowCrashed, RowRefused
from common.paths import PROGRAM
from common.python_process import module_command
from device.safe_text import printable

TIMEOUT_S = 900
STOP_S = 5


class Stopped(Exception):
    """The run was interrupted, so the process was ended."""


class Workers:
    """Starts measuring processes, and ends them when the run is interrupted.

    Each has a process group of its own: Ctrl-C in the terminal reaches only the run, which decides what to keep.
    """

    def __init__(self, scratch: Path, memory_bytes: int, command: Sequence[str] | None = None) -> None:
        """`command` starts a process that takes other requests than bench/measure/worker.py."""
        self.scratch, self.memory_bytes = scratch, memory_bytes
        self._command = command or module_command("bench.measure.worker")
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def running(self) -> int:
        """Return how many processes are running."""
        return len(self._running)

    def stop(self) -> None:
        """End all processes, and start no more."""
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

        Raises RowRefused or RowCrashed; KeyboardInterrupt after the last lines.
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
                    process.send_signal(signal.SIGINT)  # it finishes its minute and ends
                    continue
                if not line:
                    break
                if line.startswith("{"):  # the libraries may print other lines
                    yield json.loads(line)
            code = process.wait(STOP_S)
            errors.seek(0)
            if interrupted:
                raise KeyboardInterrupt
            self.check(code, errors.read())

    @contextmanager
    def talking_to(self, job: Job, result: Path | None = None, wait: bool = True) -> Iterator["Talk"]:
        """Start a job that takes requests while it runs, `wait` until it is ready, and end it.

        Raises RowRefused or RowCrashed.
        """
        with self.talking(job_json(job, str(result or ""), self.memory_bytes), wait) as talk:
            yield talk

    @contextmanager
    def talking(self, first_line: str, wait: bool = True) -> Iterator["Talk"]:
        """Start a process with the line that says what it is to do, and end it. Raises RowRefused or RowCrashed."""
        with tempfile.TemporaryFile("w+", dir=self.scratch) as errors, self._started(errors) as process:
            talk = Talk(self, process, errors, first_line)
            if wait:
                _ = talk.ready
            yield talk

    @contextmanager
    def _started(self, errors: IO[str] | None = None) -> Iterator[subprocess.Popen[str]]:
        with self._lock:
            if self._stopped:
                raise Stopped
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if errors is None else errors,
                text=True,
                cwd=PROGRAM,
                env={**os.environ, "TMPDIR": str(self.scratch)},  # the process ends at once, and TensorFlow's files stay
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
        """Raise an error that says how a process ended, unless it ended well. Raises RowRefused, RowCrashed or Stopped."""
        if code == 0:
            return
        if self._stopped:
            raise Stopped
        why = reason(errors)
        if code == EXIT_REFUSED:
            raise RowRefused(why)
        if code == EXIT_FELL_BACK:
            raise RowCrashed(why)
        raise RowCrashed(f"{how_it_ended(code)} (memory limit {self.memory_bytes / 1e6:,.0f} MB): {why}")


class Talk:
    """A measuring process that answers each line with one of JSON."""

    def __init__(
        self,
        workers: Workers,
        process: "subprocess.Popen[str]",
        errors: IO[str],
        job: str,
        limit_s: float = TIMEOUT_S,
    ) -> None:
        self._workers, self._process, self._errors, self._limit_s = workers, process, errors, limit_s
        self._late = False
        self._send(job)

    @cached_property
    def ready(self) -> dict[str, Any]:
        """Wait until the process is ready, and return what it says. Raises RowRefused, RowCrashed or Stopped."""
        return self._answer()

    def ask(self, line: str = "") -> dict[str, Any]:
        """Send a line and return the answer. Raises RowRefused, RowCrashed or Stopped where the process ends first."""
        _ = self.ready
        self._send(line)
        return self._answer()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: the answer says how
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        watch = threading.Timer(self._limit_s, self._stop)  # of each answer: a hanging process must not end its neighbours
        watch.daemon = True
        watch.start()
        try:
            for answer in self._process.stdout:
                if answer.startswith("{"):  # the libraries may print other lines
                    found: dict[str, Any] = json.loads(answer)
                    return found
        finally:
            watch.cancel()
        code = self._process.wait(STOP_S)
        if self._late:
            raise RowCrashed(f"its process was stopped: no answer in {self._limit_s:g} s")
        self._errors.seek(0)
        self._workers.check(code, self._errors.read())
        raise RowCrashed("its process ended before it answered")

    def _stop(self) -> None:
        self._late = True
        self._process.kill()


def reason(errors: str) -> str:
    """Return the worker's reason from its standard error, or the last line if there is none."""
    lines = errors.strip().splitlines() or ["it printed nothing"]
    return printable(next((line.removeprefix(REASON) for line in reversed(lines) if line.startswith(REASON)), lines[-1]))


def how_it_ended(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"its process ended with {code}"
    try:
        return f"its process ended with {signal.Signals(-code).name}"
    except ValueError:
        return f"its process ended with signal {-code}"
