"""Fresh processes, one at a time or in turns: the only place where the gate depends on how a row is measured."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.artifacts.evaluation_pictures import DATA_ADVICE, PictureStore
from bench.artifacts.find import Artifact
from bench.machine.memory import available_memory_bytes
from bench.measure.interleaving import Round, Turn, take_turns
from bench.measure.job import Job, Task
from bench.measure.row import HostRow, subject_for
from bench.measure.worker_pool import Talk, Workers
from bench.results.outcome import RowCrashed, RowRefused
from bench.results.row import HOST
from common.files import scratch_folder
from device.errors import EdgeproofError

PROCESS_QUERIES = 64
PROCESS_DURATION_NS = 300_000_000  # p50 is steady within a process: more processes show more than longer ones
ACCURACY_LIMIT_S = 300.0


@dataclass(frozen=True)
class Side:
    """An artifact in a runtime."""

    found: Artifact
    runtime: str
    threads: int = 1
    device: str = HOST  # or a browser on this machine: bench/remote/browser/sides.py


@dataclass(frozen=True)
class Process:
    """What one process measured."""

    latency_ns: npt.NDArray[np.int64]  # (queries,)
    startup_ns: npt.NDArray[np.int64]  # (4,): import, load, first inference, until steady
    runtime_version: str


class SideFailed(EdgeproofError):
    """A side that its runtime refuses, or whose process has crashed."""

    def __init__(self, side: Side, reason: str) -> None:
        super().__init__(f"{side.found.path} in {side.runtime}: {reason}")
        self.side = side


@dataclass(frozen=True)
class Answers:
    """The answers of a side to the test pictures, and their labels, both (N,)."""

    predictions: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]

    @property
    def right(self) -> int:
        """Return how many answers are right."""
        return int((self.predictions == self.labels).sum())


class FreshProcesses:
    """Measures in new processes; a context manager, since prepared pictures are kept in a scratch folder."""

    def __init__(self, say: Callable[[str], None], with_pictures: bool = True, data: Path | None = None) -> None:
        """Without pictures the input is random: for latencies alone. `data` replaces the artifacts' own test pictures."""
        self._say, self._with_pictures, self._data = say, with_pictures, data
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        scratch = self._exit.enter_context(scratch_folder())
        self._pictures = PictureStore(scratch, self._data, self._say)
        self._workers = Workers(scratch, available_memory_bytes())
        self._exit.callback(self._workers.stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def running(self) -> int:
        """Return how many processes are running."""
        return self._workers.running

    def process(self, side: Side) -> Process:
        """Measure in one new process. Raises SideFailed where it is refused or crashes."""
        names = ("latency_ns", "startup_ns", "runtime_version")
        latency_ns, startup_ns, version = self._run(
            side, "latency", names, queries=PROCESS_QUERIES, duration_ns=PROCESS_DURATION_NS
        )
        return Process(latency_ns, startup_ns, str(version))

    def round(self, sides: Sequence[Side], order: random.Random) -> Round:
        """Measure a new process of each side in turns, started in random order. Raises SideFailed as `process` does."""
        with self.side_by_side(sides, order) as partners:
            return take_turns(partners, order)

    @contextmanager
    def side_by_side(self, sides: Sequence[Side], order: random.Random) -> Iterator[list["Partner"]]:
        """Start a new process of each side, in random order, and end them all."""
        with ExitStack() as stack:
            places = order.sample(range(len(sides)), len(sides))
            partners = {place: stack.enter_context(self._partner(sides[place])) for place in places}
            yield [partners[place] for place in range(len(sides))]

    def answers(self, side: Side) -> Answers:
        """Return the answers to all test pictures of the artifact's data set. Raises SideFailed as `process` does.

        Raises EdgeproofError where there are no test pictures.
        """
        pictures = self._pictures.of(side.found)
        if pictures is None:
            raise EdgeproofError(f"{side.found.path}: its card names no labelled test pictures: {DATA_ADVICE}")
        sizes = (len(pictures.labels),)
        (predictions,) = self._run(side, "accuracy", ("predictions",), sizes=sizes, limit_s=ACCURACY_LIMIT_S)
        return Answers(predictions.astype(np.int64), pictures.labels)

    @contextmanager
    def _partner(self, side: Side) -> Iterator["Partner"]:
        with named(side), self._workers.talking_to(self._job(side, "turns")) as talk:
            yield Partner(side, talk)

    def _run(self, side: Side, task: Task, names: tuple[str, ...], **more: Any) -> list[npt.NDArray[Any]]:
        with named(side), self._workers.result_of(self._job(side, task, **more)) as result:
            return [np.array(result[name]) for name in names]

    def _job(self, side: Side, task: Task, **more: Any) -> Job:
        found = side.found
        pictures = self._pictures.of(found) if self._with_pictures else None
        row = HostRow(found=found, subject=subject_for(found, side.runtime, side.threads), pictures=pictures)
        return replace(row.job(task, **more), files=())  # only the model, not the whole path: twice as many processes


@dataclass(frozen=True)
class Partner:
    """A process of a side that waits for its turn."""

    side: Side
    talk: Talk

    def ask(self, line: str = "") -> Turn:
        """Let it take a turn, or what the line asks for. Raises SideFailed."""
        with named(self.side):
            return Turn(**self.talk.ask(line))


@contextmanager
def named(side: Side) -> Iterator[None]:
    """Add the name of the side to the error of a process."""
    try:
        yield
    except (RowRefused, RowCrashed) as failure:
        raise SideFailed(side, str(failure)) from failure
