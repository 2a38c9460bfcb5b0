"""One process that runs a model in phases and marks where each ends, for an instruction counter.

It runs here (`python -m bench.measure.phase_worker JOB`) and, copied beside device/, on an emulated device: so it
needs only the standard library, numpy and classify.py. JOB is a JSON file; the result is the last line on standard output.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import sys
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from device.card import Card
from device.errors import EXIT_OK, CardError, EdgeproofError, PictureError
from device.formats.model_file import read_card
from device.inference import classify, top_k
from device.open_model import open_session
from device.pictures.sources import expand
from device.preprocessing.prepare import prepare
from device.runtimes import Session, import_tflite
from device.self_test import self_test
from device.timing import peak_rss_bytes

EXIT_REFUSED = 3  # the runtime is missing or refuses the model
NO_ANSWER = 0xFFFF  # a picture that cannot be used: no label has this number
RESULT = "EDGEPROOF "  # begins the line of the result
# The marks, in their order; inference k of the steady ones ends at FIRST + 1 + k
START, IMPORTED, LOADED, READY, FIRST = range(5)
IMPOSSIBLE_FILE = 900_000_000  # bench/remote/emulation/count.c sees the attempt to close it


def mark(phase: int, how: str) -> None:
    """Tell the counter that a phase ended: "close" for count.c, "getppid" for callgrind, "" for no counter."""
    if how == "close":
        with contextlib.suppress(OSError):
            os.close(IMPOSSIBLE_FILE + phase)
    elif how == "getppid":
        os.getppid()


def main() -> int:
    """Run the job that the first argument names. A refusal is one line on standard error and exit code 3."""
    job = json.loads(Path(sys.argv[1]).read_text())
    try:
        print(RESULT + json.dumps(run(job)), flush=True)  # noqa: T201  # it runs without click, on a device
    except EdgeproofError as error:
        sys.stderr.write(f"\n{error}\n")
        return EXIT_REFUSED
    return EXIT_OK


class _Stopped(Exception):
    """The phase after which the job is to stop has ended."""


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run the phases up to `stop_after` (FIRST: the steady inferences too), then what else the job asks for.

    `job` is what bench/measure/phases.py writes.
    """
    path = Path(job["model"])
    card = _card_of(path)
    picture = first_picture(card)
    try:
        session, startup_ns = _run_phases(job, path, card, picture)
    except _Stopped:
        return {}
    result: dict[str, Any] = {"runtime": session.runtime, "runtime_version": session.runtime_version}
    result["startup_ns"] = startup_ns
    result |= _answered(job, session, card)
    return {**result, "peak_rss_bytes": own_peak_rss_bytes()}


def _card_of(path: Path) -> Card:
    card = read_card(path)
    if card is None:
        from convert.show import how_to_get_a_card  # imported here: its imports must not be measured

        raise CardError(f"{path}: has no card: {how_to_get_a_card(path)}")
    return card


def _run_phases(job: dict[str, Any], path: Path, card: Card, picture: npt.NDArray[np.uint8]) -> tuple[Session, list[int]]:
    """Run and mark each phase. Return the session, and the times of import, load and first inference in nanoseconds.

    Raises _Stopped where the job stops after an earlier phase or after the inferences.
    """
    how, stop_after, clock = job["marks"], job["stop_after"], time.perf_counter_ns

    def ended(phase: int) -> int:
        """Mark the end of a phase; return when it was, or stop."""
        mark(phase, how)
        if phase == stop_after:
            raise _Stopped
        return clock()

    started_ns = clock()
    ended(START)
    import_runtime(job["runtime"])
    imported_ns = ended(IMPORTED)
    session = open_session(path, card, job["threads"], None if job["runtime"] == "onnxruntime" else job["runtime"])
    loaded_ns = ended(LOADED)
    tensor = session.tensor(picture)
    gc.collect()
    gc.disable()  # a garbage collection must not fall into an inference
    ready_ns = clock()
    ended(READY)
    session.infer(tensor)
    mark(FIRST, how)
    first_ns = clock()
    for number in range(job["inferences"]):
        session.infer(tensor)
        mark(FIRST + 1 + number, how)
    gc.enable()
    if stop_after == FIRST:
        raise _Stopped
    return session, [imported_ns - started_ns, loaded_ns - imported_ns, first_ns - ready_ns]


def _answered(job: dict[str, Any], session: Session, card: Card) -> dict[str, Any]:
    result = golden(session, card) if job["golden"] else {}
    if job["pictures"]:
        result |= answers(session, np.load(job["pictures"], allow_pickle=False))
    if job["files"]:
        result |= file_answers(session, card, job["files"])
    return result


