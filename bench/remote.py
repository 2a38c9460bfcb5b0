"""A bench run on devices over SSH: everything is measured there, by the very classify.py that a user runs there."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import device_health
from bench.artifacts import Found
from bench.device_answers import RowCrashed, RowRefused, read_answers, read_bench
from bench.device_file import Device
from bench.device_golden import Golden, HostAnswers, compare, job, read_marked
from bench.device_health import Health
from bench.device_pictures import SHARD, DevicePictures, DevicePictureStore
from bench.device_program import CLASSIFY, PROCESS_LIMIT_S, DeviceProgram
from bench.device_rows import DeviceMeasurement, describe, health_json
from bench.emulated import NOT_A_LATENCY
from bench.link import Link
from bench.measurement import NS_PER_MS, Accuracy, Artifact, Measurement, Samples, Skipped, Startup, Subject
from bench.provision import Place, provide
from bench.reach import reachable
from bench.run import ACCURACY_SIZES, Mode, startup_of
from bench.runtimes import find_runtime
from bench.ssh import DeviceLost
from convert.check import check
from convert.target import Target, Wheel, wheels
from device.classify import EdgeproofError, printable
from train.files import sha256_of

Say = Callable[[str], None]

ACCURACY_LIMIT_S = 60.0
TRIAL_PICTURES = 20
CLOCK_TOLERANCE_S = 60
EMULATED_PICTURES = 100  # an emulated inference takes some twenty times as long


@dataclass
class Row:
    """A row on its way: what its processes on the device have brought so far."""

    found: Found
    subject: Subject
    wheel: Wheel
    sha256: str
    runtime_version: str = ""
    predictions: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    latencies_ns: list[npt.NDArray[np.int64]] = field(default_factory=list)
    startups_ns: list[list[int]] = field(default_factory=list)
    warmup_calls: int = 0
    peak_rss_bytes: int = 0
    golden: Golden | None = None
    healths: list[tuple[Health, list[Health], Health]] = field(default_factory=list)  # before, during, after each process
    reason: str | None = None  # why it is skipped
    crashed: bool = False

    @property
    def file(self) -> str:
        """Return its name on the device: by content, so that nothing is pushed twice."""
        return f"files/{self.sha256}/{self.found.path.name}"


@dataclass(frozen=True)
class DeviceOutcome:
    """What a run on one device brought."""

    device: str
    measured: list[Measurement]
    skipped: list[Skipped]
    environment: dict[str, Any] | None  # None: it was never reached
    failures: list[str]  # a line each: lost, a row that crashed, golden pictures answered otherwise


@dataclass(frozen=True)
class Request:
    """What is to be measured, the same for all devices of a run."""

    artifacts: Sequence[Found]
    runtimes: Sequence[str]  # empty: all that open the file and that the device can have
    mode: Mode
    threads: Sequence[int]
    pictures: DevicePictureStore
    reference: Callable[[Found, str], npt.NDArray[np.uint16] | None]  # Keras' answers to a test part, by its hash
    offline: bool = False
    most_pictures: int | None = None  # of each row; None: as many as there is time for
    golden_here: HostAnswers = field(default_factory=HostAnswers)
    seed: int = 0


def run(devices: Sequence[Device], request: Request, say: Say) -> Iterator[DeviceOutcome]:
    """Measure on all devices side by side; yield each one's outcome when it is done. A dead one costs its rows only.

    Ctrl-C ends what runs on the devices, and yields the rows that are finished by then before it is raised.
    """
    for name in request.runtimes:
        find_runtime(name)
    deployable = [found for found in request.artifacts if found.format != "keras"]
    request = replace(request, artifacts=deployable)
    if not deployable or not _wanted(request):
        raise EdgeproofError("none of the given files runs on a device in the given runtimes: name .tflite or .onnx files")
    for found in deployable:
        request.pictures.of(found)  # what is wrong with a data set is wrong for every device: it is said before any is asked
    stopping = threading.Event()
    with ThreadPoolExecutor(len(devices)) as pool:
        runs = [DeviceRun(device, request, _voice(say, device.name), stopping) for device in devices]
        futures = [pool.submit(device_run.measure) for device_run in runs]
        waiting, interrupted = set(futures), False
        while waiting:
            try:
                future = next(as_completed(waiting))
            except KeyboardInterrupt:
                interrupted = True
                stopping.set()
                for device_run in runs:
                    device_run.stop()
                continue
            waiting.remove(future)
            yield future.result()
    if interrupted:
        raise KeyboardInterrupt


class DeviceRun:
    """One device's part of a run."""

    def __init__(self, device: Device, request: Request, say: Say, stopping: threading.Event) -> None:
        self._device, self._request, self._say, self._stopping = device, request, say, stopping
        self._link: Link | None = None
        self._program: DeviceProgram
        self._cpuinfo = ""
        self._code = CLASSIFY.read_bytes()  # once: whoever edits it meanwhile changes no run that is under way
        self._processes = 1 if device.emulated else request.mode.processes
        self._environment: dict[str, Any] | None = None
        self.rows: list[Row] = []
        self.skipped: list[Skipped] = []

    def measure(self) -> DeviceOutcome:
        """Do everything; whatever the device does, the outcome says it."""
        lost = None
        with ExitStack() as stack:
            try:
                device = stack.enter_context(reachable(self._device))
                link = Link(device.address, device.python, device.folder, self._say, self._stopping)
                self._link = stack.enter_context(link)
                self._measure(device, link)
            except DeviceLost as error:
                lost = str(error)
        if lost is not None and not self._stopping.is_set():
            self._say(f"lost: {lost}")
        return self._outcome(lost)

    def stop(self) -> None:
        """End what runs there; called from another thread."""
        if self._link is not None:
            self._link.close()

    def _measure(self, device: Device, link: Link) -> None:
        off_s = float(link.facts["clock_off_s"])
        if abs(off_s) > CLOCK_TOLERANCE_S:
            self._say(f"its clock is {off_s:+,.0f} s off: no figure depends on it, but set it (timedatectl)")
        place = provide(link, device, self._runtime_names(), self._request.offline, self._say)
        self._plan(place)
        health = self._health()
        self._environment = describe(device, link.facts, place, health, self._cpuinfo)
        if not device.emulated:
            self._say(device_health.summary(health))
        self._program = DeviceProgram(link, place.runner, self._code)
        for row in self._going():
            self._program.push(row.file, row.found.path.read_bytes())
        for row in self._going():
            self._program.push_pictures(self._pictures(row), 1)
        self._say(f"golden pictures of {len(self._going())} rows")
        for row in self._going():
            self._guarded(row, self._golden)
        if device.emulated:  # has answered its pictures with the golden ones, and no time of it is a latency
            return
        schedule = [row for row in self._going() for _ in range(self._processes)]
        random.Random(self._request.seed).shuffle(schedule)  # a board's heat then hits all rows alike
        self._say(f"latency in {len(schedule)} processes, one at a time in random order")
        for row in schedule:
            self._guarded(row, self._latency)
        self._say(f"accuracy of {len(self._going())} rows")
        for row in self._going():
            self._guarded(row, self._accuracy)

    # -- what there is to do

    def _runtime_names(self) -> list[str]:
        return sorted({wheel.runtime for _, wheel in _wanted(self._request)})

    def _plan(self, place: Place) -> None:
        digests = {found.path: sha256_of(found.path) for found in self._request.artifacts}
        for found, wheel in _wanted(self._request):
            reason = place.why_not(wheel) or cannot_load(found, wheel, place)
            for threads in self._request.threads:
                subject = self._subject(found, wheel, threads)
                if reason is None:
                    self.rows.append(Row(found, subject, wheel, digests[found.path]))
                else:
                    self.skipped.append(Skipped(subject, reason))
                    self._say(f"  {subject.key}: skipped: {reason}")

    def _subject(self, found: Found, wheel: Wheel, threads: int) -> Subject:
        card = found.card
        return Subject(card.model, found.name, card.variant, found.format, wheel.runtime, self._device.name, "cpu", threads)

    def _going(self) -> list[Row]:
        return [row for row in self.rows if row.reason is None]

    def _pictures(self, row: Row) -> DevicePictures:
        return self._request.pictures.of(row.found)

    def _guarded(self, row: Row, measure: Callable[[Row], str]) -> None:
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

    def _classify(self, row: Row, arguments: Sequence[str], limit_s: float, watch: bool = False) -> dict[str, Any]:
        """Run classify.py there on a row's artifact. Raises RowRefused or RowCrashed."""
        runtime = ["--runtime", row.wheel.runtime] if row.found.format == "tflite" else []
        argv = [row.file, *arguments, "--threads", str(row.subject.threads), *runtime]
        return self._program.classify(argv, limit_s, watch)

    def _golden(self, row: Row) -> str:
        """Let the artifact prove itself there: bench/marked.py calls the functions of the very same classify.py.

        On an emulated device, where each start of a process takes seconds, test pictures are answered along with it.
        """
        pictures, emulated = self._pictures(row), bool(self._device.emulated)
        count = self._most(pictures) if emulated else 0
        self._program.push_pictures(pictures, count)
        phases = job(row.found, row.wheel.runtime, row.subject.threads, pictures.sources(count))
        brought = read_marked(self._program.run_phases(phases, row.file))
        row.golden = compare(row.found, brought, self._request.golden_here.of(row.found, row.wheel.runtime))
        said = "no golden pictures inside" if row.golden is None else row.golden.text
        if not emulated:
            return said
        row.peak_rss_bytes = int(brought["peak_rss_bytes"])  # less the emulator's, which classify.py cannot know of
        row.runtime_version = str(brought["runtime_version"])
        if not brought["latency_ns"]:
            raise RowRefused("none of its test pictures can be used there")
        row.startups_ns.append(brought["startup_ns"])
        row.latencies_ns.append(np.array(brought["latency_ns"], np.int64))
        row.healths.append((Health(), [], Health()))
        row.predictions = np.array(brought["predictions"], np.uint16)
        return f"{said}; {int((row.predictions == pictures.labels[:count]).sum()):,} of {count:,} right; {NOT_A_LATENCY}"

    def _latency(self, row: Row) -> str:
        mode, pictures = self._request.mode, self._pictures(row)
        sources = pictures.sources(min(SHARD, len(pictures.order)))
        queries, seconds = -(-mode.queries // mode.processes), mode.duration_s / mode.processes
        arguments = ["--bench", "--queries", str(queries), "--seconds", str(seconds), *sources]
        before = self._health()
        result = self._classify(row, arguments, PROCESS_LIMIT_S + seconds, watch=True)
        during = [device_health.parse(files) for files in result["watched"]]
        brought = read_bench(result["output"], row.wheel.runtime)
        row.healths.append((before, during, self._health()))
        row.runtime_version = brought["runtime_version"]
        row.latencies_ns.append(np.array(brought["latency_ns"], np.int64))
        row.startups_ns.append(brought["startup_ns"])
        row.warmup_calls = max(row.warmup_calls, brought["warmup_calls"])
        row.peak_rss_bytes = max(row.peak_rss_bytes, brought["peak_rss_bytes"])
        return f"p50 {np.median(row.latencies_ns[-1]) / NS_PER_MS:.4f} ms"

    def _accuracy(self, row: Row) -> str:
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
        correct = int((row.predictions == pictures.labels[:count]).sum())
        cut = "" if count == total else f", the first {count:,} only: all would take over a minute"
        return f"{correct:,} of {count:,} right{cut}"

    def _most(self, pictures: DevicePictures) -> int:
        asked = self._request.most_pictures or (EMULATED_PICTURES if self._device.emulated else len(pictures.order))
        return min(asked, len(pictures.order))

    def _answers(self, row: Row, sources: Sequence[str], count: int, limit_s: float) -> tuple[npt.NDArray[np.uint16], float]:
        output = self._classify(row, [*sources, "--top", "1"], limit_s)["output"]
        return read_answers(output, row.found.card.labels, count)

    def _health(self) -> Health:
        if self._device.emulated:  # the machine below is not the board
            return Health()
        read = self._far.ask(
            "read", files=list(device_health.FILES), commands=[list(words) for words in device_health.COMMANDS]
        )
        self._cpuinfo = str(read["files"].get("/proc/cpuinfo", ""))
        return device_health.parse(read["files"], read["commands"])

    # -- what came of it

    def _outcome(self, lost: str | None) -> DeviceOutcome:
        """Gather what is finished; of an interrupted run the rest is not skipped but still to do."""
        if self._stopping.is_set():
            lost = None
        elif lost is not None and not self.rows and not self.skipped:  # it got nowhere: every row is missing
            self.skipped = [
                Skipped(self._subject(found, wheel, threads), lost)
                for found, wheel in _wanted(self._request)
                for threads in self._request.threads
            ]
        done = [row for row in self.rows if row.reason is None and len(row.latencies_ns) == self._processes]
        done = [row for row in done if len(row.predictions)]
        kept = {id(row) for row in done}
        reasons = [(row.subject, row.reason or lost) for row in self.rows if id(row) not in kept]
        skipped = [Skipped(subject, reason) for subject, reason in reasons if reason is not None]
        measured = [self._finish(row) for row in done]
        failures = [] if lost is None else [f"{self._device.name}: lost: {lost}"]
        failures += [f"{row.subject.key}: {row.reason}" for row in self.rows if row.crashed]
        wrong = [(row.subject.key, row.golden) for row in self.rows if row.golden is not None and row.golden.deviations]
        failures += [f"{key}: {golden.text}" for key, golden in wrong]
        return DeviceOutcome(self._device.name, measured, self.skipped + skipped, self._environment, failures)

    def _finish(self, row: Row) -> Measurement:
        pictures = self._pictures(row)
        count = len(row.predictions)
        reference = self._request.reference(row.found, pictures.split.sha256)
        common = 0 if reference is None else min(len(reference), count)
        agree = None if reference is None or not common else int((reference[:common] == row.predictions[:common]).sum())
        correct = int((row.predictions == pictures.labels[:count]).sum())
        emulated = bool(self._device.emulated)
        unhealthy = [device_health.why_invalid(*process) for process in row.healths]
        return DeviceMeasurement(
            subject=row.subject,
            artifact=Artifact(str(row.found.path), row.sha256, row.found.path.stat().st_size),
            runtime_version=row.runtime_version,
            accuracy=Accuracy(correct, count, agree, common, pictures.split.sha256),
            startup=_emulated_startup(row.startups_ns[0]) if emulated else startup_of(row.startups_ns),
            warmup_calls=row.warmup_calls,
            peak_rss_bytes=row.peak_rss_bytes,
            samples=Samples(tuple(row.latencies_ns), row.predictions),
            health=health_json(row.healths, self._device.emulated),
            why_unhealthy=next((reason for reason in unhealthy if reason), None),
            golden=row.golden,
        )


def _emulated_startup(startup_ns: Sequence[int]) -> Startup:
    import_ms, load_ms, first_ms = (ns / NS_PER_MS for ns in startup_ns)
    return Startup(import_ms, load_ms, first_ms)


def _wanted(request: Request) -> list[tuple[Found, Wheel]]:
    """Return every artifact with each of the runtimes that open its format and were asked for."""
    return [
        (found, wheel)
        for found in request.artifacts
        for wheel in wheels()
        if wheel.format == found.format and wheel.runtime in (request.runtimes or {wheel.runtime})
    ]


def cannot_load(found: Found, wheel: Wheel, place: Place) -> str | None:
    """Say why the runtime that is there cannot load a file (convert check), or None: it can, or it is to be tried."""
    if place.installed.get(wheel.distribution) != wheel.version:
        return None  # of another version nothing is known: the device will say
    verdict = check(found.path, Target(place.target.name, place.target.description, only_wheel=wheel.requirement))
    return None if verdict.runs else str(verdict)


def _voice(say: Say, name: str) -> Say:
    return lambda text: say(f"[{name}] {printable(text)}")  # a device may say what it likes
