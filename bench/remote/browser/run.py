"""A browser as a device of a run: fresh pages on this machine, whose answers and times are compared with native ones."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.artifacts.find import Artifact
from bench.machine import environment
from bench.machine.accelerators import SOFTWARE
from bench.machine.conditions import Conditions
from bench.machine.environment import Environment
from bench.measure.phase_worker import NO_ANSWER
from bench.measure.phases import Phases, run_host
from bench.measure.row import PendingRow, guarded, startup_of
from bench.remote.browser.browser import find_browser
from bench.remote.browser.measuring import Measured, Pages, Timing, measure, session_for
from bench.remote.browser.packages import version_of
from bench.remote.browser.page_server import serving
from bench.remote.connect import filled_in
from bench.remote.device_config import Device
from bench.remote.device_part import DevicePart
from bench.remote.device_rows import DeviceMeasurement
from bench.remote.request import Request, Say
from bench.results.browser_figures import BrowserFigures
from bench.results.measurement import NS_PER_MS
from bench.results.row import ArtifactFile, Golden, Subject
from bench.results.samples import Samples
from bench.runtimes.browser import browser_runtime_names, browser_runtimes_by_default, find_browser_runtime, on_webgpu
from common.files import scratch_folder, sha256_of
from device.errors import EdgeproofError
from device.formats.model_file import model_size_bytes

MIN_PAGES = 5  # pages differ more than the calls in one


@dataclass(kw_only=True)
class BrowserRow(PendingRow):
    """A row that is measured in a browser."""

    measured: Measured | None = None
    native: Mapping[str, Any] | None = None  # what the runtime of this machine answered


class BrowserRun(DevicePart[BrowserRow]):
    """A browser's part of a run."""

    def __init__(self, device: Device, request: Request, say: Say, stopping: threading.Event) -> None:
        """Plan a row for each artifact and number of threads. Raises EdgeproofError where there is none."""
        names = browser_runtime_names()
        wanted = [name for name in names if name in (request.runtimes or browser_runtimes_by_default())]
        if not wanted:
            raise EdgeproofError(
                f"--device {device.name}: its runtimes are {', '.join(names)}: name one of them, or none for those on "
                "WebAssembly"
            )
        super().__init__(device, request, say, stopping)
        self._packages = Path(filled_in(device.packages))
        mode = request.mode
        pages = max(MIN_PAGES, mode.processes)
        self._timing = Timing(pages, -(-mode.queries // pages), mode.duration_s / pages)
        self._natives: dict[tuple[Path, str], Mapping[str, Any] | None] = {}
        self.rows = [
            self._row(found, name, threads)
            for found in request.artifacts
            for name in wanted
            if found.format in find_browser_runtime(name).FORMATS
            for threads in request.threads
        ]
        if not self.rows:
            raise EdgeproofError(f"--device {device.name}: none of the given files runs in {' or '.join(wanted)}")

    def _measure_rows(self) -> None:
        browser = find_browser(self._device.browser)
        for name in sorted({row.subject.runtime for row in self.rows}):
            version_of(self._packages, name)
        with scratch_folder() as scratch, serving(self._packages) as server:
            pages = Pages(server, browser, scratch, self._stopping)
            for row in self.rows:
                if not self._stopping.is_set():
                    guarded(row, partial(self._measure_row, row, pages), self._say)

    def stop(self) -> None:
        """Do nothing: once `stopping` is set, no page is awaited any more, and its browser is ended."""

    def _measure_row(self, row: BrowserRow, pages: Pages) -> None:
        session = session_for(row.found, row.subject.runtime, self._packages)
        pictures = self._request.pictures.of(row.found)
        count = min(self._request.max_pictures or self._device.max_pictures or len(pictures.order), len(pictures.order))
        unusable: dict[int, str] = {}
        pixels = pictures.split.prepared(row.found.card.preprocess, pictures.order[:count], unusable)
        row.native = self._native_answers(row, pixels, pages.scratch)
        measured = measure(
            pages, session, row.found.path, row.found.card, pixels, row.subject.threads, self._timing, row.native
        )
        measured.predictions[list(unusable)] = NO_ANSWER
        row.measured, row.predictions, row.runtime_version = measured, measured.predictions, session.runtime_version
        if any(page.software for page in measured.pages):
            row.subject = replace(row.subject, accelerator=SOFTWARE)
        golden = "no golden pictures inside" if measured.golden is None else measured.golden.text
        p50_ms = np.median(np.concatenate([page.latency_ns for page in measured.pages])) / NS_PER_MS
        self._say(
            f"  {row.subject.key}: {golden}; {pictures.right_text(row.predictions)}; p50 {p50_ms:.4f} ms over "
            f"{len(measured.pages)} pages; {measured.download_bytes / 1e6:.1f} MB to download"
        )

    def _native_answers(self, row: BrowserRow, pixels: npt.NDArray[np.uint8], scratch: Path) -> Mapping[str, Any] | None:
        """Return what the same file answers in the runtime of this machine; None where it does not run here."""
        found, native = row.found, find_browser_runtime(row.subject.runtime).NATIVE
        key = (found.path, native)
        if key not in self._natives:
            prepared = scratch / "pictures.npy"
            np.save(prepared, pixels)
            golden = bool(found.card.document.get("golden"))
            try:
                phases = Phases(found.path, native, inferences=0, golden=golden, pictures=prepared)
                self._natives[key] = run_host([], phases)
            except EdgeproofError:
                self._natives[key] = None
        return self._natives[key]

    def _row(self, found: Artifact, runtime: str, threads: int) -> BrowserRow:
        card = found.card
        processor = "gpu" if on_webgpu(runtime) else "cpu"
        subject = Subject(card.model, found.name, card.variant, found.format, runtime, self._device.name, processor, threads)
        return BrowserRow(found=found, subject=subject)

    # -- results

    def _golden_of(self, row: BrowserRow) -> Golden | None:
        return None if row.measured is None else row.measured.golden

    def _finished(self, row: BrowserRow) -> DeviceMeasurement | None:
        return None if row.measured is None else self._finish(row, row.measured)

    def _describe(self) -> Environment:
        here = environment.describe()
        browsers = sorted({row.measured.pages[0].browser for row in self.rows if row.measured is not None})
        return replace(here, more={"description": self._device.description, "browser": ", ".join(browsers) or None})

    def _finish(self, row: BrowserRow, measured: Measured) -> DeviceMeasurement:
        path, pictures, pages = row.found.path, self._request.pictures.of(row.found), measured.pages
        return DeviceMeasurement(
            subject=row.subject,
            artifact=ArtifactFile(str(path), sha256_of(path), model_size_bytes(path)),
            runtime_version=row.runtime_version,
            answers=self._request.answer_counts(row.found, pictures, row.predictions),
            startup=startup_of([page.startup_ns for page in pages]),
            warmup_calls=max(page.warmup_calls for page in pages),
            peak_rss_bytes=measured.peak_rss_bytes,
            samples=Samples(tuple(page.latency_ns for page in pages), pictures.kept_answers(row.predictions)),
            conditions=tuple(Conditions(steady=page.steady) for page in pages),
            golden=measured.golden,
            accelerator_name=pages[0].adapter,
            browser=self._figures(row, measured),
        )

    def _figures(self, row: BrowserRow, measured: Measured) -> BrowserFigures:
        native, pages = row.native, measured.pages
        answers = np.empty(0, np.uint16) if native is None else np.array(native["predictions"], np.uint16)
        usable = row.predictions[: len(answers)] != NO_ANSWER
        return BrowserFigures(
            browser=pages[0].browser,
            isolated=all(page.isolated for page in pages),
            clock_step_us=measured.clock_step_us,
            block=max(page.block for page in pages),
            fetch_ms=measured.median_ms(lambda page: page.fetch_ms),
            compile_ms=measured.median_ms(lambda page: page.compile_ms),
            first_inference_ms=measured.median_ms(lambda page: page.first_ms),
            download_bytes=measured.download_bytes,
            download_gzip_bytes=measured.download_gzip_bytes,
            native=None if native is None else f"{native['runtime']} {native['runtime_version']}",
            compared=int(usable.sum()),
            same_class=int((row.predictions[: len(answers)] == answers)[usable].sum()),
        )