def import_runtime(name: str) -> None:
    """Import a runtime by its name in bench/runtimes."""
    if name == "onnxruntime":
        with contextlib.suppress(ImportError):  # opening the session says what to install
            importlib.import_module(name)
    else:
        import_tflite(name)


def first_picture(card: Card) -> npt.NDArray[np.uint8]:
    """Return the first golden picture (H, W, C), uint8, prepared: the same on every machine that counts."""
    pictures = golden_pictures(card)
    return pictures[0] if pictures else np.zeros((card.height, card.width, card.channels), np.uint8)


def golden_pictures(card: Card) -> list[npt.NDArray[np.uint8]]:
    """Return the golden pictures inside a card, prepared, each (H, W, C), uint8."""
    pictures = []
    for entry in card.document.get("golden") or []:
        with Image.open(io.BytesIO(b64decode(entry["png"]))) as image:
            pictures.append(prepare(image, card))
    return pictures


def golden(session: Session, card: Card) -> dict[str, Any]:
    """Run the self-test, and return the scores of each golden picture for comparing with another machine's."""
    seen: list[list[float]] = []
    scores_of = session.scores

    def scores(output: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        found = scores_of(output)
        seen.append(found.tolist())
        return found

    session.scores = scores  # type: ignore[method-assign]  # one pass: an emulated inference may take seconds
    try:
        failed = [f"{check.field}: {check.found}" for check in self_test(session, card) if not check.passed]
    finally:
        del session.scores
    return {"failed_checks": failed, "golden_scores": seen}


def answers(session: Session, pictures: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Return the top class of each picture (N, H, W, C) and the time of each, in nanoseconds."""
    predictions, latency_ns = [], []
    for picture in pictures:
        tensor = session.tensor(picture)
        start_ns = time.perf_counter_ns()
        output = session.infer(tensor)
        latency_ns.append(time.perf_counter_ns() - start_ns)
        predictions.append(top_k(session.scores(output), 1)[0])
    return {"predictions": predictions, "latency_ns": latency_ns}


def file_answers(session: Session, card: Card, files: list[str]) -> dict[str, Any]:
    """Return the top class of each picture file, or of each in a folder, and the time of its inference, in nanoseconds."""
    predictions, latency_ns = [], []
    for file in expand(files):
        try:
            answer = classify(file, session, card)
        except PictureError:
            predictions.append(NO_ANSWER)
            continue
        predictions.append(top_k(answer.scores, 1)[0])
        latency_ns.append(answer.invoke_ns)
    return {"predictions": predictions, "latency_ns": latency_ns}


def own_peak_rss_bytes() -> int | None:
    """Return the largest resident memory so far, without the memory of an emulator around this process.

    None where the system does not say it, as gVisor.

    Under QEMU /proc/self/maps lists what the program itself has mapped, /proc/self/smaps everything in the process; 32-bit
    programs are at an offset there, which is found by a file that both list. Elsewhere the two agree.
    """
    peak = peak_rss_bytes()
    if peak is None:
        return None
    status = dict(line.partition(":")[::2] for line in Path("/proc/self/status").read_text().splitlines())
    now = int(status["VmRSS"].split()[0]) * 1024
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if line]
    smaps = Path("/proc/self/smaps").read_text().splitlines()
    offset = _offset(maps, [line for line in smaps if _is_range(line)])
    mine = [_range(line) for line in maps]
    own = inside = 0
    for line in smaps:
        if _is_range(line):
            start, end = (address - offset for address in _range(line))
            inside = any(low <= start and end <= high for low, high in mine)
        elif line.startswith("Rss:") and inside:
            own += int(line.split()[1]) * 1024
    return peak - max(0, now - own) if own else peak


def _offset(mine: list[str], all_lines: list[str]) -> int:
    """Return the difference of the addresses of the first file that both lists contain."""
    first: dict[str, int] = {}
    for line in all_lines:
        first.setdefault(line.split()[-1], _range(line)[0])
    for line in mine:
        path = line.split()[-1]
        if path.startswith("/") and path in first:
            return first[path] - _range(line)[0]
    return 0


def _is_range(line: str) -> bool:
    word = line.split(maxsplit=1)[0]
    return "-" in word and not word.endswith(":")


def _range(line: str) -> tuple[int, int]:
    low, high = line.split(maxsplit=1)[0].split("-")
    return int(low, 16), int(high, 16)


if __name__ == "__main__":
    sys.exit(main())
