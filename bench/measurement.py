"""What was measured: raw samples are kept, figures are derived from them. JSON in and out, versioned."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import stats, validity
from bench.accelerators import SOFTWARE
from bench.emulated import NOT_A_LATENCY, is_emulated
from bench.instructions import Instructions
from bench.watch import Conditions
from device.classify import wilson_interval

SCHEMA = 1
NS_PER_MS = 1e6
PATH_SPANS = ("decode", "prepare", "invoke", "postprocess", "end_to_end")
NO_PATH: npt.NDArray[np.int64] = np.empty((0, len(PATH_SPANS)), np.int64)
ANY = "*"  # model and variant of a skipped row that stands for all of them


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
    """Medians over the processes of a row, and the same four of each process."""

    import_ms: float
    load_ms: float
    first_inference_ms: float
    steady_ms: float | None = None  # from the first inference's begin to steady state
    processes_ms: tuple[tuple[float, ...], ...] = ()  # rows of before 2.0 have three of each, or none


@dataclass(frozen=True, eq=False)
class Samples:
    """All that is raw of a row: the latency of each query, by process, and the answer to each test picture."""

    latency_ns: tuple[npt.NDArray[np.int64], ...]  # one (queries,) a process
    predictions: npt.NDArray[np.uint16]  # (pictures,), in the nested order of accuracy runs
    path_ns: npt.NDArray[np.int64] = field(default_factory=lambda: NO_PATH)  # (pictures, 5): PATH_SPANS of whole pictures
    top_scores: npt.NDArray[np.float32] | None = None  # (pictures,); None where the scores are no real numbers

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for process in self.latency_ns:
            digest.update(len(process).to_bytes(8, "little") + process.astype("<i8").tobytes())
        digest.update(self.predictions.astype("<u2").tobytes() + self.path_ns.astype("<i8").tobytes())
        if self.top_scores is not None:
            digest.update(self.top_scores.astype("<f4").tobytes())
        return digest.hexdigest()

    def to_arrays(self, key: str) -> dict[str, npt.NDArray[Any]]:
        """Return the members that this row has in bench.npz."""
        scores = {} if self.top_scores is None else {f"{key}/top_scores": self.top_scores}
        return {
            f"{key}/latency_ns": np.concatenate(self.latency_ns),
            f"{key}/queries": np.array([len(process) for process in self.latency_ns], np.int64),
            f"{key}/predictions": self.predictions,
            f"{key}/path_ns": self.path_ns,
            **scores,
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], key: str) -> "Samples":
        """Read a row's members. Raises KeyError where one is missing."""
        borders = np.cumsum(arrays[f"{key}/queries"])[:-1]
        latency_ns = tuple(np.split(arrays[f"{key}/latency_ns"], borders))
        path_ns = arrays.get(f"{key}/path_ns", NO_PATH)  # files of before the whole path was measured have none
        return Samples(latency_ns, arrays[f"{key}/predictions"], path_ns, arrays.get(f"{key}/top_scores"))


