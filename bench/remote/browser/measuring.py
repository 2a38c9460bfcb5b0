"""One artifact in a browser: answers in the first of several fresh pages, times in each of them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from bench.artifacts.find import Artifact
from bench.measure.golden_comparison import worst_difference
from bench.measure.phase_worker import golden, golden_pictures
from bench.remote.browser.browser import opened
from bench.remote.browser.file_session import FileSession
from bench.remote.browser.packages import gzipped_bytes, version_of
from bench.remote.browser.page_result import PageResult
from bench.remote.browser.page_server import PageServer
from bench.remote.browser.visit import Task, Visit
from bench.results.outcome import RowCrashed, RowRefused
from bench.results.row import Golden
from bench.runtimes.browser import on_webgpu
from device.card import Card
from device.errors import CardError, ModelError
from device.formats.model_file import external_weights
from device.inference import top_k
from device.runtimes import Session

TIMED_TENSORS = 16
US_PER_MS = 1000
NAME_LENGTH = 8  # of a browser's folder: the path of a socket in it has at most 107 bytes


def session_for(found: Artifact, runtime: str, packages: Path) -> FileSession:
    """Read an artifact for a browser's runtime. Raises RowRefused for a file that a page cannot open, RuntimeMissing."""
    path = found.path
    try:
        version = version_of(packages, runtime)
        if found.format == "onnx" and external_weights(path, path.read_bytes()):
            raise RowRefused("its weights are in files of their own: a page gets one file")
        return FileSession(path, found.card, runtime, version)
    except (CardError, ModelError) as error:
        raise RowRefused(str(error).removeprefix(f"{path}: ")) from error


@dataclass(frozen=True)
class Timing:
    """How a row is timed: fresh pages, and in each so many blocks and seconds at least."""

    pages: int
    blocks: int
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What the pages of one row found."""

    pages: tuple[PageResult, ...]
    predictions: npt.NDArray[np.uint16]  # of the test pictures (N,)
    golden: Golden | None  # None: the card has no golden pictures
    peak_rss_bytes: int
    fetched: Mapping[Path, int]  # the files that a page needed, with their bytes

    @property
    def download_bytes(self) -> int:
        """Return how many bytes the pages fetched, uncompressed."""
        return sum(self.fetched.values())

    @property
    def download_gzip_bytes(self) -> int:
        """Return how many bytes the fetched files have, each compressed with gzip."""
        return sum(map(gzipped_bytes, self.fetched))

    @property
    def clock_step_us(self) -> float:
        """Return the coarsest step of the pages' clocks, in whole tenths."""
        return round(max(page.step_ms for page in self.pages) * US_PER_MS, 1)

    def median_ms(self, of: Callable[[PageResult], float]) -> float:
        """Return the median of a time over the pages, in milliseconds."""
        return float(np.median([of(page) for page in self.pages]))


@dataclass(frozen=True)
class Pages:
    """Opens fresh pages: each in a browser of its own with an empty profile."""

    server: PageServer
    browser: str
    scratch: Path
    stopping: threading.Event

    def visit(self, task: Task) -> tuple[PageResult, int, Mapping[Path, int]]:
        """Return a page's result, its peak memory in bytes, the files that it needed. Raises RowRefused or RowCrashed."""
        visit = Visit(task)
        with (
            self.server.awaiting(visit) as address,
            opened(self.browser, address, self.scratch / visit.token[:NAME_LENGTH], on_webgpu(task.runtime)) as browser,
        ):
            result = visit.result(browser, self.stopping)
            return result, browser.page_peak_bytes(), dict(visit.fetched)


def measure(
    pages: Pages,
    session: FileSession,
    path: Path,
    card: Card,
    pixels: npt.NDArray[np.uint8],
    threads: int,
    timing: Timing,
    native: Mapping[str, Any] | None,
) -> Measured:
    """Measure one row with prepared test pictures (N, H, W, C), and compare its golden answers with the card's.

    `native` is what the runtime of this machine answered. Raises RowRefused or RowCrashed.
    """
    golden_pixels = golden_pictures(card)
    tensors = [*golden_pixels, *pixels]
    results: list[PageResult] = []
    peaks: list[int] = []
    fetched: Mapping[Path, int] = {}
    for number in range(timing.pages):
        task = task_of(session, path, card, tensors, len(tensors) if number == 0 else 0, threads, timing)
        result, peak_bytes, fetched = pages.visit(task)
        results.append(result)
        peaks.append(peak_bytes)
    outputs = results[0].values.reshape(len(tensors), session.outputs)
    proof = _proof(session, card, outputs[: len(golden_pixels)], native)
    predictions = [top_k(session.scores(output), 1)[0] for output in outputs[len(golden_pixels) :]]
    return Measured(tuple(results), np.array(predictions, np.uint16), proof, max(peaks), fetched)


def task_of(
    session: FileSession,
    path: Path,
    card: Card,
    pictures: Sequence[npt.NDArray[np.uint8]],
    answers: int,
    threads: int,
    timing: Timing,
) -> Task:
    """Return the task of a page: to answer so many of the prepared pictures (H, W, C), and to time the first ones."""
    return Task(
        runtime=session.runtime,
        model=path,
        tensors=_Tensors(session, pictures),
        answers=answers,
        timed=min(TIMED_TENSORS, len(pictures)),
        outputs=session.outputs,
        threads=threads,
        seconds=timing.seconds,
        blocks=timing.blocks,
        disabled_optimizers=tuple((card.document.get("session") or {}).get("disabled_optimizers") or ()),
    )


class _Tensors(Sequence[npt.NDArray[Any]]):
    """The input tensors of pictures, each made when it is wanted: as float32 they are four times as large."""

    def __init__(self, session: FileSession, pictures: Sequence[npt.NDArray[np.uint8]]) -> None:
        self._session, self._pictures = session, pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self._session.tensor(picture) for picture in self._pictures[place]]
        return self._session.tensor(self._pictures[place])


def _proof(session: FileSession, card: Card, outputs: npt.NDArray[Any], native: Mapping[str, Any] | None) -> Golden | None:
    """Run the self-test on the page's answers to the golden pictures, and compare them with the native runtime's."""
    if not len(outputs):
        return None
    session.answer_with(outputs)
    try:
        found = golden(cast("Session", session), card)  # it has what the self-test needs of a session
    except ModelError as error:
        raise RowCrashed(str(error)) from error
    except CardError as error:
        raise RowRefused(str(error)) from error
    wrong = tuple(f"self-test: {check}" for check in found["failed_checks"])
    if native is None or "golden_scores" not in native:
        return Golden(len(outputs), wrong, None, None)
    worst = worst_difference(found, dict(native))
    return Golden(len(outputs), wrong, worst, f"{native['runtime']} {native['runtime_version']}")
