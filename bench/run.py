"""A bench run: every artifact in every runtime that can open it; accuracy first, then latency by itself."""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import profiling, sustain
from bench.accelerators import SOFTWARE
from bench.artifacts import Found
from bench.evidence import Evidence, collect, model_name
from bench.measurement import (
    ANY,
    NO_PATH,
    NS_PER_MS,
    Accuracy,
    Artifact,
    Measurement,
    Samples,
    Skipped,
    Startup,
    Subject,
)
from bench.pictures import PictureStore, TestPictures
from bench.process import RowCrashed, RowRefused, Stopped, Workers, available_memory_bytes
from bench.runtimes import OpensGiven, find_device, find_runtime, runtime_names
from bench.watch import Conditions
from bench.worker import Job, Task
from device.classify import EdgeproofError, RuntimeMissing
from train.files import BUILD, scratch_folder, sha256_of, write_json

Say = Callable[[str], None]  # takes a line for people

ACCURACY_SIZES = (10_000, 5_000, 2_000, 1_000, 500)
ACCURACY_AT_A_TIME = 2
REFERENCES = ("keras", "keras_gpu")  # what artifacts are held against: the first that is measured


@dataclass(frozen=True)
class Mode:
    """How long each row is measured, in total over its processes (MLPerf Mobile's modes)."""

    queries: int
    duration_s: float
    processes: int
    accuracy_limit_s: float = 60.0  # a row that would take longer answers a stratified part of the test pictures


MODES = {"rapid": Mode(64, 6, 3, 20), "quick": Mode(128, 10, 5), "normal": Mode(1_024, 60, 5, 600)}


@dataclass(frozen=True)
class Extras:
    """What is done with each row beside accuracy and latency."""

    profile: bool = False
    sustain_s: float = 0.0
    max_memory_bytes: int | None = None  # of each process; None: what is available
    loadgen_folder: Path | None = None  # for the logs of a run under MLPerf's LoadGen; None: no such run


@dataclass
class Row:
    """A row on its way: what its processes have brought so far."""

    found: Found
    subject: Subject
    pictures: TestPictures | None
    runtime_version: str = ""
    accelerator_name: str | None = None
    loadgen: dict[str, Any] | None = None
    predictions: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    top_scores: npt.NDArray[np.float32] | None = None
    accuracy_threads: int = 1
    latencies_ns: list[npt.NDArray[np.int64]] = field(default_factory=list)
    startups_ns: list[npt.NDArray[np.int64]] = field(default_factory=list)
    paths_ns: list[npt.NDArray[np.int64]] = field(default_factory=lambda: [NO_PATH])
    conditions: list[Conditions] = field(default_factory=list)
    warmup_calls: int = 0
    peak_rss_bytes: int = 0
    reason: str | None = None  # why it is skipped
    crashed: bool = False

    def job(self, task: Task, **more: Any) -> Job:
        """Describe what a process of this row does."""
        document = dict(self.found.card.document)
        return Job(
            task=task,
            runtime=self.subject.runtime,
            path=str(self.found.path.resolve()),
            threads=self.subject.threads,
            card=document if self.found.card.labels else None,
            given=None if self.found.given is None else self.found.given.to_json(),
            pictures=None if self.pictures is None else str(self.pictures.path),
            files=() if self.pictures is None else self.pictures.files,
            **more,
        )


@dataclass(frozen=True)
class Outcome:
    """What a run brought. An interrupted one brings the rows that were finished by then."""

    measured: list[Measurement]
    skipped: list[Skipped]
    crashed: bool
    evidence: list[Evidence]
    interrupted: bool = False


