"""Measuring processes: one fresh process for each job, limited in memory and time; if it crashes, only its row is lost."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import zipfile
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
            with _arrays_in(result.name) as arrays:
                yield arrays

    def lines_of(self, job: Job) -> Iterator[Any]:
        """Run a job and yield each line of JSON that it prints, as it comes. An interrupted job may end with a last line.

        Raises RowRefused or RowCrashed; KeyboardInterrupt after the last lines.
        """
        with self._error_file() as errors, self._started(errors) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):  # it has ended: its code says how
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
                if (answer := _answer_in(line)) is not None:
                    yield answer
            if interrupted:
                with suppress(RowCrashed):
                    _code_at_the_end(process)
                raise KeyboardInterrupt
            code = _code_at_the_end(process)
            errors.seek(0)
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
        with self._error_file() as errors, self._started(errors) as process:
            talk = Talk(self, process, errors, first_line)
            if wait:
                _ = talk.ready
            yield talk

    def _error_file(self) -> IO[str]:
        """Open a file for what a process writes on standard error: a library's text may be in any encoding."""
        return tempfile.TemporaryFile("w+", dir=self.scratch, encoding="utf-8", errors="replace")

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
                encoding="utf-8",
                errors="replace",
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
            for line in self._process.stdout:
                if (answer := _answer_in(line)) is not None:
                    return answer
        finally:
            watch.cancel()
        if self._late:
            raise RowCrashed(f"its process was stopped: no answer in {self._limit_s:g} s")
        code = _code_at_the_end(self._process)
        self._errors.seek(0)
        self._workers.check(code, self._errors.read())
        raise RowCrashed("its process ended before it answered")

    def _stop(self) -> None:
        self._late = True
        self._process.kill()


def _answer_in(line: str) -> dict[str, Any] | None:
    """Return the answer in a line, or None: the libraries may print other lines, some of which begin with a brace."""
    if not line.startswith("{"):
        return None
    try:
        found: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found


def _code_at_the_end(process: "subprocess.Popen[str]") -> int:
    """Return the exit code of a process that has closed its output. Raises RowCrashed where it hangs nevertheless."""
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise RowCrashed(f"its process was stopped: it closed its output and had not ended {STOP_S} s later") from error


def _arrays_in(path: str) -> Any:
    """Open the arrays that a process wrote. Raises RowCrashed where it ended well and wrote none."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RowCrashed(f"its process ended without a result ({error})") from error


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
