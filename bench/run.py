"""A bench run: every artifact in every runtime that can open it; accuracy first, then latency by itself."""

import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.artifacts import Found
from bench.measurement import NS_PER_MS, Accuracy, Artifact, Measurement, Samples, Skipped, Startup, Subject
from bench.runtimes import find_runtime, runtime_names
from bench.worker import EXIT_REFUSED, Job, job_json
from device.classify import Card, EdgeproofError
from train.data import DataReference, labelled_split, open_dataset, stratified_order
from train.files import sha256_of

Say = Callable[[str], None]  # takes a line for people

ROOT = Path(__file__).resolve().parent.parent
ACCURACY_SIZES = (10_000, 5_000, 2_000, 1_000, 500)
ACCURACY_LIMIT_S = 60.0
ACCURACY_AT_A_TIME = 2
WORKER_TIMEOUT_S = 900
REFERENCE = "keras"
NO_LABEL = -1  # no answer is equal to it


@dataclass(frozen=True)
class Mode:
    """How long each row is measured, in total over its processes (MLPerf Mobile's modes)."""

    queries: int
    duration_s: float
    processes: int


MODES = {"rapid": Mode(64, 6, 3), "quick": Mode(128, 10, 5), "normal": Mode(1_024, 60, 5)}


class RowRefused(Exception):
    """A row that cannot be measured: the runtime is missing or refuses the model. The message is the reason."""


class RowCrashed(Exception):
    """A row whose process died."""


@dataclass(frozen=True)
class TestPictures:
    """Prepared test pictures on disk, in the nested order: every prefix is stratified by class."""

    path: Path
    labels: npt.NDArray[np.int64]
    sha256: str


@dataclass
class Row:
    """A row on its way: what its processes have brought so far."""

    found: Found
    subject: Subject
    pictures: TestPictures
    runtime_version: str = ""
    predictions: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    latencies_ns: list[npt.NDArray[np.int64]] = field(default_factory=list)
    startups_ns: list[npt.NDArray[np.int64]] = field(default_factory=list)
    warmup_calls: int = 0
    peak_rss_bytes: int = 0
    reason: str | None = None  # why it is skipped
    crashed: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a run brought."""

    measured: list[Measurement]
    skipped: list[Skipped]
    crashed: bool


def run(
    artifacts: Sequence[Found],
    runtimes: Sequence[str],
    mode: Mode,
    threads: int,
    say: Say,
    data: Path | None = None,
    seed: int = 0,
) -> Outcome:
    """Measure each artifact in each of the runtimes (all that open its format where none is named).

    Accuracy is over the test part of the artifact's own data set, or over a folder of class folders, `data`.
    """
    for name in runtimes:
        find_runtime(name)
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as name:
        scratch = Path(name)
        pictures = PictureStore(scratch, data, say)
        rows = [
            Row(found, subject_of(found, runtime, threads), pictures.of(found))
            for found in artifacts
            for runtime in runtimes or runtime_names()
            if found.format in find_runtime(runtime).FORMATS
        ]
        if not rows:
            raise EdgeproofError(f"none of the runtimes {', '.join(runtimes)} opens any of the given files")
        say(f"accuracy of {len(rows)} rows, {ACCURACY_AT_A_TIME} at a time")
        with ThreadPoolExecutor(ACCURACY_AT_A_TIME) as pool:
            list(pool.map(lambda row: _guarded(row, lambda row: _measure_accuracy(row, scratch), say), rows))
        schedule = [row for row in rows if row.reason is None for _ in range(mode.processes)]
        random.Random(seed).shuffle(schedule)  # a machine's drift then hits all rows alike
        say(f"latency in {len(schedule)} processes, one at a time in random order")
        for row in schedule:
            _guarded(row, lambda row: _measure_latency(row, scratch, mode), say)
    measured = [_finish(row, rows) for row in rows if row.reason is None]
    skipped = [Skipped(row.subject, row.reason) for row in rows if row.reason is not None]
    return Outcome(measured, skipped, any(row.crashed for row in rows))


def subject_of(found: Found, runtime: str, threads: int) -> Subject:
    """Name the row of an artifact in a runtime on this machine."""
    card = found.card
    return Subject(card.model, found.name, card.variant, found.format, runtime, "host", "cpu", threads)


class PictureStore:
    """The prepared test pictures of each data set and preprocessing, prepared once and kept in a scratch folder."""

    def __init__(self, folder: Path, data: Path | None, say: Say) -> None:
        self._folder, self._data, self._say = folder, data, say
        self._kept: dict[str, TestPictures] = {}

    def of(self, found: Found) -> TestPictures:
        """Return an artifact's test pictures. Raises EdgeproofError where its test part is no longer the same."""
        provenance: dict[str, Any] = found.card.document.get("provenance", {})
        if self._data is None and "dataset" not in provenance:
            raise EdgeproofError(f"{found.path}: its card names no data set: convert it again, or give --data FOLDER")
        steps = [step.to_json() for step in found.card.preprocess]
        source = str(self._data) if self._data else provenance["dataset"]
        key = repr((source, steps, found.card.labels))
        if key not in self._kept:
            self._kept[key] = self._prepare(found.card)
        pictures = self._kept[key]
        if self._data is None and provenance["dataset_sha256"]["test"] != pictures.sha256:
            raise EdgeproofError(f"{found.path}: the data set's test part is not the one of training: train again")
        return pictures

    def _prepare(self, card: Card) -> TestPictures:
        """Prepare the test pictures for a card. One that the steps cannot use counts as answered wrongly, and is said."""
        if self._data is None:
            test = open_dataset(DataReference.from_json(card.document["provenance"]["dataset"])).test
        else:
            test = labelled_split(self._data, card.labels)
        order = stratified_order(test.labels, seed=0)
        path = self._folder / f"pictures{len(self._kept)}.npy"
        unusable: dict[int, str] = {}
        np.save(path, test.prepared(card.preprocess, order, unusable))
        labels = test.labels[order]
        labels[list(unusable)] = NO_LABEL
        for reason in unusable.values():
            self._say(f"  counted as wrong: {reason}")
        return TestPictures(path, labels, test.sha256)


