"""Stand-ins for a search's parts: workers that train nothing, measures that compute figures of the settings."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import numpy as np

from bench.search.engine import Allowance, Engine
from bench.search.result import Limit, SearchResult
from bench.search.space import read_space
from bench.search.spec import SearchSpec
from bench.search.trial import Job, Work, epochs_of
from bench.search.workers import PoolGone
from common.micro_figures import MicroFigures
from device.errors import EdgeproofError

PICTURES = 1000
SPACE = """
[build]
filters = { low = 2, high = 40 }
[recipe]
epochs = [10]
learning_rate = { low = 1e-3, high = 1e-2, log = true }
"""
Trains = Callable[[Job], Work]


def right_of(job: Job) -> int:
    """Return how many of PICTURES a stand-in answers right: more with more filters and more epochs."""
    filters = int(job.settings.get("filters", 8))
    return min(PICTURES, 900 + 2 * filters + round(20 * job.share))


def fake_work(job: Job) -> Work:
    """Train nothing."""
    answers = np.ones(PICTURES, np.uint16)
    answers[: right_of(job)] = 0
    epochs = max(1, round(job.share * epochs_of(job.model, job.settings)))
    return Work(epochs, 1.0, 0.5, answers, np.zeros(PICTURES, np.uint16), json.dumps(dict(job.settings)).encode(), b"state")


class FakePool:
    """Runs each job at once, in this process."""

    slots = 1

    def __init__(self, trains: Trains = fake_work) -> None:
        self._trains = trains
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> Future[Work]:
        self.jobs.append(job)
        future: Future[Work] = Future()
        try:
            future.set_result(self._trains(job))
        except Exception as error:
            future.set_exception(error)
        return future

    def lost(self, error: BaseException) -> PoolGone | None:
        return PoolGone("the workers are gone") if isinstance(error, CancelledError) else None


class FakeMeasures:
    """A file of 1 kB for each filter, and a latency that only turns with the others tell apart from another."""

    def __init__(self) -> None:
        self.measured: list[Path] = []

    def of(self, path: Path, _runtime: str) -> dict[str, float]:
        self.measured.append(path)
        filters = int(json.loads(path.read_text())["filters"])  # what fake_work wrote
        about = {"latency_ratio": 1 + filters / 1000, "latency_ratio_low": 0.1, "latency_ratio_high": 10.0}
        return {"size_bytes": 1000.0 * filters, **about}

    def latencies(self, paths: Sequence[Path], _runtime: str) -> list[dict[str, float]]:
        sizes = [self.of(path, "")["size_bytes"] for path in paths]
        return [{"latency_ratio": size, "latency_ratio_low": size, "latency_ratio_high": size} for size in sizes]

    def micro(self, path: Path) -> MicroFigures:
        raise EdgeproofError(f"{path}: a stand-in has no interpreter")


def spec(folder: Path, *limits: Limit, text: str = SPACE, **changes: Any) -> SearchSpec:
    """Return a search's specification: of a space that is written to a folder."""
    path = folder / "space.toml"
    path.write_text(text)
    asked: Mapping[str, Any] = {"minimize": "size_bytes", "data": {"name": "mnist"}, **changes}
    return SearchSpec(model="mnist_cnn_crop", limits=limits, space=read_space("mnist_cnn_crop", path), **asked)


def engine(asked: SearchSpec, folder: Path, pool: FakePool, trials: int | None = 12, seconds: float | None = None) -> Engine:
    """Return an engine of stand-ins."""
    return Engine(asked, folder / "build", pool, FakeMeasures(), Allowance(trials, seconds), lambda _: None)


def searched(asked: SearchSpec, folder: Path, pool: FakePool, trials: int | None = 12) -> SearchResult:
    """Run a search of stand-ins."""
    return engine(asked, folder, pool, trials).run()
