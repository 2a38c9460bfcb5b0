"""A measured row: its raw samples are kept, and its figures are derived from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.machine.conditions import Conditions
from bench.results import validity
from bench.results.browser_figures import BrowserFigures
from bench.results.emulated import why_no_latency
from bench.results.instruction_counts import Instructions
from bench.results.row import (
    Accuracy,
    ArtifactFile,
    Estimate,
    Latency,
    Memory,
    PathSpans,
    ResultRow,
    SampleReference,
    Startup,
    Subject,
)
from bench.results.samples import Samples
from bench.stats import percentiles as stats
from common.micro_figures import MicroFigures
from device.scoring import wilson_interval

NS_PER_MS = 1e6


@dataclass(frozen=True)
class AnswerCounts:
    """How many test pictures were answered right, and how many as by the reference. Without pictures `total` is 0."""

    correct: int
    total: int
    agree_with_reference: int | None = None  # of reference_total pictures that both have answered
    reference_total: int = 0
    dataset_sha256: str = ""
    threads: int = 1  # during these answers: a sweep over threads answers the pictures once

    @property
    def accuracy(self) -> Accuracy | None:
        """Return the stored accuracy; None where no picture was answered."""
        if not self.total:
            return None
        return Accuracy(
            correct=self.correct,
            total=self.total,
            top1=self.correct / self.total,
            ci95=wilson_interval(self.correct, self.total),
            agreement_with_reference=self._agreement,
            dataset_sha256=self.dataset_sha256,
            threads=self.threads,
        )

    @property
    def _agreement(self) -> float | None:
        return None if self.agree_with_reference is None else self.agree_with_reference / self.reference_total


@dataclass(frozen=True)
class Measurement:
    """The measurement of one row: raw samples and counts, from which the row's figures are derived."""

    subject: Subject
    artifact: ArtifactFile
    runtime_version: str
    answers: AnswerCounts
    startup: Startup
    warmup_calls: int
    peak_rss_bytes: int | None  # None: the system does not say it
    samples: Samples
    conditions: tuple[Conditions, ...] = ()  # by process
    accelerator_name: str | None = None  # of the device that computed, as the runtime reports it; None for the CPU
    loadgen: Mapping[str, Any] | None = None  # the result of MLPerf's LoadGen for the same session
    instructions: Instructions | None = None
    rounds_left_out: int = 0  # something slowed nearly all of their turns
    microcontroller: MicroFigures | None = None  # what a microcontroller's interpreter needs
    browser: BrowserFigures | None = None

    @cached_property
    def row(self) -> ResultRow:
        """Return the row as bench.json has it; a percentile for which the sample is too small is None."""
        why_invalid = why_no_latency(self.subject.device, self.subject.accelerator)
        latency = latency_of(self.samples, self.warmup_calls, self.conditions)
        latency = replace(latency, rounds_left_out=self.rounds_left_out or None)
        if self.browser is not None and self.browser.block > 1:  # means of blocks show no percentile of single calls
            latency = replace(latency, p90_ms=None, p99_ms=None, min_ms=None)
        return ResultRow(
            subject=self.subject,
            runtime_version=self.runtime_version,
            artifact=self.artifact,
            accuracy=self.answers.accuracy,
            accelerator_name=self.accelerator_name,
            latency=latency if why_invalid is None else replace(latency, valid=False, why_invalid=why_invalid),
            startup=self.startup,
            path=path_of(self.samples.path_ns),
            memory=Memory(self.peak_rss_bytes or None),
            conditions=self.conditions,
            samples=SampleReference(
                file="bench.npz", key=self.subject.key, count=self.samples.queries, sha256=self.samples.sha256
            ),
            loadgen=self.loadgen,
            instructions=self.instructions,
            microcontroller=self.microcontroller,
            browser=self.browser,
        )


def latency_of(samples: Samples, warmup_calls: int, conditions: Sequence[Conditions] = ()) -> Latency:
    """Derive the latency figures of a row from its samples."""
    pooled = np.concatenate(samples.latency_ns)
    low_ns, high_ns = stats.median_ci95_ns(samples.latency_ns)
    flags = validity.flags(samples.latency_ns, conditions, (low_ns, high_ns))
    return Latency(
        queries=len(pooled),
        processes=len(samples.latency_ns),
        warmup_calls=warmup_calls,
        p50=Estimate(float(np.median(pooled)) / NS_PER_MS, (low_ns / NS_PER_MS, high_ns / NS_PER_MS)),
        p90_ms=_percentile_ms(pooled, 0.90),
        p99_ms=_percentile_ms(pooled, 0.99),
        min_ms=int(pooled.min()) / NS_PER_MS,
        valid=not flags,
        why_invalid=validity.BETWEEN_REASONS.join(flag.reason for flag in flags) or None,
        flags=tuple(flag.name for flag in flags),
        flags_unknown=tuple(validity.unknown(conditions)),
    )


def _percentile_ms(pooled: npt.NDArray[np.int64], percentile: float) -> float | None:
    ns = stats.early_stopping_percentile_ns(pooled, percentile)
    return None if ns is None else ns / NS_PER_MS


def path_of(path_ns: npt.NDArray[np.int64]) -> PathSpans | None:
    """Return the parts of a typical picture's whole path from (pictures, 5); None where none was timed.

    Typical pictures are the middle fifth by end-to-end time, and their parts are averaged: their mean end-to-end time is as
    good as the median, and parts of the same pictures add up. Medians of each part do not, where a machine has two
    speeds. `unaccounted_ms` is the rest of the end-to-end time, which is measured separately, after the
    four parts.
    """
    if not len(path_ns):
        return None
    slow_last = path_ns[np.argsort(path_ns[:, -1], kind="stable")]
    middle = slow_last[int(0.4 * len(slow_last)) : int(np.ceil(0.6 * len(slow_last)))]
    typical_ns = middle.mean(axis=0)
    decode, prepare, invoke, postprocess, end_to_end = (float(ns) / NS_PER_MS for ns in typical_ns)
    unaccounted = float(typical_ns[-1] - typical_ns[:-1].sum()) / NS_PER_MS
    return PathSpans(decode, prepare, invoke, postprocess, end_to_end, unaccounted)


REFERENCES = ("keras", "keras_gpu")  # artifacts are compared with the first of these that is measured
