"""A small folder to break things in: digits, a model, its artifacts and results, and checks that these are complete."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.results.integrity import load_sound_results
from common.files import reading_together, sha256_of
from device.errors import EdgeproofError
from device.formats.model_file import read_card
from tests.conftest import ROOT, write_class_folders
from tests.robustness.torture.counts import Count
from train.data.mnist import load_mnist

HOOK = Path(__file__).parent / "planted"
RUNTIME = (
    ROOT / "tests" / "robustness" / "fake_runtimes"
)  # a tflite_runtime that works, crashes or hangs, as the model's name says
MARK = "EDGEPROOF_TORTURE"  # in the environment of all that is started, by which orphans are found
PATIENCE_S = 120
RUN_LIMIT_S = 900
PICTURES = {"train": 12, "val": 4, "test": 2}  # a class


class Broken(Exception):
    """A promise that was not kept."""


@dataclass(frozen=True)
class Task:
    """A command, and its files that belong together: all of them must be from one run."""

    name: str
    words: tuple[str, ...]
    together: tuple[str, ...]
    again: tuple[str, ...] = ()  # what the next run is told beside


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    text: str


class Workplace:
    """A folder with build/, in which commands run and are disturbed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.build = folder, folder / "build"
        folder.mkdir(parents=True, exist_ok=True)
        self._mark = f"{os.getpid()}-{folder.name}"

    def write_digits(self) -> None:
        """Write some pictures of each digit, in train, val and test."""
        mnist = load_mnist()
        for part, count in PICTURES.items():
            write_class_folders(self.folder / "digits" / part, mnist, part, count)

    def start(self, words: Sequence[str], fault: str = "", planted: bool = False) -> subprocess.Popen[str]:
        """Start `python WORDS`, with a fault (tests/torture/planted) or a planted runtime; its output goes to one pipe."""
        paths = [HOOK, *([RUNTIME] if planted else []), ROOT]
        environment = {**os.environ, MARK: self._mark, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
        if fault:
            environment["EDGEPROOF_FAULT"] = f"{fault}:{self.build}"
        return subprocess.Popen(
            [sys.executable, "-u", *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )

    def run(self, words: Sequence[str], fault: str = "", planted: bool = False) -> Ended:
        """Run `python WORDS` to its end."""
        with self.start(words, fault, planted) as process:
            return self.end_of(process)

    def end_of(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for a process; one that never ends is broken."""
        try:
            text, _ = process.communicate(timeout=RUN_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise Broken(f"{process.args!r} hangs") from error
        if "Traceback" in text:
            raise Broken(f"a traceback: {text[-400:]!r}")
        return Ended(process.returncode, text)

    def succeed(self, words: Sequence[str], fault: str = "", planted: bool = False) -> Ended:
        """Run `python WORDS`, which has to end with 0."""
        ended = self.run(words, fault, planted)
        require(ended.code == 0, f"{' '.join(words)} ended with {ended.code}: {ended.text[-300:]!r}")
        return ended

    def writes_of(self, words: Sequence[str], planted: bool = False) -> int:
        """Run a command and return how often it writes, moves or removes a file below build/."""
        told = self.folder / "writes"
        self.succeed(words, f"count:{told}", planted)
        return int(told.read_text())

    # -- what is there

    def files(self) -> dict[str, tuple[int, str]]:
        """Return the inode and the hash of each result. First, moves that a killed run began are finished."""
        found = {}
        for folder in sorted({self.build, *(path.parent for path in self.build.rglob("*") if path.is_file())}):
            with reading_together(folder):
                for path in sorted(folder.iterdir()):
                    if path.is_file() and not path.name.startswith(".") and folder.name != "checkpoint":
                        found[str(path.relative_to(self.folder))] = (path.stat().st_ino, sha256_of(path))
        return found

    def check(self, before: dict[str, tuple[int, str]], together: Sequence[str]) -> None:
        """Raise Broken if an earlier result is lost or half-written, or files that belong together are of different runs."""
        after = self.files()
        lost = sorted(set(before) - set(after))
        require(not lost, f"{lost} are lost")
        changed = {name: after[name] != before[name] for name in together if name in before}
        require(len(set(changed.values())) <= 1, f"of what belongs together some is new and some is old: {changed}")
        for name in after:
            check_whole(self.folder / name)

    def check_tidy(self) -> None:
        """Raise Broken where a temporary file, a journal or a lock is left."""
        left = [str(path) for path in self.build.rglob(".*")]
        require(not left, f"{left} are left")

    def check_no_orphan(self) -> None:
        """Raise Broken if a process that was started here still runs after some time."""
        end_s = time.monotonic() + PATIENCE_S
        while (left := list(self._processes())) and time.monotonic() < end_s:
            time.sleep(0.1)
        require(not left, f"processes {left} outlived their run")

    def _processes(self) -> Iterator[int]:
        wanted = f"{MARK}={self._mark}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_ours = wanted in (path / "environ").read_bytes().split(b"\0")
                if is_ours and b"\nState:\tZ" not in (path / "status").read_bytes():
                    yield int(path.name)


def check_whole(path: Path) -> None:
    """Raise Broken for a result that cannot be read to its end."""
    try:
        if path.name == "bench.json":
            load_sound_results(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            for line in path.read_text().splitlines():
                json.loads(line)
        elif path.suffix in (".tflite", ".onnx"):
            read_card(path)
        elif path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                require(archive.testzip() is None, f"{path} is damaged")
            card = json.loads(path.with_name(f"{path.stem}.card.json").read_text())
            require(card["provenance"]["source_sha256"] == sha256_of(path), f"{path} is not the one of its card")
        elif path.suffix == ".html":
            require(path.read_text().rstrip().endswith("</html>"), f"{path} is cut off")
    except (EdgeproofError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Broken(f"{path}: half-written: {error}") from error


def require(kept: bool, otherwise: str) -> None:
    """Raise Broken unless a promise is kept."""
    if not kept:
        raise Broken(otherwise)


def counted(part: str, what: str, trials: Iterable[Callable[[], None]], note: str = "") -> Count:
    """Try each and count; the first broken promise is noted."""
    tried = lost = 0
    for trial in trials:
        tried += 1
        try:
            trial()
        except Broken as broken:
            lost += 1
            note = note if lost > 1 else f"{note} LOST: {broken}".strip()
    return Count(part, what, tried, tried - lost, lost, note)
