"""What a search is asked: what to make small, within which budget, what a trial has to measure, and how long it may take."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.search.budget_line import TOP1
from bench.search.result import Limit, Trial
from bench.search.space import Space
from common.files import sha256_of
from common.paths import BUILD, DATA
from device.errors import EdgeproofError

FIGURES = {  # what --minimize takes, and the figure that it stands for
    "latency": "latency_ratio",
    "instructions": "instructions",
    "size": "size_bytes",
    "flash": "flash_bytes",
    "arena": "arena_bytes",
    "memory": "peak_rss_mb",
}


@dataclass(frozen=True)
class SearchSpec:
    """All that the trials of one search have in common: a search that goes on must be asked the same."""

    model: str
    minimize: str  # a figure
    limits: tuple[Limit, ...]
    space: Space
    seed: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)  # the data set, as DataReference.to_json gives it
    core: str = ""  # of `instructions`
    reference: Path | None = None  # the artifact that `latency_ratio` is against

    @property
    def figures(self) -> set[str]:
        """Return the figures that decide."""
        return {self.minimize, *(limit.figure for limit in self.limits)} - {TOP1}

    @property
    def least_top1(self) -> float | None:
        """Return the accuracy that is asked for, if one is."""
        return next((limit.least for limit in self.limits if limit.figure == TOP1), None)

    def format_of(self, trial: Trial) -> str:
        """Return the format of a trial's artifact: "tflite"."""
        found = {(key.partition(".")[0], runtime): key.partition(".")[2] for key, runtime in self.space.artifacts}
        return found[(str(trial.variant), str(trial.runtime))]

    def to_json(self) -> dict[str, Any]:
        """Return what must be the same when the search goes on."""
        return {
            "model": self.model,
            "minimize": self.minimize,
            "limits": [limit.to_json() for limit in self.limits],
            "space": sha256_of(self.space.path),
            "seed": self.seed,
            "data": dict(self.data),
            "core": self.core,
            "reference": None if self.reference is None else sha256_of(self.reference),
        }


def reference_for(model: str, variant: str, named: Path | None) -> Path:
    """Return the artifact that latencies are compared with: the one named, else the model's own of that variant.

    Raises EdgeproofError where there is none.
    """
    if named is not None:
        if not named.is_file():
            raise EdgeproofError(f"{named}: no such file: name an artifact with --reference")
        return named
    for path in (BUILD / model / f"{model}.{variant}", DATA / "ready" / f"{model}.{variant}"):
        if path.is_file():
            return path
    raise EdgeproofError(
        f"{BUILD / model / f'{model}.{variant}'}: no such file: latencies are compared with the model as it is: run "
        f"`edgeproof train run {model}` and `edgeproof convert run {model}` first, or name another file with --reference"
    )


@dataclass(frozen=True)
class Effort:
    """How long a search may take, where its trials run, and for what the winner is packed."""

    trials: int | None
    max_time_s: float | None
    jobs: int
    dask: str | None
    target: str | None
