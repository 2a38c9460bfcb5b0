"""Fresh processes, one at a time or taking turns: the only place where the gate touches how a row is measured."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bench.artifacts import Found
from bench.pictures import PictureStore
from bench.process import RowCrashed, RowRefused, Talk, Workers, available_memory_bytes
from bench.run import Row, subject_of
from bench.turns import Round, take_turns
from bench.worker import Job, Task
from device.classify import EdgeproofError
from train.files import scratch_folder

PROCESS_QUERIES = 64
PROCESS_DURATION_NS = 300_000_000  # p50 is steady within a process: more processes tell more than longer ones
ACCURACY_LIMIT_S = 300.0


@dataclass(frozen=True)
class Side:
    """An artifact in a runtime."""

    found: Found
    runtime: str
    threads: int = 1


@dataclass(frozen=True)
class Process:
    """What one process brought."""

    latency_ns: npt.NDArray[np.int64]  # (queries,)
    startup_ns: npt.NDArray[np.int64]  # (4,): import, load, first inference, until steady
    runtime_version: str


class SideFailed(EdgeproofError):
    """A side that its runtime refuses, or whose process died."""

    def __init__(self, side: Side, reason: str) -> None:
        super().__init__(f"{side.found.path} in {side.runtime}: {reason}")
        self.side = side


@dataclass(frozen=True)
class Answers:
    """What a side answers to the test pictures, and the labels of these, both (N,)."""

    predictions: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]


class FreshProcesses:
    """Measures in processes of their own; a context manager, since prepared pictures lie in a scratch folder."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        scratch = self._exit.enter_context(scratch_folder())
        self._pictures = PictureStore(scratch, None, self._say)
        self._workers = Workers(scratch, available_memory_bytes())
        self._exit.callback(self._workers.stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def running(self) -> int:
        """Return how many processes there are at this moment."""
        return self._workers.running

    def process(self, side: Side) -> Process:
        """Measure in one new process. Raises SideFailed where it is refused or dies."""
        names = ("latency_ns", "startup_ns", "runtime_version")
        latency_ns, startup_ns, version = self._run(
            side, "latency", names, queries=PROCESS_QUERIES, duration_ns=PROCESS_DURATION_NS
        )
        return Process(latency_ns, startup_ns, str(version))

    def round(self, sides: Sequence[Side], order: random.Random) -> Round:
        """Let a new process of each side take turns, started in random order. Raises SideFailed as `process` does."""
        with ExitStack() as stack:
            places = order.sample(range(len(sides)), len(sides))
            partners = {place: stack.enter_context(self._partner(sides[place])) for place in places}
            return take_turns([partners[place] for place in range(len(sides))], order)

    def answers(self, side: Side) -> Answers:
        """Return the answers to all test pictures of the artifact's data set. Raises SideFailed as `process` does."""
        pictures = self._pictures.of(side.found)
        if pictures is None:
            raise SideFailed(side, "its card names no data set, so there are no test pictures")
        sizes = (len(pictures.labels),)
        (predictions,) = self._run(side, "accuracy", ("predictions",), sizes=sizes, limit_s=ACCURACY_LIMIT_S)
        return Answers(predictions.astype(np.int64), pictures.labels)

    @contextmanager
    def _partner(self, side: Side) -> Iterator["_Partner"]:
        with _named(side), self._workers.talking_to(self._job(side, "turns")) as talk:
            yield _Partner(side, talk)

    def _run(self, side: Side, task: Task, names: tuple[str, ...], **more: Any) -> list[npt.NDArray[Any]]:
        with _named(side), self._workers.result_of(self._job(side, task, **more)) as result:
            return [np.array(result[name]) for name in names]

    def _job(self, side: Side, task: Task, **more: Any) -> Job:
        found = side.found
        row = Row(found, subject_of(found, side.runtime, side.threads), self._pictures.of(found))
        return replace(row.job(task, **more), files=())  # the model alone, not whole pictures: twice the processes


@dataclass(frozen=True)
class _Partner:
    side: Side
    talk: Talk

    def ask(self) -> dict[str, Any]:
        with _named(self.side):
            return self.talk.ask()


@contextmanager
def _named(side: Side) -> Iterator[None]:
    """Say of a process that fails which side it was."""
    try:
        yield
    except (RowRefused, RowCrashed) as failure:
        raise SideFailed(side, str(failure)) from failure