def run(
    artifacts: Sequence[Found],
    runtimes: Sequence[str],
    mode: Mode,
    threads: Sequence[int],
    say: Say,
    data: Path | None = None,
    seed: int = 0,
    extras: Extras | None = None,
) -> Outcome:
    """Measure each artifact in each of the runtimes (all that open its format where none is named), at each thread count.

    Accuracy is over the test part of the artifact's own data set, or over a folder of class folders, `data`. Ctrl-C ends
    the run and keeps the rows that are finished.
    """
    extras = extras or Extras()
    here, absent = sort_out(runtimes, {found.format for found in artifacts}, threads[0])
    for skip in absent:
        say(f"  {skip.subject.runtime}: skipped: {skip.reason}")
    with scratch_folder() as scratch:
        workers = Workers(scratch, extras.max_memory_bytes or available_memory_bytes() // ACCURACY_AT_A_TIME)
        rows = _rows(artifacts, here, threads, PictureStore(scratch, data, say))
        if not rows and not absent:
            raise EdgeproofError(f"none of the runtimes {', '.join(runtimes)} opens any of the given files")
        interrupted = False
        try:
            _measure(rows, workers, mode, seed, say)
            _do_extras(rows, workers, mode, extras, say)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            workers.stop()
        finished = [row for row in rows if row.reason is None and len(row.latencies_ns) == mode.processes]
        evidence = _evidence(finished)
    if interrupted:
        say(f"interrupted: {len(finished)} of {len(rows)} rows are finished and kept")
    measured = [_finish(row, rows) for row in finished]
    skipped = [*absent, *(Skipped(row.subject, row.reason) for row in rows if row.reason is not None)]
    asked_in_vain = bool(runtimes and absent)  # asked for by name and not there: design.md's exit code 1
    return Outcome(measured, skipped, asked_in_vain or any(row.crashed for row in rows), evidence, interrupted)


def sort_out(asked: Sequence[str], formats: set[str], threads: int) -> tuple[list[str], list[Skipped]]:
    """Return the runtimes to run, and one skipped row for each whose accelerator is not here.

    A device made of software is only run where its runtime is asked for by name. Raises EdgeproofError for an unknown one.
    """
    here: list[str] = []
    absent: list[Skipped] = []
    for name in asked or runtime_names():
        opened = sorted(find_runtime(name).FORMATS & formats)
        try:
            device = find_device(name) if opened else None
            if device is not None and device.accelerator == SOFTWARE and name not in asked:
                raise RuntimeMissing(f"no GPU but {device.name}, which is software: `--runtime {name}` runs it all the same")
            here.append(name)
        except RuntimeMissing as missing:
            absent.append(Skipped(Subject(ANY, None, ANY, opened[0], name, "host", "gpu", threads), str(missing)))
    return here, absent


def _rows(artifacts: Sequence[Found], runtimes: Sequence[str], threads: Sequence[int], pictures: PictureStore) -> list[Row]:
    """Return the rows of a run. Raises EdgeproofError where two files would be the same row."""
    rows = [
        Row(found, subject_of(found, runtime, count), pictures.of(found))
        for found in artifacts
        for runtime in runtimes
        if _opens(runtime, found)
        for count in threads
    ]
    seen: dict[str, Path] = {}
    for row in rows:
        other = seen.setdefault(row.subject.key, row.found.path)
        if other != row.found.path:
            raise EdgeproofError(f"{row.found.path}, {other}: both would be the row {row.subject.key}: rename one")
    return list({row.subject.key: row for row in rows}.values())  # a file that is named twice is measured once


def _opens(name: str, found: Found) -> bool:
    runtime = find_runtime(name)
    return found.format in runtime.FORMATS and (found.given is None or isinstance(runtime, OpensGiven))


def _measure(rows: Sequence[Row], workers: Workers, mode: Mode, seed: int, say: Say) -> None:
    """Run accuracy, two rows at a time, then latency, one process at a time in random order."""
    firsts: dict[tuple[Path, str], Row] = {}
    for row in rows:
        firsts.setdefault((row.found.path, row.subject.runtime), row)
    with_pictures = [row for row in firsts.values() if row.pictures is not None]
    say(f"accuracy of {len(with_pictures)} rows, {ACCURACY_AT_A_TIME} at a time")
    pool = ThreadPoolExecutor(ACCURACY_AT_A_TIME)
    try:
        list(pool.map(lambda row: _guarded(row, lambda row: _measure_accuracy(row, workers, mode), say), with_pictures))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    for row in rows:  # the other thread counts: answers do not hang on them
        first = firsts[row.found.path, row.subject.runtime]
        row.predictions, row.top_scores, row.accuracy_threads = first.predictions, first.top_scores, first.subject.threads
        row.reason, row.crashed = first.reason, first.crashed
    schedule = [row for row in rows if row.reason is None for _ in range(mode.processes)]
    random.Random(seed).shuffle(schedule)  # a machine's drift then hits all rows alike
    say(f"latency in {len(schedule)} processes, one at a time in random order")
    for row in schedule:
        _guarded(row, lambda row: _measure_latency(row, workers, mode), say)


def _do_extras(rows: Sequence[Row], workers: Workers, mode: Mode, extras: Extras, say: Say) -> None:
    logs = extras.loadgen_folder
    if logs is not None:
        for row in rows:
            if row.reason is None:
                _tried(row, lambda row: _run_under_loadgen(row, workers, mode, logs.resolve() / row.subject.key, say), say)
    for row in rows:
        if extras.profile and row.reason is None:
            _tried(row, lambda row: _profile(row, workers, say), say)
    for row in rows:
        if extras.sustain_s and row.reason is None:
            _tried(row, lambda row: _sustain(row, workers, extras.sustain_s, say), say)


def _tried(row: Row, extra: Callable[[Row], None], say: Say) -> None:
    """Do something beside a row's measurement: its failure leaves the row as it was measured."""
    try:
        extra(row)
    except RowRefused as refusal:
        say(f"  {row.subject.key}: {refusal}")
    except RowCrashed as crash:
        row.crashed = True
        say(f"  {row.subject.key}: {crash}")


def _profile(row: Row, workers: Workers, say: Say) -> None:
    with workers.result_of(row.job("profile")) as result:
        operations = json.loads(str(result["operations"]))
        version = str(result["runtime_version"])
    path = _beside(row, "profile")
    about = {"subject": vars(row.subject), "runtime_version": version, "artifact_sha256": sha256_of(row.found.path)}
    note = getattr(find_runtime(row.subject.runtime), "PROFILE_NOTE", "as the runtime tells it")
    write_json(path, {**about, "note": note, "operations": operations})
    say(f"profile of {row.subject.key}, in {path}")
    say(f"  ({note})")
    for line in profiling.text([profiling.Operation(**entry) for entry in operations]):
        say(line)


def _run_under_loadgen(row: Row, workers: Workers, mode: Mode, folder: Path, say: Say) -> None:
    job = row.job("loadgen", queries=mode.queries, duration_ns=int(mode.duration_s * 1e9), loadgen=str(folder))
    with workers.result_of(job) as result:
        row.loadgen = json.loads(str(result["loadgen"]))
    p90_ms = row.loadgen["p90_ms"]
    p90 = "too few queries for a p90" if p90_ms is None else f"p90 {p90_ms:.4f} ms"
    verdict = "valid" if row.loadgen["valid"] else "INVALID"
    say(f"  {row.subject.key}: LoadGen: {verdict}, {row.loadgen['queries']:,} queries, {p90}")


def _sustain(row: Row, workers: Workers, seconds: float, say: Say) -> None:
    """Keep a row busy and tell each minute as it ends; what was told is on disk, whatever comes after."""
    path = _beside(row, "sustain")
    told: list[sustain.Minute] = []
    say(f"sustained load of {row.subject.key} for {seconds:,.0f} s, into {path}")
    say("  " + "  ".join(sustain.COLUMNS))
    try:
        for line in workers.lines_of(row.job("sustain", duration_ns=int(seconds * 1e9))):
            told.append(sustain.Minute.from_json(line))
            minutes = [minute.to_json() for minute in told]
            write_json(path, {"subject": vars(row.subject), "verdict": sustain.verdict(told), "minutes": minutes})
            say(sustain.line(told[-1]))
    finally:
        say(f"  {sustain.verdict(told)}")


def _beside(row: Row, kind: str) -> Path:
    return BUILD / kind / f"{row.subject.key.replace('/', '-')}.json"


def subject_of(found: Found, runtime: str, threads: int) -> Subject:
    """Name the row of an artifact in a runtime on this machine."""
    card, device = found.card, find_device(runtime)
    accelerator = "cpu" if device is None else device.accelerator
    return Subject(card.model, found.name, card.variant, found.format, runtime, "host", accelerator, threads)


def _guarded(row: Row, measure: Callable[[Row], str], say: Say) -> None:
    """Run one measuring process of a row; one that fails costs the row, not the run."""
    if row.reason is not None:
        return
    try:
        say(f"  {row.subject.key}: {measure(row)}")
    except Stopped:
        return  # the run was interrupted: the row is not finished
    except RowRefused as refusal:
        row.reason = str(refusal)
    except RowCrashed as crash:
        row.reason, row.crashed = str(crash), True
    if row.reason is not None:
        say(f"  {row.subject.key}: skipped: {row.reason}")


def _measure_accuracy(row: Row, workers: Workers, mode: Mode) -> str:
    assert row.pictures is not None
    total = len(row.pictures.labels)
    sizes = tuple(size for size in ACCURACY_SIZES if size < total)
    with workers.result_of(row.job("accuracy", sizes=(total, *sizes), limit_s=mode.accuracy_limit_s)) as result:
        row.predictions = result["predictions"]
        row.top_scores = result.get("top_scores", None)
        _see_where_it_ran(row, result)
    correct = int((row.predictions == row.pictures.labels[: len(row.predictions)]).sum())
    limit = f", the first {len(row.predictions):,} only: all would take over {mode.accuracy_limit_s:.0f} s"
    return f"{correct:,} of {len(row.predictions):,} right{'' if len(row.predictions) == total else limit}"


def _measure_latency(row: Row, workers: Workers, mode: Mode) -> str:
    queries = -(-mode.queries // mode.processes)
    duration_ns = int(mode.duration_s * 1e9 / mode.processes)
    with workers.result_of(row.job("latency", queries=queries, duration_ns=duration_ns)) as result:
        row.latencies_ns.append(result["latency_ns"])
        row.startups_ns.append(result["startup_ns"])
        row.paths_ns.append(result["path_ns"])
        row.conditions.append(Conditions.from_json(json.loads(str(result["conditions"]))))
        row.runtime_version = str(result["runtime_version"])
        row.warmup_calls = max(row.warmup_calls, int(result["warmup_calls"]))
        row.peak_rss_bytes = max(row.peak_rss_bytes, int(result["peak_rss_bytes"]))
        _see_where_it_ran(row, result)
    return f"p50 {np.median(row.latencies_ns[-1]) / NS_PER_MS:.4f} ms"


def _see_where_it_ran(row: Row, result: Any) -> None:
    """Take the accelerator that really computed, whatever was asked for."""
    if "accelerator" in result:
        row.subject = replace(row.subject, accelerator=str(result["accelerator"]))
        row.accelerator_name = str(result["accelerator_name"])


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
        samples=Samples(tuple(row.latencies_ns), row.predictions, np.concatenate(row.paths_ns), row.top_scores),
        conditions=tuple(row.conditions),
        accelerator_name=row.accelerator_name,
        loadgen=row.loadgen,
    )


def startup_of(startups_ns: Sequence[Iterable[int]]) -> Startup:
    """Return the medians of the processes' import, load, first inference and time to steady state, and those of each."""
    processes_ms = tuple(tuple(float(ns) / NS_PER_MS for ns in process) for process in startups_ns)
    import_ms, load_ms, first_ms, steady_ms = (float(np.median(times)) for times in zip(*processes_ms, strict=True))
    return Startup(import_ms, load_ms, first_ms, steady_ms, processes_ms)


def _evidence(rows: Sequence[Row]) -> list[Evidence]:
    """Keep what the predictions of each model are held against, while its prepared pictures are still there."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.pictures is not None:
            groups.setdefault((model_name(vars(row.subject)), row.pictures.sha256), []).append(row)
    return [_evidence_of(model, same) for (model, _), same in groups.items()]


def _evidence_of(model: str, rows: Sequence[Row]) -> Evidence:
    test, labels = rows[0].pictures, rows[0].found.card.labels
    assert test is not None
    pixels = np.load(test.path, mmap_mode="r", allow_pickle=False)
    return collect(model, test.sha256, test.labels, labels, pixels, [row.predictions for row in rows])


def _accuracy(row: Row, rows: Sequence[Row]) -> Accuracy:
    """Count right answers, and those that are the reference's, on the pictures that both have seen."""
    if row.pictures is None:
        return Accuracy(0, 0, None, 0, None)
    reference = _reference(row, rows)
    common = 0 if reference is None else min(len(reference), len(row.predictions))
    agree = None if reference is None else int((reference[:common] == row.predictions[:common]).sum())
    correct = int((row.predictions == row.pictures.labels[: len(row.predictions)]).sum())
    return Accuracy(correct, len(row.predictions), agree, common, row.pictures.sha256, row.accuracy_threads)


def _reference(row: Row, rows: Sequence[Row]) -> npt.NDArray[np.uint16] | None:
    for other in rows:
        same_model = (other.subject.model, other.subject.name) == (row.subject.model, row.subject.name)
        if same_model and other.subject.runtime in REFERENCES and len(other.predictions):
            return other.predictions
    return None
