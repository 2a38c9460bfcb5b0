"""A microcontroller's interpreter as a device of a run: a process on this machine, in an environment of its own."""

import shutil
import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.artifacts.find import Artifact
from bench.machine import environment
from bench.machine.environment import Environment
from bench.machine.memory import available_memory_bytes
from bench.measure.phase_worker import NO_ANSWER
from bench.measure.row import PendingRow, guarded
from bench.measure.worker_pool import Workers
from bench.remote.connect import filled_in
from bench.remote.device_config import INTERPRETER, Device
from bench.remote.device_part import DevicePart
from bench.remote.device_rows import DeviceMeasurement
from bench.remote.microcontroller.measuring import Interpreters, Measured
from bench.remote.request import Request, Say
from bench.results.measurement import NS_PER_MS
from bench.results.outcome import RowRefused
from bench.results.row import ArtifactFile, Golden, Startup, Subject
from bench.results.samples import Samples
from common.files import scratch_folder, sha256_of
from common.micro_figures import how_to_set_up
from common.python_process import module_command
from device.errors import EdgeproofError, RuntimeMissing
from device.formats.model_file import model_size_bytes

WORKERS = "bench.remote.microcontroller"
MEMORY_SHARE = 4  # of what is free: two processes are open beside this one


@dataclass(kw_only=True)
class MicroRow(PendingRow):
    """A row that is measured in the interpreter."""

    measured: Measured | None = None


class InterpreterRun(DevicePart[MicroRow]):
    """The interpreter's part of a run."""

    def __init__(self, device: Device, request: Request, say: Say, stopping: threading.Event) -> None:
        """Plan a row for each artifact. Raises EdgeproofError for a request that names another runtime, or more threads."""
        if any(name != INTERPRETER for name in request.runtimes) or tuple(request.threads) != (1,):
            raise EdgeproofError(
                f"--device {device.name}: its only runtime is the interpreter, with one thread: leave out --runtime and "
                "--threads, or measure it in a run of its own"
            )
        super().__init__(device, request, say, stopping)
        self._pools: tuple[Workers, ...] = ()
        self.rows = [self._row(found) for found in request.artifacts]

    def _measure_rows(self) -> None:
        python = [filled_in(word) for word in self._device.python]
        if shutil.which(python[0]) is None:
            raise RuntimeMissing(f"{python[0]} is not there: {how_to_set_up()}")
        with scratch_folder() as scratch:
            self._measure(python, scratch)

    def stop(self) -> None:
        """End the processes; called from another thread."""
        for pool in self._pools:
            pool.stop()

    def _measure(self, python: list[str], scratch: Path) -> None:
        memory_bytes = available_memory_bytes() // MEMORY_SHARE
        micro = Workers(scratch, memory_bytes, module_command(f"{WORKERS}.micro_worker", python=python))
        reference = Workers(scratch, memory_bytes, module_command(f"{WORKERS}.reference_worker"))
        self._pools = (micro, reference)
        interpreters = Interpreters(micro, reference)
        for row in self.rows:
            if not self._stopping.is_set():
                guarded(row, partial(self._measure_row, row, interpreters, scratch), self._say)

    def _measure_row(self, row: MicroRow, interpreters: Interpreters, scratch: Path) -> None:
        found = row.found
        if found.format != "tflite":
            raise RowRefused("it reads .tflite files alone")
        pictures = self._request.pictures.of(found)
        count = min(self._request.max_pictures or self._device.max_pictures or len(pictures.order), len(pictures.order))
        unusable: dict[int, str] = {}
        pixels = pictures.split.prepared(found.card.preprocess, pictures.order[:count], unusable)
        row.measured = measured = interpreters.measure(found.path, found.card, pixels, scratch)
        row.predictions = measured.predictions
        row.predictions[list(unusable)] = NO_ANSWER
        figures = measured.figures
        said = "no golden pictures inside" if measured.golden is None else measured.golden.text
        self._say(
            f"  {row.subject.key}: {said}; {pictures.right_text(row.predictions)}; {figures.equal} of {figures.compared} "
            f"answers are LiteRT's reference kernels' bit for bit; arena {figures.arena_bytes:,} bytes, "
            f"flash {figures.flash_bytes:,}"
        )

    def _row(self, found: Artifact) -> MicroRow:
        card = found.card
        subject = Subject(card.model, found.name, card.variant, found.format, INTERPRETER, self._device.name, "cpu", 1)
        return MicroRow(found=found, subject=subject)

    # -- results

    def _golden_of(self, row: MicroRow) -> Golden | None:
        return None if row.measured is None else row.measured.golden

    def _finished(self, row: MicroRow) -> DeviceMeasurement | None:
        return None if row.measured is None else self._finish(row, row.measured)

    def _describe(self) -> Environment:
        here = environment.describe()
        versions = sorted({row.measured.figures.interpreter for row in self.rows if row.measured is not None})
        more = {"description": self._device.description, "interpreter": ", ".join(versions) or None}
        return replace(here, cpu=f"{here.cpu}, a 64-bit host of a microcontroller's interpreter", more=more)

    def _finish(self, row: MicroRow, measured: Measured) -> DeviceMeasurement:
        path, pictures = row.found.path, self._request.pictures.of(row.found)
        first_ms = float(measured.latency_ns[0]) / NS_PER_MS
        return DeviceMeasurement(
            subject=row.subject,
            artifact=ArtifactFile(str(path), sha256_of(path), model_size_bytes(path)),
            runtime_version=measured.version,
            answers=self._request.answer_counts(row.found, pictures, row.predictions),
            startup=Startup(0.0, 0.0, first_ms),  # a host's, which nobody is shown
            warmup_calls=0,
            peak_rss_bytes=measured.peak_rss_bytes,
            samples=Samples((measured.latency_ns,), pictures.kept_answers(row.predictions)),
            golden=measured.golden,
            microcontroller=measured.figures,
        )
