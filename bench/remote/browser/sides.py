"""The sides of a gate that are in a browser: each in a fresh page, one page at a time in random order."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.measure.fresh_processes import Answers, FreshProcesses, Process, Side, named
from bench.measure.interleaving import Round
from bench.measure.phase_worker import golden_pictures
from bench.remote.browser.browser import find_browser
from bench.remote.browser.file_session import FileSession
from bench.remote.browser.measuring import TIMED_TENSORS, Pages, Timing, session_for, task_of
from bench.remote.browser.page_result import PageResult
from bench.remote.browser.page_server import serving
from bench.remote.connect import filled_in
from bench.remote.device_config import find_device
from bench.remote.picture_shards import DevicePictureStore
from bench.results.row import HOST
from bench.stats.turns import COMPARED, log_ratios
from common.files import scratch_folder
from device.inference import top_k

PAGE = Timing(pages=1, blocks=16, seconds=0.3)  # p50 is steady within a page: more pages show more than longer ones
ONLY_ANSWERS = Timing(pages=1, blocks=1, seconds=0.0)


class Sides:
    """Measures sides in fresh processes of this machine, or in fresh pages of a browser."""

    def __init__(self, here: FreshProcesses, stack: ExitStack, data: Path | None = None) -> None:
        self._here, self._stack = here, stack
        self._pages: dict[str, Pages] = {}
        self._pictures = DevicePictureStore(data)

    def process(self, side: Side) -> Process:
        """Measure in one new process or page. Raises SideFailed where it is refused or crashes, RuntimeMissing."""
        if side.device == HOST:
            return self._here.process(side)
        page, version = self._timed(side)
        return Process(page.latency_ns, np.array(page.startup_ns), version)

    def round(self, sides: Sequence[Side], order: random.Random) -> Round:
        """Measure a new process or page of each side. Raises SideFailed as `process` does.

        Pages take no turns of milliseconds: beside other pages a browser's threads would share the cores.
        """
        if all(side.device == HOST for side in sides):
            return self._here.round(sides, order)
        found: dict[int, npt.NDArray[np.int64]] = {}
        for place in order.sample(range(len(sides)), len(sides)):
            found[place] = self._timed(sides[place])[0].latency_ns
        compared_ns, p50_ns = (
            np.array([np.quantile(found[place], share) for place in range(len(sides))]) for share in (COMPARED, 0.5)
        )
        return Round(log_ratios(compared_ns[None]), p50_ns)

    def answers(self, side: Side) -> Answers:
        """Return the answers to all test pictures of the artifact's data set. Raises SideFailed as `process` does."""
        if side.device == HOST:
            return self._here.answers(side)
        pictures = self._pictures.of(side.found)
        pixels = pictures.split.prepared(side.found.card.preprocess, pictures.order, {})
        session, page = self._visited(side, list(pixels), len(pixels), ONLY_ANSWERS)
        outputs = page.values.reshape(len(pixels), session.outputs)
        predictions = [top_k(session.scores(output), 1)[0] for output in outputs]
        return Answers(np.array(predictions, np.int64), pictures.labels)

    def _timed(self, side: Side) -> tuple[PageResult, str]:
        """Return a page's times, and the version of its runtime."""
        card = side.found.card
        shape = (TIMED_TENSORS, card.height, card.width, card.channels)
        pixels = golden_pictures(card) or list(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        session, page = self._visited(side, pixels, 0, PAGE)
        return page, session.runtime_version

    def _visited(
        self, side: Side, pixels: Sequence[npt.NDArray[np.uint8]], answers: int, timing: Timing
    ) -> tuple[FileSession, PageResult]:
        found = side.found
        with named(side):
            pages, packages = self._pages_of(side.device)
            session = session_for(found, side.runtime, packages)
            task = task_of(session, found.path, found.card, pixels, answers, side.threads, timing)
            return session, pages.visit(task)[0]

    def _pages_of(self, name: str) -> tuple[Pages, Path]:
        """Return what opens pages in a device's browser, and its packages; made once. Raises RuntimeMissing."""
        device = find_device(name)
        packages = Path(filled_in(device.packages))
        if name not in self._pages:
            browser = find_browser(device.browser)
            scratch = self._stack.enter_context(scratch_folder())
            server = self._stack.enter_context(serving(packages))
            self._pages[name] = Pages(server, browser, scratch, threading.Event())
        return self._pages[name], packages


@contextmanager
def with_browsers(here: FreshProcesses, data: Path | None = None) -> Iterator[Sides]:
    """Yield what measures sides here and in browsers, with pictures of `data`; a browser starts when a side needs it."""
    with ExitStack() as stack:
        yield Sides(here, stack, data)
