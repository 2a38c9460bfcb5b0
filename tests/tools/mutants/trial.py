"""Running tests in a changed copy of the checkout, in a fork of a process that already has the libraries in memory."""

import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools.mutants.mutations import Mutation

PROJECT = ("tests", "bench", "convert", "train", "common", "device", "edgeproof")
LIBRARIES = (
    "numpy",
    "scipy.stats",
    "scipy.special",
    "PIL.Image",
    "PIL.ImageFilter",
    "click",
    "rich.table",
    "onnx",
    "pytest",
)
TRAINED = "tiny"  # the fixture that trains and converts a model: a minute
POLL_S = 0.02
OUTPUT = "output.txt"


class QuickFirst:
    """Leaves out the tests that need a trained model, and runs the others in the order of the time that they took before."""

    def __init__(self, seconds: Path) -> None:
        self._file = seconds
        self._before: dict[str, float] = json.loads(seconds.read_text()) if seconds.exists() else {}
        self._now: dict[str, float] = {}

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        left_out = [item for item in items if TRAINED in item.fixturenames]
        items[:] = sorted(set(items) - set(left_out), key=lambda item: (self._before.get(item.nodeid, 0.0), item.nodeid))
        config.hook.pytest_deselected(items=left_out)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._now[report.nodeid] = self._now.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        if not self._before:
            self._file.write_text(json.dumps(self._now))


def load_libraries() -> None:
    """Import what most tests import, so that each fork has it."""
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()


def copy_checkout(checkout: Path, to: Path) -> None:
    """Copy the files that git tracks or would add."""
    listed = ["git", "-C", str(checkout), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0"):
        if (checkout / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, to / name)


def passes(code: int | None) -> bool:
    """Say whether tests passed: 0, or 5 where there are none. None: out of time."""
    return code in (0, 5)


@dataclass
class Trial:
    """Tests that run in a copy of the checkout; `mutation` is what is changed there meanwhile."""

    checkout: Path
    tests: Sequence[Path]
    limit_s: float
    seconds_of_tests: Path  # JSON: the first run writes it
    mutation: Mutation | None = None
    pid: int = 0
    started_s: float = 0.0
    seconds: float = 0.0
    code: int | None = None  # pytest's, once it has ended
    output: str = ""  # its last lines
    _original: bytes = b""
    _original_ns: int = 0

    def start(self) -> None:
        """Change the copy and run the tests in a process of their own."""
        if self.mutation:
            path = self.checkout / self.mutation.path
            self._original, self._original_ns = path.read_bytes(), path.stat().st_mtime_ns
            path.write_bytes(self.mutation.applied(self._original))
        sys.stdout.flush()
        sys.stderr.flush()
        self.started_s = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._run()

    def ended(self) -> bool:
        """Say whether it has ended or ran out of time; none of its processes is left."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        self.seconds = time.monotonic() - self.started_s
        if not pid and self.seconds <= self.limit_s:
            return False
        with contextlib.suppress(ProcessLookupError):  # what tests have left running goes too
            os.killpg(self.pid, signal.SIGKILL)
        if pid:
            self.code = os.waitstatus_to_exitcode(status)
        else:
            os.waitpid(self.pid, 0)
        self.output = (self.checkout / OUTPUT).read_text(errors="replace")[-2_000:]
        return True

    def restore(self) -> None:
        """Undo the change, also the file's date: Python uses the date to see whether byte code is up to date."""
        if self.mutation:
            path = self.checkout / self.mutation.path
            path.write_bytes(self._original)
            os.utime(path, ns=(self._original_ns, self._original_ns))

    def _run(self) -> None:
        code = 1
        try:
            os.setsid()
            output = os.open(self.checkout / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            for stream in (1, 2):
                os.dup2(output, stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            code = _pytest(self.checkout, self.tests, self.seconds_of_tests, writes_code=self.mutation is None)
        finally:
            os._exit(code)


def _pytest(checkout: Path, tests: Sequence[Path], seconds: Path, writes_code: bool) -> int:
    """Run tests of a checkout. Byte code of a changed file is not kept: it would outlive the change."""
    import pytest

    for name in [name for name in sys.modules if name.partition(".")[0] in PROJECT]:
        del sys.modules[name]
    sys.path[:] = [str(checkout), *(path for path in sys.path if path and not (Path(path) / "pyproject.toml").exists())]
    os.chdir(checkout)
    if not writes_code:
        sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    scratch = checkout / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    without = [word for plugin in ("cacheprovider", "xdist", "hypothesispytest") for word in ("-p", f"no:{plugin}")]
    options = ["-x", "-q", "--tb=line", "-m", "not slow", *without, f"--basetemp={scratch}", f"--rootdir={checkout}"]
    return int(pytest.main([*options, *map(str, tests)], plugins=[QuickFirst(seconds)]))


def run_all(trials: Sequence[Trial], copies: Sequence[Path]) -> Iterator[Trial]:
    """Run each trial in whichever copy is free, and yield it once it has ended."""
    waiting, free = list(trials)[::-1], list(copies)
    running: list[Trial] = []
    while waiting or running:
        while waiting and free:
            trial = waiting.pop()
            trial.checkout = free.pop()
            trial.start()
            running.append(trial)
        for trial in [trial for trial in running if trial.ended()]:
            trial.restore()
            running.remove(trial)
            free.append(trial.checkout)
            yield trial
        time.sleep(POLL_S)