def _guarded(row: Row, measure: Callable[[Row], str], say: Say) -> None:
    """Run one measuring process of a row; one that fails costs the row, not the run."""
    if row.reason is not None:
        return
    try:
        say(f"  {row.subject.key}: {measure(row)}")
    except RowRefused as refusal:
        row.reason = str(refusal)
    except RowCrashed as crash:
        row.reason, row.crashed = str(crash), True
    if row.reason is not None:
        say(f"  {row.subject.key}: skipped: {row.reason}")


def _measure_accuracy(row: Row, scratch: Path) -> str:
    total = len(row.pictures.labels)
    sizes = tuple(size for size in ACCURACY_SIZES if size < total)
    with result_of(row, scratch, sizes=(total, *sizes), limit_s=ACCURACY_LIMIT_S) as result:
        row.predictions = result["predictions"]
        row.runtime_version = str(result["runtime_version"])
    correct = int((row.predictions == row.pictures.labels[: len(row.predictions)]).sum())
    cut = "" if len(row.predictions) == total else f", the first {len(row.predictions):,} only: all would take over a minute"
    return f"{correct:,} of {len(row.predictions):,} right{cut}"


def _measure_latency(row: Row, scratch: Path, mode: Mode) -> str:
    queries = -(-mode.queries // mode.processes)
    duration_ns = int(mode.duration_s * 1e9 / mode.processes)
    with result_of(row, scratch, queries=queries, duration_ns=duration_ns) as result:
        row.latencies_ns.append(result["latency_ns"])
        row.startups_ns.append(result["startup_ns"])
        row.warmup_calls = max(row.warmup_calls, int(result["warmup_calls"]))
        row.peak_rss_bytes = max(row.peak_rss_bytes, int(result["peak_rss_bytes"]))
    return f"p50 {np.median(row.latencies_ns[-1]) / NS_PER_MS:.4f} ms"


@contextmanager
def result_of(row: Row, scratch: Path, **task: Any) -> Iterator[Any]:
    """Run a job in a process of its own and yield the arrays that it wrote."""
    with tempfile.NamedTemporaryFile(suffix=".npz", dir=scratch) as result:
        job = Job(
            runtime=row.subject.runtime,
            path=str(row.found.path.resolve()),
            card=dict(row.found.card.document),
            threads=row.subject.threads,
            pictures=str(row.pictures.path),
            result=result.name,
            **task,
        )
        command = [sys.executable, "-m", "bench.worker"]
        try:
            process = subprocess.run(
                command, input=job_json(job), cwd=ROOT, capture_output=True, text=True, timeout=WORKER_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise RowCrashed(f"its process was stopped after {WORKER_TIMEOUT_S} s") from error
        last_line = (process.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        if process.returncode == EXIT_REFUSED:
            raise RowRefused(last_line)
        if process.returncode != 0:
            raise RowCrashed(f"its process ended with {process.returncode}: {last_line}")
        with np.load(result.name, allow_pickle=False) as arrays:
            yield arrays


def _finish(row: Row, rows: Sequence[Row]) -> Measurement:
    path = row.found.path
    return Measurement(
        subject=row.subject,
        artifact=Artifact(str(path), sha256_of(path), path.stat().st_size),
        runtime_version=row.runtime_version,
        accuracy=_accuracy(row, rows),
        startup=startup_of(row.startups_ns),
        warmup_calls=row.warmup_calls,
        peak_rss_bytes=row.peak_rss_bytes,
        samples=Samples(tuple(row.latencies_ns), row.predictions),
    )


def startup_of(startups_ns: Sequence[npt.NDArray[np.int64]]) -> Startup:
    """Return the medians of the processes' import, load and first inference, and those of each process."""
    processes_ms = tuple(tuple(float(ns) / NS_PER_MS for ns in process) for process in startups_ns)
    import_ms, load_ms, first_ms = (float(np.median(times)) for times in zip(*processes_ms, strict=True))
    return Startup(import_ms, load_ms, first_ms, processes_ms)


def _accuracy(row: Row, rows: Sequence[Row]) -> Accuracy:
    """Count right answers, and those that are the reference's, on the pictures that both have seen."""
    reference = _reference(row, rows)
    common = 0 if reference is None else min(len(reference), len(row.predictions))
    agree = None if reference is None else int((reference[:common] == row.predictions[:common]).sum())
    correct = int((row.predictions == row.pictures.labels[: len(row.predictions)]).sum())
    return Accuracy(correct, len(row.predictions), agree, common, row.pictures.sha256)


def _reference(row: Row, rows: Sequence[Row]) -> npt.NDArray[np.uint16] | None:
    for other in rows:
        same_model = (other.subject.model, other.subject.name) == (row.subject.model, row.subject.name)
        if same_model and other.subject.runtime == REFERENCE:
            return other.predictions
    return None
