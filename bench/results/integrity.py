"""Integrity of results: nothing is judged or shown that is cut off, edited, or without its samples.

Each figure that the samples give is derived again by the function that made it. What they do not hold stays as it is read:
the size of a file, memory, the version of a runtime, and whether a latency is valid.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.results.evaluation_set import EvaluationSet, all_defects
from bench.results.measurement import REFERENCES, latency_of, path_of
from bench.results.row import Accuracy, Estimate, PathSpans, ResultRow
from bench.results.samples import Samples
from bench.results.store import Results, load_results
from common.files import reading_together
from device.errors import EdgeproofError
from device.scoring import wilson_interval

DAMAGE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
ROUNDING = 1e-6  # of a figure: another machine's floating point
REMEASURE = "remove bench.json and its .npz, and measure again"  # a run is not merged into rows that are not sound
Figure = float | None


def load_sound_results(path: Path) -> Results:
    """Read results to judge them: at least one row, each equal to its samples, which have their hash.

    Raises EdgeproofError that names the row and what differs.
    """
    results = load_verified_results(path)
    if not results.rows:
        raise EdgeproofError(f"{path}: holds no measurement: run `edgeproof bench run`; a gate must not pass without one")
    for number, row in enumerate(results.rows):
        if row.samples.sha256 is None:
            _same(f"{path}: measurements[{number}] ({row.key})", "samples.sha256", None, _samples(results, row).sha256)
    return results


def load_verified_results(path: Path) -> Results:
    """Read results to show them, and compare every row with its samples. Raises as `load_sound_results`."""
    results = load_results(path)
    for defect in all_defects(results.arrays):
        raise EdgeproofError(f"{path.with_suffix('.npz')}: damaged: {defect}: restore the file, or {REMEASURE}")
    for number, row in enumerate(results.rows):
        where = f"{path}: measurements[{number}] ({row.key})"
        try:
            _check(row, results, where)
        except DAMAGE as error:
            text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise EdgeproofError(f"{where}: damaged ({text}): keep bench.json with its own .npz, or {REMEASURE}") from error
    return results


def results_so_far(path: Path) -> Results:
    """Read the results that a new run is merged into: none where there is no file yet. Raises as `load_verified_results`."""
    with reading_together(path.parent):
        return load_verified_results(path) if path.exists() else Results()


def _samples(results: Results, row: ResultRow) -> Samples:
    return Samples.from_arrays(results.arrays, row.key)


def _check(row: ResultRow, results: Results, where: str) -> None:
    _same(where, "samples.key", row.key, row.subject.key)
    samples = _samples(results, row)
    if row.samples.sha256 is not None:
        _same(where, "samples.sha256", row.samples.sha256, samples.sha256)
    if not samples.queries:
        raise EdgeproofError(f"{where}: has no latency samples: {REMEASURE}")
    if row.samples.count is not None:
        _same(where, "samples.count", row.samples.count, samples.queries)
    _check_latency(where, row, samples)
    _check_startup(where, row)
    if row.path is not None:
        _check_path(where, row.path, path_of(samples.path_ns))
    _same(where, "accuracy.total", row.accuracy.total if row.accuracy else 0, len(samples.predictions))
    if row.accuracy:
        _check_accuracy(where, row.accuracy)
        _check_answers(where, row, row.accuracy, samples, results)


def _check_latency(where: str, row: ResultRow, samples: Samples) -> None:
    found, expected = row.latency, latency_of(samples, 0)
    _same(where, "latency.queries", found.queries, expected.queries)
    _same(where, "latency.processes", found.processes, expected.processes)
    _close(where, "latency.p50_ms", found.p50.ms, expected.p50.ms)
    _close_interval(where, "latency.ci95_p50_ms", found.p50, expected.p50)
    in_blocks = row.browser is not None and row.browser.block > 1  # means of blocks show no percentile of single calls
    _close(where, "latency.p90_ms", found.p90_ms, None if in_blocks else expected.p90_ms)
    _close(where, "latency.p99_ms", found.p99_ms, None if in_blocks else expected.p99_ms)
    if found.min_ms is not None:
        _close(where, "latency.min_ms", found.min_ms, None if in_blocks else expected.min_ms)


def _check_startup(where: str, row: ResultRow) -> None:
    startup = row.startup
    medians_ms = [float(np.median(times_ms)) for times_ms in zip(*startup.processes_ms, strict=True)]
    names = ("import_ms", "load_ms", "first_inference_ms", "steady_ms")
    for name, expected_ms in zip(names, medians_ms, strict=False):
        _close(where, f"startup.{name}", getattr(startup, name), expected_ms)


def _check_path(where: str, found: PathSpans, expected: PathSpans | None) -> None:
    if expected is None:
        raise EdgeproofError(f"{where}: path has times, and its samples have none: edited; {REMEASURE}")
    for name in ("decode_ms", "prepare_ms", "invoke_ms", "postprocess_ms", "end_to_end_ms"):
        _close(where, f"path.{name}", getattr(found, name), getattr(expected, name))
    if abs(found.unaccounted_ms - expected.unaccounted_ms) > ROUNDING * expected.end_to_end_ms:  # a difference: near 0
        _same(where, "path.unaccounted_ms", found.unaccounted_ms, expected.unaccounted_ms)


def _check_accuracy(where: str, accuracy: Accuracy) -> None:
    """Compare the shares of an accuracy with its counts."""
    _close(where, "accuracy.top1", accuracy.top1, accuracy.correct / accuracy.total)
    expected = Estimate(accuracy.top1, wilson_interval(accuracy.correct, accuracy.total))
    _close_interval(where, "accuracy.ci95", Estimate(accuracy.top1, accuracy.ci95), expected)


def _check_answers(where: str, row: ResultRow, accuracy: Accuracy, samples: Samples, results: Results) -> None:
    """Compare an accuracy with the answers, where the labels of the test pictures are kept."""
    truth = EvaluationSet.truth_of(results.arrays, row)
    answers = samples.predictions
    if truth is not None:
        if len(answers) > len(truth):
            raise EdgeproofError(f"{where}: {len(answers)} answers, but labels of {len(truth)} pictures: {REMEASURE}")
        right = int((answers == truth[: len(answers)]).sum())
        unread = int((truth[: len(answers)] < 0).sum())  # pictures without a label here, which another device may read
        if not right <= accuracy.correct <= right + unread:
            _same(where, "accuracy.correct", accuracy.correct, right)
    shares = list(_agreements(row, answers, results))
    found = accuracy.agreement_with_reference
    if found is not None and shares and not any(np.isclose(found, share, rtol=ROUNDING, atol=0) for share in shares):
        _same(where, "accuracy.agreement_with_reference", found, shares[0])


def _agreements(row: ResultRow, answers: np.ndarray, results: Results) -> Iterator[float]:  # type: ignore[type-arg]
    """Yield the share of answers that are as those of each reference of the same run."""
    for other in results.rows:
        same_model = (other.subject.model_name, other.subject.device) == (row.subject.model_name, row.subject.device)
        if same_model and row.run is not None and other.run == row.run and other.subject.runtime in REFERENCES:
            reference = _samples(results, other).predictions
            common = min(len(reference), len(answers))
            if common:
                yield int((reference[:common] == answers[:common]).sum()) / common


def _same(where: str, name: str, found: object, expected: object) -> None:
    if found != expected:
        raise EdgeproofError(
            f"{where}: {name} is {found!r}, its samples give {expected!r}: edited, or the .npz of another run; {REMEASURE}"
        )


def _close(where: str, name: str, found: Figure, expected: Figure) -> None:
    if found is None or expected is None or not np.isclose(found, expected, rtol=ROUNDING, atol=0):
        _same(where, name, found, expected)


def _close_interval(where: str, name: str, found: Estimate, expected: Estimate) -> None:
    if not np.allclose(found.ci95, expected.ci95, rtol=ROUNDING, atol=1e-12):  # an end may be 0
        _same(where, name, list(found.ci95), list(expected.ci95))
