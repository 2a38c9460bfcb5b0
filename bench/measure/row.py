"""A row while it is measured, and how long it is measured."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bench.artifacts.evaluation_pictures import TestPictures
from bench.artifacts.find import Artifact
from bench.machine.conditions import Conditions
from bench.measure.job import Job, Task
from bench.measure.worker_pool import Stopped
from bench.results.measurement import NS_PER_MS
from bench.results.outcome import RowCrashed, RowRefused
from bench.results.row import HOST, Startup, Subject
from bench.results.samples import NO_PATH
from bench.runtimes import find_accelerator
from bench.stats import percentiles

Say = Callable[[str], None]  # takes a line for people
T = TypeVar("T")

ACCURACY_SIZES = (10_000, 5_000, 2_000, 1_000, 500)


@dataclass(frozen=True)
class Mode:
    """How long each row is measured, in total over its processes (the least queries of MLPerf Mobile's modes)."""

    queries: int
    duration_s: float
    processes: int
    accuracy_limit_s: float = 60.0  # of CPU time; a slower row answers a stratified part of the test pictures
    further_rounds: int = 0  # at most, where a round was disturbed or a row is not known precisely
    enough_queries: int | None = None  # a row that has so many takes half the time


# Rapid: more rounds and less time in each than MLPerf's 6 s, since p50 differs from process to process, not within one
MODES = {
    "rapid": Mode(64, 2, 4, further_rounds=4, enough_queries=percentiles.MIN_P99),
    "quick": Mode(128, 10, 5, further_rounds=3),
    "normal": Mode(1_024, 60, 5, 600, further_rounds=2),
}


@dataclass(frozen=True)
class Extras:
    """What is done with each row besides accuracy and latency."""

    profile: bool = False
    sustain_s: float = 0.0
    max_memory_bytes: int | None = None  # of each process; None: a share of the available memory
    loadgen_folder: Path | None = None  # for the logs of MLPerf's LoadGen; None: it is not used


@dataclass(kw_only=True)
class PendingRow:
    """A row while it is measured: the results of its processes so far."""

    found: Artifact
    subject: Subject
    runtime_version: str = ""
    predictions: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    latencies_ns: list[npt.NDArray[np.int64]] = field(default_factory=list)
    startups_ns: list[Sequence[int]] = field(default_factory=list)
    warmup_calls: int = 0
    peak_rss_bytes: int = 0  # 0: not known, as under gVisor, where /proc does not say it
    reason: str | None = None  # why it is skipped
    crashed: bool = False


@dataclass(kw_only=True)
class HostRow(PendingRow):
    """A row that is measured on this machine."""

    pictures: TestPictures | None
    accelerator_name: str | None = None
    loadgen: dict[str, Any] | None = None
    top_scores: npt.NDArray[np.float32] | None = None
    accuracy_threads: int = 1
    paths_ns: list[npt.NDArray[np.int64]] = field(default_factory=lambda: [NO_PATH])
    conditions: list[Conditions] = field(default_factory=list)
    turn_queries: list[npt.NDArray[np.int64]] = field(default_factory=list)  # of each turn, by process
    turn_cycles: list[npt.NDArray[np.int64]] = field(default_factory=list)  # the number of the cycle of each, by process
    rounds_left_out: int = 0  # something slowed nearly all of their turns
    held_bytes: int = 0  # the most that a process of this row was seen to hold when it was warm; 0: not known yet

    @property
    def rounds_measured(self) -> int:
        """Return in how many rounds it took turns, with those that were left out."""
        return len(self.latencies_ns) + self.rounds_left_out

    def job(self, task: Task, **more: Any) -> Job:
        """Describe what a process of this row does."""
        document = dict(self.found.card.document)
        return Job(
            task=task,
            runtime=self.subject.runtime,
            path=str(self.found.path.resolve()),
            threads=self.subject.threads,
            card=document if self.found.card.labels else None,
            cardless=None if self.found.cardless is None else self.found.cardless.to_json(),
            pictures=None if self.pictures is None else str(self.pictures.path),
            files=() if self.pictures is None else self.pictures.files,
            **more,
        )


def guarded(row: PendingRow, measure: Callable[[], T], say: Say) -> T | None:
    """Run one measuring process of a row, or one turn of it; if that fails, only this row is lost, and None is returned."""
    if row.reason is not None:
        return None
    try:
        return measure()
    except Stopped:
        return None  # the run was interrupted: the row is not finished
    except RowRefused as refusal:
        row.reason = str(refusal)
    except RowCrashed as crash:
        row.reason, row.crashed = str(crash), True
    say(f"  {row.subject.key}: skipped: {row.reason}")
    return None


def subject_for(found: Artifact, runtime: str, threads: int) -> Subject:
    """Name the row of an artifact in a runtime on this machine."""
    card, device = found.card, find_accelerator(runtime)
    accelerator = "cpu" if device is None else device.accelerator
    return Subject(card.model, found.name, card.variant, found.format, runtime, HOST, accelerator, threads)


def startup_of(startups_ns: Sequence[Iterable[int]]) -> Startup:
    """Return the medians of the processes' import, load, first inference and time to steady state, and those of each."""
    processes_ms = tuple(tuple(float(ns) / NS_PER_MS for ns in process) for process in startups_ns)
    import_ms, load_ms, first_ms, steady_ms = (float(np.median(times)) for times in zip(*processes_ms, strict=True))
    return Startup(import_ms, load_ms, first_ms, steady_ms, processes_ms)
