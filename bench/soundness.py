"""Whether results are whole: a gate judges nothing that was cut off, edited, or lost its samples."""

from pathlib import Path

import numpy as np

from bench.measurement import NS_PER_MS, Samples
from bench.results import Results, Row, load_results, subject_of
from device.classify import EdgeproofError

STARTUP = ("import_ms", "load_ms", "first_inference_ms")


def load_sound_results(path: Path) -> Results:
    """Read results and hold every row against its samples. Raises EdgeproofError that names the row and what differs."""
    results = load_results(path)
    if not results.rows:
        raise EdgeproofError(f"{path}: holds no measurement: run `python -m bench run`; a gate never passes on nothing")
    for number, row in enumerate(results.rows):
        try:
            _check(row, results, f"{path}: measurements[{number}]")
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise EdgeproofError(
                f"{path}: measurements[{number}]: damaged ({type(error).__name__}: {error}): measure again"
            ) from error
    return results


def _check(row: Row, results: Results, where: str) -> None:
    subject = subject_of(row)
    key = row["samples"]["key"]
    where = f"{where} ({key})"
    _same(where, "samples.key", key, subject.key)
    samples = Samples.from_arrays(results.arrays, key)
    _same(where, "samples.sha256", row["samples"]["sha256"], samples.sha256)
    latency, accuracy = row["latency"], row["accuracy"] or {"total": 0}
    pooled = np.concatenate(samples.latency_ns)
    _same(where, "latency.queries", latency["queries"], len(pooled))
    _same(where, "latency.processes", latency["processes"], len(samples.latency_ns))
    if not len(pooled):
        raise EdgeproofError(f"{where}: has no latency samples: measure again")
    _close(where, "latency.p50_ms", latency["p50_ms"], float(np.median(pooled)) / NS_PER_MS)
    for name, times_ms in zip(STARTUP, zip(*row["startup"].get("processes_ms", ()), strict=True), strict=False):
        _close(where, f"startup.{name}", row["startup"][name], float(np.median(times_ms)))
    _same(where, "accuracy.total", accuracy["total"], len(samples.predictions))
    if accuracy["total"]:
        _close(where, "accuracy.top1", accuracy["top1"], accuracy["correct"] / accuracy["total"])


def _same(where: str, name: str, found: object, expected: object) -> None:
    if found != expected:
        raise EdgeproofError(
            f"{where}: {name} is {found!r}, its samples say {expected!r}: edited, or not the .npz of this run; measure again"
        )


def _close(where: str, name: str, found: float, expected: float) -> None:
    if not np.isclose(found, expected, rtol=1e-6, atol=0):
        _same(where, name, found, expected)
