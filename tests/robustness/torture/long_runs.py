"""Long runs: a sustained load, and many classifications in one process. Memory and open files must not grow."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.conftest import ROOT
from tests.robustness.torture.counts import Count
from tests.robustness.torture.workplace import Broken, counted, require

PART = "Long runs"
READY = ROOT / "data" / "ready"
FLAT_WITHIN = 0.05
LOOK_S = 0.5
SUSTAIN_S = {True: 16, False: 1_200}
WINDOW_S = {True: 5, False: 60}  # a minute's samples are kept until its end: minutes are compared, not moments
CLASSIFICATIONS = 1_000
BLOCK = 100  # classifications between two looks

CLASSIFY = """
import io, json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from device.commands import answer_text
from device.inference import classify
from device.formats.model_file import read_card
from device.open_model import open_session
model, pictures, count, block = Path(sys.argv[2]), sys.argv[3:-2], int(sys.argv[-2]), int(sys.argv[-1])
card = read_card(model)
session = open_session(model, card)
said = io.StringIO()
for number in range(count):
    answer = classify(pictures[number % len(pictures)], session, card)
    said.write(answer_text("x", answer, card.labels, 3, 0.0)[:1])
    if (number + 1) % block == 0:
        resident = next(line for line in open("/proc/self/status") if line.startswith("VmRSS:"))
        print(json.dumps([int(resident.split()[1]) * 1024, len(os.listdir("/proc/self/fd"))]), flush=True)
"""


@dataclass(frozen=True)
class Look:
    """The memory and open files of a process at a moment."""

    at_s: float
    resident_bytes: int
    files: int


def run(short: bool) -> list[Count]:
    """Run both; the short form sustains for seconds."""
    seconds, notes = SUSTAIN_S[short], list[str]()
    trials: list[tuple[str, Callable[[], None]]] = [
        (f"bench run --sustain {seconds}s", partial(sustained, seconds, WINDOW_S[short], notes)),
        (f"{CLASSIFICATIONS:,} classifications in one process", partial(classified, notes)),
    ]
    counts = []
    for what, trial in trials:
        count = counted(PART, what, [trial])
        counts.append(Count(PART, what, count.tried, count.survived, count.lost, f"{count.note} {notes.pop()}".strip()))
    return counts


def sustained(seconds: int, window_s: int, notes: list[str]) -> None:
    """Keep a model busy, and measure its process and the bench's own from outside."""
    with tempfile.TemporaryDirectory(prefix="edgeproof-torture-") as name:
        options = ["--runtime", "litert", "--seconds", "0.02", "--sustain", f"{seconds}s", "--output", "bench.json"]
        words = [sys.executable, "-m", "bench", "run", str(READY / "mnist_cnn_crop.int8.tflite"), *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        looks: dict[int, list[Look]] = {}
        quiet = subprocess.DEVNULL
        with subprocess.Popen(words, cwd=name, env=environment, stdout=quiet, stderr=quiet) as process:
            start_s = time.monotonic()
            while process.poll() is None:
                for number in (process.pid, *children(process.pid)):
                    look = look_at(number, time.monotonic() - start_s)
                    if look is not None:
                        looks.setdefault(number, []).append(look)
                time.sleep(LOOK_S)
        notes.append("")
        require(process.returncode == 0, f"it ended with {process.returncode}")
        told = json.loads(next((Path(name) / "build" / "sustain").iterdir()).read_text())["minutes"]
    require(sum(minute["seconds"] for minute in told) >= 0.9 * seconds, f"it told of {len(told)} minutes only")
    longest = max((number for number in looks if number != process.pid), key=lambda number: looks[number][-1].at_s)
    notes[-1] = "; ".join(
        [
            check_flat("the worker", windows(looks[longest][int(2 / LOOK_S) :], window_s)),
            check_flat("the bench", windows(beside(looks[process.pid], looks[longest]), window_s)),
        ]
    )


def beside(own: Sequence[Look], other: Sequence[Look]) -> list[Look]:
    """Return the measurements of a process while the other process was running."""
    return [look for look in own if other[0].at_s <= look.at_s < other[-1].at_s]


def windows(looks: Sequence[Look], window_s: float) -> list[Look]:
    """Return each window's highest figures; the last, shorter one is left out."""
    found: dict[int, list[Look]] = {}
    for look in looks:
        found.setdefault(int((look.at_s - looks[0].at_s) / window_s), []).append(look)
    whole = [found[number] for number in sorted(found)][:-1]
    return [Look(w[0].at_s, max(look.resident_bytes for look in w), max(look.files for look in w)) for w in whole]


def classified(notes: list[str]) -> None:
    """Classify a thousand pictures in one process, which measures itself."""
    notes.append("")
    pictures = [str(path) for path in sorted((READY / "pictures").rglob("*.jpg"))]
    model = str(READY / "mnist_cnn_crop.int8.tflite")
    words = [sys.executable, "-c", CLASSIFY, str(ROOT), model, *pictures, str(CLASSIFICATIONS), str(BLOCK)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=900)
    require(done.returncode == 0, done.stderr[-300:])
    looks = [Look(0.0, *json.loads(line)) for line in done.stdout.splitlines() if line.startswith("[")]
    require(len(looks) == CLASSIFICATIONS // BLOCK, f"{len(looks)} looks")
    notes[-1] = check_flat("it", looks)


def check_flat(who: str, looks: Sequence[Look]) -> str:
    """Return how memory and open files changed. Raises Broken if memory grew by over 5 %, or if more files were open."""
    if len(looks) < 2:
        raise Broken(f"{who}: too short to compare")
    first, most = looks[0].resident_bytes, max(look.resident_bytes for look in looks[1:])
    files = sorted({look.files for look in looks})
    text = f"{who}: {first / 1e6:.1f} MB, at most {100 * (most / first - 1):+.1f} % later; {'–'.join(map(str, files))} files"
    require(most <= first * (1 + FLAT_WITHIN), f"{text}: memory grows")
    require(looks[-1].files <= looks[0].files, f"{text}: files stay open")
    return text


def look_at(process_id: int, at_s: float) -> Look | None:
    """Read what a process holds, or None where it has ended."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
        files = len(list(Path(f"/proc/{process_id}/fd").iterdir()))
    except OSError:
        return None
    resident = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return Look(at_s, int(resident[0].split()[1]) * 1024, files) if resident else None


def children(process_id: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        tasks = Path(f"/proc/{process_id}/task").iterdir()
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
