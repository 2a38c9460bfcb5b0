"""The ratio of the times of two rows: from their common rounds, or from processes as independent samples."""

from dataclasses import replace

import numpy as np
import pytest

from bench.results.measurement import Measurement
from bench.results.row import ResultRow, Subject
from bench.results.store import Results
from bench.results.time_ratio import ratio_of_processes, time_ratio
from tests.support.results_builder import ENVIRONMENT, make_results, make_row

MACHINE = (1.0, 1.4, 0.8, 1.2, 1.1)  # how slow the machine is in each round


def in_rounds(variant: str, p50_ms: float, machine: tuple[float, ...] = MACHINE) -> Measurement:
    """Return a row of five processes with four turns of 50 queries, on a machine that changes from round to round."""
    row = make_row(variant, p50_ms=p50_ms, processes=len(machine), spread=0.0, turns=4)
    latency_ns = tuple((ns * slow).astype(np.int64) for ns, slow in zip(row.samples.latency_ns, machine, strict=True))
    return replace(row, samples=replace(row.samples, latency_ns=latency_ns))


def rows_of(results: Results) -> tuple[ResultRow, ResultRow]:
    first, second = sorted(results.rows, key=lambda row: row.latency.p50.ms)
    return first, second


def test_what_the_machine_does_from_round_to_round_is_not_in_the_ratio_of_rows_that_took_turns() -> None:
    results = make_results([in_rounds("float32", 1.0), in_rounds("int8", 0.5)])
    found = time_ratio(results, *rows_of(results))
    assert found.value == pytest.approx(0.5, rel=0.005)
    assert found.low is not None
    assert found.high is not None
    assert found.high / found.low < 1.01


def test_rows_of_two_runs_are_independent_samples() -> None:
    results = make_results([in_rounds("float32", 1.0)])
    results.merge([in_rounds("int8", 0.5)], [], ENVIRONMENT)
    found = time_ratio(results, *rows_of(results))
    assert found.low is not None
    assert found.high is not None
    assert found.high / found.low > 1.5


def test_rows_of_different_models_did_not_take_turns_with_each_other() -> None:
    results = make_results([in_rounds("float32", 1.0), replace(in_rounds("int8", 0.5), subject=other_model())])
    found = time_ratio(results, *rows_of(results))
    assert (found.high or 0) / (found.low or 1) > 1.5


def other_model() -> Subject:
    return replace(make_row("int8").subject, model="other")


def test_a_slow_row_that_needed_fewer_turns_is_compared_in_the_turns_that_both_took() -> None:
    slow = in_rounds("float32", 4.0)
    samples = slow.samples
    fewer = replace(
        samples,
        latency_ns=tuple(ns[:100] for ns in samples.latency_ns),
        turn_queries=tuple(np.full(2, 50) for _ in samples.latency_ns),
    )
    results = make_results([replace(slow, samples=fewer), in_rounds("int8", 0.5)])
    assert time_ratio(results, *rows_of(results)).value == pytest.approx(1 / 8, rel=0.01)


def test_a_figure_of_each_process_is_compared_in_pairs_where_the_processes_are_of_the_same_rounds() -> None:
    results = make_results([in_rounds("float32", 1.0), in_rounds("int8", 0.5)])
    fast, slow = rows_of(results)
    values = ([0.5 * slow for slow in MACHINE], list(MACHINE))
    paired = ratio_of_processes(results, (fast, slow), values, 0.01)
    assert paired is not None
    assert (paired.low, paired.value, paired.high) == pytest.approx((0.5, 0.5, 0.5))
    results.arrays.pop(f"{fast.key}/turn_queries")
    apart = ratio_of_processes(results, (fast, slow), values, 0.01)
    assert apart is not None
    assert apart.low < 0.4 < 0.6 < apart.high
    assert ratio_of_processes(results, (fast, slow), ([1.0], [2.0]), 0.01) is None