@dataclass(frozen=True)
class Accuracy:
    """How many test pictures were answered right, and as the reference answers them. Without pictures `total` is 0."""

    correct: int
    total: int
    agree_with_reference: int | None  # of reference_total pictures that both have seen
    reference_total: int
    dataset_sha256: str | None
    threads: int = 1  # that they were answered with: a sweep over threads answers them once

    def to_json(self) -> dict[str, Any]:
        agreement = None if self.agree_with_reference is None else self.agree_with_reference / self.reference_total
        return {
            "correct": self.correct,
            "total": self.total,
            "top1": self.correct / self.total if self.total else None,
            "ci95": list(wilson_interval(self.correct, self.total)),
            "agreement_with_reference": agreement,
            "dataset_sha256": self.dataset_sha256,
            "threads": self.threads,
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
    conditions: tuple[Conditions, ...] = ()  # by process
    accelerator_name: str | None = None  # of the device that computed, as the runtime told; None for the CPU
    loadgen: dict[str, Any] | None = None  # what MLPerf's LoadGen said of the same session
    instructions: Instructions | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row as design.md's schema 1 has it; a percentile that the sample cannot carry is null."""
        emulated = is_emulated(self.subject.device)
        why_invalid = {"valid": False, "why_invalid": NOT_A_LATENCY} if emulated else {}
        counted = {} if self.instructions is None else {"instructions": self.instructions.to_json()}
        return {
            **vars(self.subject),
            "runtime_version": self.runtime_version,
            "artifact": vars(self.artifact),
            "accuracy": self.accuracy.to_json(),
            "accelerator_name": self.accelerator_name,
            "latency": _on_accelerator(
                latency_json(self.samples, self.warmup_calls, self.conditions), self.subject.accelerator
            )
            | why_invalid,
            "startup": {**vars(self.startup), "processes_ms": [list(times) for times in self.startup.processes_ms]},
            "path": path_json(self.samples.path_ns),
            "memory": {"peak_rss_bytes": self.peak_rss_bytes},
            "conditions": [process.to_json() for process in self.conditions],
            "samples": {
                "file": "bench.npz",
                "key": self.subject.key,
                "count": sum(len(process) for process in self.samples.latency_ns),
                "sha256": self.samples.sha256,
            },
            **({} if self.loadgen is None else {"loadgen": self.loadgen}),
            **counted,
        }


def _on_accelerator(latency: dict[str, Any], accelerator: str) -> dict[str, Any]:
    """Call the latency of a device made of software what it is: no figure to compare anything with."""
    if accelerator != SOFTWARE:
        return latency
    return {**latency, "valid": False, "why_invalid": "a software device: it proves the answers, its time means nothing"}


def latency_json(samples: Samples, warmup_calls: int, conditions: Sequence[Conditions] = ()) -> dict[str, Any]:
    """Derive the latency figures of a row from its samples, in milliseconds."""
    pooled = np.concatenate(samples.latency_ns)
    low_ns, high_ns = stats.median_ci95_ns(samples.latency_ns)
    flags = validity.flags(samples.latency_ns, conditions)
    percentiles = {name: stats.early_stopping_percentile_ns(pooled, p) for name, p in (("p90", 0.90), ("p99", 0.99))}
    return {
        "queries": len(pooled),
        "processes": len(samples.latency_ns),
        "warmup_calls": warmup_calls,
        "p50_ms": float(np.median(pooled)) / NS_PER_MS,
        **{f"{name}_ms": None if ns is None else ns / NS_PER_MS for name, ns in percentiles.items()},
        "min_ms": int(pooled.min()) / NS_PER_MS,
        "ci95_p50_ms": [low_ns / NS_PER_MS, high_ns / NS_PER_MS],
        "valid": not flags,
        "why_invalid": "; ".join(flag.reason for flag in flags) or None,
        "flags": [flag.name for flag in flags],
        "flags_unknown": validity.unknown(conditions),
    }


def path_json(path_ns: npt.NDArray[np.int64]) -> dict[str, float] | None:
    """Return the spans of typical whole pictures out of (pictures, 5), in milliseconds; None where none was timed.

    Typical are those in the middle fifth by end-to-end time, whose spans are averaged: their mean end-to-end time is as
    good as the median, and parts of the same pictures add up, which medians of each part do not where a machine has two
    paces. `unaccounted_ms` is what the end-to-end time, taken by a clock of its own around the whole, holds beside the
    four parts.
    """
    if not len(path_ns):
        return None
    slow_last = path_ns[np.argsort(path_ns[:, -1], kind="stable")]
    middle = slow_last[int(0.4 * len(slow_last)) : int(np.ceil(0.6 * len(slow_last)))]
    typical_ns = middle.mean(axis=0)
    spans = {f"{name}_ms": float(ns) / NS_PER_MS for name, ns in zip(PATH_SPANS, typical_ns, strict=True)}
    return {**spans, "unaccounted_ms": float(typical_ns[-1] - typical_ns[:-1].sum()) / NS_PER_MS}


@dataclass(frozen=True)
class Skipped:
    """A row that could not be measured, with a reason that a person can act on."""

    subject: Subject
    reason: str

    def to_json(self) -> dict[str, Any]:
        names = ("model", "name", "variant", "format", "runtime", "device")
        return {**{name: getattr(self.subject, name) for name in names}, "reason": self.reason}
