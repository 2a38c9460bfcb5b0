"""What was measured: raw samples are kept, figures are derived from them. JSON in and out, versioned."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import stats
from device.classify import wilson_interval

SCHEMA = 1
NS_PER_MS = 1e6
LEAST_QUERIES = 64  # the fewest that carry a p90
DRIFT_LIMIT = 0.10


@dataclass(frozen=True)
class Subject:
    """What is measured where: the key of a row."""

    model: str
    name: str | None
    variant: str
    format: str
    runtime: str
    device: str
    accelerator: str
    threads: int

    @property
    def key(self) -> str:
        """Return the row's key in bench.npz."""
        model = f"{self.model}@{self.name}" if self.name else self.model
        return f"{model}/{self.variant}.{self.format}/{self.runtime}/{self.device}/{self.accelerator}/{self.threads}"


@dataclass(frozen=True)
class Artifact:
    """The file that was measured."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Startup:
    """Medians over the processes of a row, and the same three of each process."""

    import_ms: float
    load_ms: float
    first_inference_ms: float
    processes_ms: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class Samples:
    """All that is raw of a row: the latency of each query, by process, and the answer to each test picture."""

    latency_ns: tuple[npt.NDArray[np.int64], ...]  # one (queries,) a process
    predictions: npt.NDArray[np.uint16]  # (pictures,), in the nested order of accuracy runs

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for process in self.latency_ns:
            digest.update(len(process).to_bytes(8, "little") + process.astype("<i8").tobytes())
        digest.update(self.predictions.astype("<u2").tobytes())
        return digest.hexdigest()

    def to_arrays(self, key: str) -> dict[str, npt.NDArray[Any]]:
        """Return the members that this row has in bench.npz."""
        return {
            f"{key}/latency_ns": np.concatenate(self.latency_ns),
            f"{key}/queries": np.array([len(process) for process in self.latency_ns], np.int64),
            f"{key}/predictions": self.predictions,
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], key: str) -> "Samples":
        """Read a row's members. Raises KeyError where one is missing."""
        borders = np.cumsum(arrays[f"{key}/queries"])[:-1]
        return Samples(tuple(np.split(arrays[f"{key}/latency_ns"], borders)), arrays[f"{key}/predictions"])


@dataclass(frozen=True)
class Accuracy:
    """How many test pictures were answered right, and as the reference answers them."""

    correct: int
    total: int
    agree_with_reference: int | None  # of reference_total pictures that both have seen
    reference_total: int
    dataset_sha256: str

    def to_json(self) -> dict[str, Any]:
        agreement = None if self.agree_with_reference is None else self.agree_with_reference / self.reference_total
        return {
            "correct": self.correct,
            "total": self.total,
            "top1": self.correct / self.total,
            "ci95": list(wilson_interval(self.correct, self.total)),
            "agreement_with_reference": agreement,
            "dataset_sha256": self.dataset_sha256,
        }


@dataclass(frozen=True)
class Measurement:
    """One row of bench.json."""

    subject: Subject
    artifact: Artifact
    runtime_version: str
    accuracy: Accuracy
    startup: Startup
    warmup_calls: int
    peak_rss_bytes: int
    samples: Samples

    def to_json(self) -> dict[str, Any]:
        """Return the row as design.md's schema 1 has it; a percentile that the sample cannot carry is null."""
        return {
            **vars(self.subject),
            "runtime_version": self.runtime_version,
            "artifact": vars(self.artifact),
            "accuracy": self.accuracy.to_json(),
            "latency": latency_json(self.samples, self.warmup_calls),
            "startup": {**vars(self.startup), "processes_ms": [list(times) for times in self.startup.processes_ms]},
            "memory": {"peak_rss_bytes": self.peak_rss_bytes},
            "samples": {
                "file": "bench.npz",
                "key": self.subject.key,
                "count": sum(len(process) for process in self.samples.latency_ns),
                "sha256": self.samples.sha256,
            },
        }


def latency_json(samples: Samples, warmup_calls: int) -> dict[str, Any]:
    """Derive the latency figures of a row from its samples, in milliseconds."""
    pooled = np.concatenate(samples.latency_ns)
    low_ns, high_ns = stats.median_ci95_ns(samples.latency_ns)
    why_invalid = why_not_valid(samples)
    percentiles = {name: stats.early_stopping_percentile_ns(pooled, p) for name, p in (("p90", 0.90), ("p99", 0.99))}
    return {
        "queries": len(pooled),
        "processes": len(samples.latency_ns),
        "warmup_calls": warmup_calls,
        "p50_ms": float(np.median(pooled)) / NS_PER_MS,
        **{f"{name}_ms": None if ns is None else ns / NS_PER_MS for name, ns in percentiles.items()},
        "min_ms": int(pooled.min()) / NS_PER_MS,
        "ci95_p50_ms": [low_ns / NS_PER_MS, high_ns / NS_PER_MS],
        "valid": why_invalid is None,
        "why_invalid": why_invalid,
    }


def why_not_valid(samples: Samples) -> str | None:
    """Return why the latency of a row cannot be trusted, or None."""
    queries = sum(len(process) for process in samples.latency_ns)
    if queries < LEAST_QUERIES:
        return f"too few queries: {queries}, at least {LEAST_QUERIES} are needed"
    worst = max(stats.drift(process) for process in samples.latency_ns)
    if worst > DRIFT_LIMIT:
        return f"unstable: block medians within one process drift by {100 * worst:.0f} %, over {100 * DRIFT_LIMIT:.0f} %"
    return None


@dataclass(frozen=True)
class Skipped:
    """A row that could not be measured, with a reason that a person can act on."""

    subject: Subject
    reason: str

    def to_json(self) -> dict[str, Any]:
        names = ("model", "name", "variant", "format", "runtime", "device")
        return {**{name: getattr(self.subject, name) for name in names}, "reason": self.reason}
