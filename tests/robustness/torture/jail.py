"""Runs commands on bad inputs, each in a new process that is forked from one that has imported the libraries.

A new interpreter would need seconds for imports, and the command only milliseconds. The code that runs is the command's,
from its arguments to its exit code. `python -m tests.robustness.torture.jail` is the process that forks. It
reads cases and writes their ends, one line of JSON for each.
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from bench.runtimes import can_be_installed
from common.paths import PROGRAM

CPU_LIMIT_S = 10  # of a case, beside the imports
WALL_LIMIT_S = 60.0  # a machine that others use takes its time; what waits for ever ends here
MEMORY_LIMIT_BYTES = 1_000_000_000
NOBODY = 65534
READERS = {
    "calibration": ("tests.robustness.torture.inputs", "calibration"),
    "board": ("convert.deployment.microcontroller.board", "read_board"),
    "target": ("convert.deployment.target", "read_target"),
    "device": ("bench.remote.device_config", "read_device"),
}
LIBRARIES = (
    "PIL.Image PIL.ImageOps numpy rich.console rich.table ai_edge_litert.interpreter "
    "ai_edge_litert.schema_py_generated onnxruntime onnx bench.__main__ bench.report.html "
    "bench.report.markdown bench.measure.run bench.budgets.gate bench.budgets.output bench.budgets.baseline "
    "bench.analysis.compare bench.analysis.recommend bench.machine.environment convert.__main__ "
    "convert.deployment.bundle convert.show convert.deployment.compatibility convert.pipeline train.__main__ "
    "train.run train.sweep device.classify bench.remote.device_config getpass"
) + (" tflite_runtime.interpreter" if can_be_installed("tflite_runtime") else "")


@dataclass(frozen=True)
class Case:
    """One command on one input."""

    command: str  # classify, convert, bench or train
    argv: tuple[str, ...]
    cwd: str
    nobody: bool = False  # without root's rights
    limit_s: int = CPU_LIMIT_S


@dataclass(frozen=True)
class End:
    """How a case ended."""

    code: int  # minus the signal that killed it
    seconds: float  # of the processor
    hung: bool
    peak_bytes: int
    output: str
    errors: str = field(repr=False)


class Jail:
    """The process that forks. A context manager."""

    def __enter__(self) -> "Jail":
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.robustness.torture.jail"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=PROGRAM,
            env=environment,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        assert self._process.stdin is not None
        with self._process:  # closes its pipes
            self._process.stdin.close()
            self._process.wait(60)

    def run(self, case: Case) -> End:
        """Run one case to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(case)) + "\n")
        self._process.stdin.flush()
        return End(**json.loads(self._process.stdout.readline()))


def serve() -> None:
    """Fork a process for each line of standard input, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is no answer
    for name in LIBRARIES.split():
        importlib.import_module(name)
    "".encode("cp437")  # of zipfile: nobody could not import it any more
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        document = json.loads(line)
        answers.write(json.dumps(asdict(_run(Case(**document)))) + "\n")
        answers.flush()


def _run(case: Case) -> End:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begin = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(case, output.fileno(), errors.fileno())
        deadline, killed = begin + WALL_LIMIT_S, False
        while True:
            ended, status, usage = os.wait4(child, os.WNOHANG)
            if ended:
                break
            signal.sigtimedwait({signal.SIGCHLD}, 0.5)
            if time.monotonic() > deadline and not killed:
                os.killpg(child, signal.SIGKILL)
                killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what it may have left behind
        seconds = usage.ru_utime + usage.ru_stime
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        hung = killed or seconds > case.limit_s
        return End(code, seconds, hung, usage.ru_maxrss * 1024, _text(output), _text(errors))


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read(200_000).decode(errors="replace"))


def _become(case: Case, output: int, errors: int) -> None:
    """Turn this fork into the command, and end with its exit code."""
    code = 70
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (case.limit_s + 1, case.limit_s + 1))
        os.chdir(case.cwd)
        if case.nobody and os.geteuid() == 0:
            os.setuid(NOBODY)
        code = _command(case)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # as an interpreter would
        traceback.print_exc()
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def _command(case: Case) -> int:
    sys.argv = [case.command, *case.argv]
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)  # by the line, as an interpreter's is
    if case.command == "classify":
        from device import command_line, process

        return process.supervised(command_line.main, command_line.tell_crash)
    from common.cli import run_cli

    return run_cli(_reader(case) if case.command in READERS else _room(case.command), case.command)


def _room(name: str) -> click.Command:
    command: click.Command = importlib.import_module(f"{name}.__main__").main
    return command


def _reader(case: Case) -> click.Command:
    """Return a command that only reads a file, as a larger command does first."""
    where, name = READERS[case.command]
    read, path = getattr(importlib.import_module(where), name), Path(case.argv[0])
    sys.argv = [case.command]
    return click.Command(case.command, callback=lambda: click.echo(str(read(path))))


if __name__ == "__main__":
    serve()
