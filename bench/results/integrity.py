"""Integrity of results: a gate does not judge results that are cut off, edited or without their samples."""

from pathlib import Path

import numpy as np

from bench.results.measurement import NS_PER_MS
from bench.results.row import ResultRow
from bench.results.samples import Samples
from bench.results.store import Results, load_results
from device.errors import EdgeproofError


def load_sound_results(path: Path) -> Results:
    """Read results and compare every row with its samples. Raises EdgeproofError that names the row and what differs."""
    results = load_results(path)
    if not results.rows:
        raise EdgeproofError(f"{path}: holds no measurement: run `edgeproof bench run`; a gate must not pass without one")
    for number, row in enumerate(results.rows):
        try:
            _check(row, results, f"{path}: measurements[{number}]")
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise EdgeproofError(
                f"{path}: measurements[{number}]: damaged ({type(error).__name__}: {error}): measure again"
            ) from error
    return results


def _check(row: ResultRow, results: Results, where: str) -> None:
    where = f"{where} ({row.key})"
    _same(where, "samples.key", row.key, row.subject.key)
    samples = Samples.from_arrays(results.arrays, row.key)
    _same(where, "samples.sha256", row.samples.sha256, samples.sha256)
    pooled = np.concatenate(samples.latency_ns)
    _same(where, "latency.queries", row.latency.queries, len(pooled))
    _same(where, "latency.processes", row.latency.processes, len(samples.latency_ns))
    if not len(pooled):
        raise EdgeproofError(f"{where}: has no latency samples: measure again")
    _close(where, "latency.p50_ms", row.latency.p50.ms, float(np.median(pooled)) / NS_PER_MS)
    startup = row.startup
    medians_ms = [float(np.median(times_ms)) for times_ms in zip(*startup.processes_ms, strict=True)]
    stored_ms = {
        "import_ms": startup.import_ms,
        "load_ms": startup.load_ms,
        "first_inference_ms": startup.first_inference_ms,
    }
    for (name, found_ms), expected_ms in zip(stored_ms.items(), medians_ms, strict=False):
        _close(where, f"startup.{name}", found_ms, expected_ms)
    _same(where, "accuracy.total", row.accuracy.total if row.accuracy else 0, len(samples.predictions))
    if row.accuracy:
        _close(where, "accuracy.top1", row.accuracy.top1, row.accuracy.correct / row.accuracy.total)


def _same(where: str, name: str, found: object, expected: object) -> None:
    if found != expected:
        raise EdgeproofError(
            f"{where}: {name} is {found!r}, its samples give {expected!r}: edited, or the .npz of another run; measure again"
        )


def _close(where: str, name: str, found: float, expected: float) -> None:
    if not np.isclose(found, expected, rtol=1e-6, atol=0):
        _same(where, name, found, expected)
