"""A bench run on devices over SSH: everything is measured on the device, by the same classify.py that users run."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.artifacts.find import Artifact
from bench.machine import board_health
from bench.machine.board_health import Health
from bench.machine.environment import Environment
from bench.measure.job import TRIAL_PICTURES
from bench.measure.row import ACCURACY_SIZES, PendingRow, startup_of
from bench.remote.classify_output import read_answers, read_bench
from bench.remote.connect import reachable
from bench.remote.deployed_program import PROCESS_LIMIT_S, DeviceProgram
from bench.remote.device_config import Device
from bench.remote.device_part import DevicePart
from bench.remote.device_rows import DeviceMeasurement, describe, health_json
from bench.remote.golden_check import compare, job, read_marked
from bench.remote.picture_shards import SHARD, DevicePictures
from bench.remote.provision import Place, set_up_device
from bench.remote.reconnecting_link import Link
from bench.remote.request import DeviceOutcome, Request, Say
from bench.results.emulated import NOT_A_LATENCY
from bench.results.measurement import NS_PER_MS
from bench.results.outcome import RowCrashed, RowRefused
from bench.results.row import ArtifactFile, Golden, Skipped, Startup, Subject
from bench.results.samples import Samples
from common.counts import counted
from common.files import sha256_of
from convert.deployment.compatibility import check
from convert.deployment.one_file import device_archive
from convert.deployment.target import Target, Wheel
from device.formats.model_file import model_size_bytes

ACCURACY_LIMIT_S = 60.0
CLOCK_TOLERANCE_S = 60


@dataclass(kw_only=True)
class DeviceRow(PendingRow):
    """A row that is measured on a device."""

    wheel: Wheel
    sha256: str
    golden: Golden | None = None
    healths: list[tuple[Health, list[Health], Health]] = field(default_factory=list)  # before, during, after each process

    @property
    def file(self) -> str:
        """Return its path on the device, by its content, so that nothing is pushed twice."""
        return f"files/{self.sha256}/{self.found.path.name}"


class DeviceRun(DevicePart[DeviceRow]):
    """One device's part of a run."""

    def __init__(self, device: Device, request: Request, say: Say, stopping: threading.Event) -> None:
        super().__init__(device, request, say, stopping)
        self._link: Link | None = None
        self._program: DeviceProgram
        self._cpuinfo = ""
        self._code = device_archive()  # once: later edits of the source must not change a running run
        self._processes = request.mode.processes if device.times_count else 1
        self._environment: Environment | None = None
        self.rows = []
        self.skipped: list[Skipped] = []

    def stop(self) -> None:
        """End what runs on the device; called from another thread."""
        if self._link is not None:
            self._link.close()

    def _measure_rows(self) -> None:
        with reachable(self._device) as device:
            link = Link(device.address, device.python, device.folder, self._say, self._stopping)
            with link as self._link:
                self._measure_on(device, link)

    def _measure_on(self, device: Device, link: Link) -> None:
        off_s = float(link.facts["clock_off_s"])
        if abs(off_s) > CLOCK_TOLERANCE_S:
            self._say(f"its clock is {off_s:+,.0f} s off: no figure depends on it, but correct it (timedatectl)")
        place = set_up_device(link, device, self._runtime_names(), self._request.offline, self._say)
        self._plan(place)
        health = self._health()
        self._environment = describe(device, link.facts, place, health, self._cpuinfo)
        self._request.refuse_another_machine(self._environment, device.name)
        if device.times_count:
            self._say(board_health.summary(health))
        self._program = DeviceProgram(link, place.runner, self._code)
        for row in self._going():
            self._program.push(row.file, row.found.path.read_bytes())
        for row in self._going():
            self._program.push_pictures(self._pictures(row), 1)
        self._say(f"golden pictures of {counted(len(self._going()), 'row')}")
        for row in self._going():
            self._guarded(row, self._golden if device.times_count else self._golden_and_pictures)
        if device.times_count:
            self._measure_times_and_accuracy()

    def _measure_times_and_accuracy(self) -> None:
        schedule = [row for row in self._going() for _ in range(self._processes)]
        random.Random(self._request.seed).shuffle(schedule)  # the board's heat then affects all rows alike
        self._say(f"latency in {counted(len(schedule), 'process', 'processes')}, one at a time in random order")
        for row in schedule:
            self._guarded(row, self._latency)
        self._say(f"accuracy of {counted(len(self._going()), 'row')}")
        for row in self._going():
            self._guarded(row, self._accuracy)

    # -- planning

    def _runtime_names(self) -> list[str]:
        return sorted({wheel.runtime for _, wheel in self._request.wanted})

    def _plan(self, place: Place) -> None:
        digests = {found.path: sha256_of(found.path) for found in self._request.artifacts}
        for found, wheel in self._request.wanted:
            reason = place.why_not(wheel) or cannot_load(found, wheel, place)
            for threads in self._request.threads:
                subject = self._subject(found, wheel, threads)
                if reason is None:
                    self.rows.append(DeviceRow(found=found, subject=subject, wheel=wheel, sha256=digests[found.path]))
                else:
                    self.skipped.append(Skipped(subject, reason))
                    self._say(f"  {subject.key}: skipped: {reason}")

    def _subject(self, found: Artifact, wheel: Wheel, threads: int) -> Subject:
        card = found.card
        return Subject(card.model, found.name, card.variant, found.format, wheel.runtime, self._device.name, "cpu", threads)

    def _going(self) -> list[DeviceRow]:
        return [row for row in self.rows if row.reason is None]

    def _pictures(self, row: DeviceRow) -> DevicePictures:
        return self._request.pictures.of(row.found)

    def _guarded(self, row: DeviceRow, measure: Callable[[DeviceRow], str]) -> None:
        if row.reason is not None:
            return
        try:
            self._say(f"  {row.subject.key}: {measure(row)}")
        except RowRefused as refusal:
            row.reason = str(refusal)
        except RowCrashed as crash:
            row.reason, row.crashed = str(crash), True
        if row.reason is not None:
            self._say(f"  {row.subject.key}: skipped: {row.reason}")

    # -- on the device

    @property
    def _far(self) -> Link:
        assert self._link is not None
        return self._link

    def _classify(self, row: DeviceRow, arguments: Sequence[str], limit_s: float, watch: bool = False) -> dict[str, Any]:
        """Run classify.py on the device with a row's artifact. Raises RowRefused or RowCrashed."""
        runtime = ["--runtime", row.wheel.runtime] if row.found.format == "tflite" else []
        argv = [row.file, *arguments, "--threads", str(row.subject.threads), *runtime]
        return self._program.classify(argv, limit_s, watch)

    def _golden(self, row: DeviceRow) -> str:
        """Run the artifact's self-test on the device: phase_worker.py calls the functions of the same classify.py."""
        return self._prove(row, 0)[0]

    def _prove(self, row: DeviceRow, count: int) -> tuple[str, dict[str, Any]]:
        """Compare the answers to the golden pictures, and answer the first `count` test pictures in the same process."""
        pictures = self._pictures(row)
        self._program.push_pictures(pictures, count)
        phases = job(row.found, row.wheel.runtime, row.subject.threads, pictures.sources(count))
        brought = read_marked(self._program.run_phases(phases, row.file))
        row.golden = compare(row.found, brought, self._request.golden_here.of(row.found, row.wheel.runtime))
        return "no golden pictures inside" if row.golden is None else row.golden.text, brought

    def _golden_and_pictures(self, row: DeviceRow) -> str:
        """Answer golden and test pictures in one process: each start takes seconds, and times do not count."""
        pictures = self._pictures(row)
        count = self._most(pictures)
        said, brought = self._prove(row, count)
        row.peak_rss_bytes = int(brought["peak_rss_bytes"] or 0)  # without the emulator's, which classify.py cannot separate
        row.runtime_version = str(brought["runtime_version"])
        if not brought["latency_ns"]:
            raise RowRefused("it can use none of its test pictures")
        row.startups_ns.append(brought["startup_ns"])
        row.latencies_ns.append(np.array(brought["latency_ns"], np.int64))
        row.healths.append((Health(), [], Health()))
        row.predictions = np.array(brought["predictions"], np.uint16)
        return f"{said}; {pictures.right_text(row.predictions)}; {NOT_A_LATENCY}"

    def _latency(self, row: DeviceRow) -> str:
        mode, pictures = self._request.mode, self._pictures(row)
        sources = pictures.sources(min(SHARD, len(pictures.order)))
        queries, seconds = -(-mode.queries // mode.processes), mode.duration_s / mode.processes
        arguments = ["--bench", "--queries", str(queries), "--seconds", str(seconds), *sources]
        before = self._health()
        result = self._classify(row, arguments, PROCESS_LIMIT_S + seconds, watch=True)
        during = [board_health.parse(files) for files in result["watched"]]
        brought = read_bench(result["output"], row.wheel.runtime)
        row.healths.append((before, during, self._health()))
        row.runtime_version = brought["runtime_version"]
        row.latencies_ns.append(np.array(brought["latency_ns"], np.int64))
        row.startups_ns.append(brought["startup_ns"])
        row.warmup_calls = max(row.warmup_calls, brought["warmup_calls"])
        row.peak_rss_bytes = max(row.peak_rss_bytes, brought["peak_rss_bytes"])
        return f"p50 {np.median(row.latencies_ns[-1]) / NS_PER_MS:.4f} ms"

    def _accuracy(self, row: DeviceRow) -> str:
        pictures = self._pictures(row)
        total = self._most(pictures)
        count = min(TRIAL_PICTURES, total)
        row.predictions, spent_ms = self._answers(row, pictures.sources(count), count, PROCESS_LIMIT_S)
        if count < total:
            picture_s = spent_ms / 1000 / count
            sizes = (total, *(size for size in ACCURACY_SIZES if size < total))
            count = next((size for size in sizes if size * picture_s <= ACCURACY_LIMIT_S), sizes[-1])
            self._program.push_pictures(pictures, count)
            limit_s = PROCESS_LIMIT_S + 3 * count * picture_s
            row.predictions, _ = self._answers(row, pictures.sources(count), count, limit_s)
        cut = "" if count == total else f", only the first {count:,}: all would take over a minute"
        return f"{pictures.right_text(row.predictions)}{cut}"

    def _most(self, pictures: DevicePictures) -> int:
        wanted = self._request.max_pictures or self._device.max_pictures or len(pictures.order)
        return min(wanted, len(pictures.order))

    def _answers(
        self, row: DeviceRow, sources: Sequence[str], count: int, limit_s: float
    ) -> tuple[npt.NDArray[np.uint16], float]:
        output = self._classify(row, [*sources, "--top", "1"], limit_s)["output"]
        return read_answers(output, row.found.card.labels, count)

    def _health(self) -> Health:
        if not self._device.times_count:  # the host is not the board
            return Health()
        read = self._far.ask(
            "read", files=list(board_health.FILES), commands=[list(words) for words in board_health.COMMANDS]
        )
        self._cpuinfo = str(read["files"].get("/proc/cpuinfo", ""))
        return board_health.parse(read["files"], read["commands"])

    # -- results

    def _outcome(self, lost: str | None) -> DeviceOutcome:
        """Collect the rows; a device that failed before its rows were planned lacks every one of them."""
        if lost is not None and not self.rows and not self.skipped:
            self.skipped = [
                Skipped(self._subject(found, wheel, threads), lost)
                for found, wheel in self._request.wanted
                for threads in self._request.threads
            ]
        found = super()._outcome(lost)
        return replace(found, skipped=self.skipped + found.skipped)

    def _golden_of(self, row: DeviceRow) -> Golden | None:
        return row.golden

    def _describe(self) -> Environment | None:
        return self._environment

    def _finished(self, row: DeviceRow) -> DeviceMeasurement | None:
        if row.reason is not None or len(row.latencies_ns) != self._processes or not len(row.predictions):
            return None
        return self._finish(row)

    def _finish(self, row: DeviceRow) -> DeviceMeasurement:
        pictures = self._pictures(row)
        unhealthy = [board_health.why_invalid(*process) for process in row.healths]
        return DeviceMeasurement(
            subject=row.subject,
            artifact=ArtifactFile(str(row.found.path), row.sha256, model_size_bytes(row.found.path)),
            runtime_version=row.runtime_version,
            answers=self._request.answer_counts(row.found, pictures, row.predictions),
            startup=startup_of(row.startups_ns) if self._device.times_count else _untimed_startup(row.startups_ns[0]),
            warmup_calls=row.warmup_calls,
            peak_rss_bytes=row.peak_rss_bytes,
            samples=Samples(tuple(row.latencies_ns), pictures.kept_answers(row.predictions)),
            health=health_json(row.healths, self._device.emulated),
            why_unhealthy=next((reason for reason in unhealthy if reason), None),
            golden=row.golden,
        )


def _untimed_startup(startup_ns: Sequence[int]) -> Startup:
    import_ms, load_ms, first_ms = (ns / NS_PER_MS for ns in startup_ns)
    return Startup(import_ms, load_ms, first_ms)


def cannot_load(found: Artifact, wheel: Wheel, place: Place) -> str | None:
    """Say why the device's runtime cannot load a file (convert check), or None: it can, or it must be tried."""
    if place.installed.get(wheel.distribution) != wheel.version:
        return None  # another version is not known: trying it will show
    verdict = check(found.path, Target(place.target.name, place.target.description, only_wheel=wheel.requirement))
    return None if verdict.runs else str(verdict)
