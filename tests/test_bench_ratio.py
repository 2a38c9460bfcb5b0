"""Ratios of latencies: their intervals hold what they promise."""

from typing import Any

import numpy as np
import pytest

from bench.ratio import geometric_mean, quantile_ci95_ns, ratio


def row(random: Any, ns: float, processes: int, spread: float, queries: int = 200) -> list[Any]:
    """Return the latencies of a row whose processes differ by a standard deviation of `spread`."""
    typical_ns = ns * np.exp(random.normal(0, spread, processes))
    return [(one_ns * random.lognormal(0, 0.08, queries)).astype(np.int64) for one_ns in typical_ns]


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.063])  # between processes; the last two were measured
@pytest.mark.parametrize("processes", [3, 5])
def test_the_interval_of_a_ratio_holds_the_truth_as_often_as_it_says(spread: float, processes: int) -> None:
    random = np.random.default_rng(7)
    trials, hits = 200, 0
    for _ in range(trials):
        found = ratio(row(random, 1.2e5, processes, spread), row(random, 1e5, processes, spread))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1.2 <= found.high
    assert hits >= 0.92 * trials


def test_the_interval_of_a_geometric_mean_is_narrower_than_that_of_a_row() -> None:
    random = np.random.default_rng(0)
    pairs = [(row(random, 2e5, 3, 0.03), row(random, 1e5, 3, 0.03)) for _ in range(12)]
    mean, single = geometric_mean(pairs), ratio(*pairs[0])
    assert mean.low is not None
    assert mean.high is not None
    assert mean.low <= 2 <= mean.high
    assert single.low is not None
    assert single.high is not None
    assert mean.high - mean.low < single.high - single.low


def test_a_row_against_itself_is_one_and_not_distinguishable() -> None:
    one = row(np.random.default_rng(0), 1e5, 3, 0.02)
    found = ratio(one, one)
    assert found.value == 1
    assert not found.distinguishable


def test_twice_the_time_is_distinguishable_and_half_the_other_way_round() -> None:
    random = np.random.default_rng(0)
    found = ratio(row(random, 2e5, 3, 0.02), row(random, 1e5, 3, 0.02))
    assert found.distinguishable
    assert found.inverse.value == pytest.approx(1 / found.value)
    assert (found.inverse.low, found.inverse.high) == (1 / (found.high or 0), 1 / (found.low or 0))


def test_a_single_process_carries_no_interval() -> None:
    random = np.random.default_rng(0)
    found = ratio(row(random, 2e5, 1, 0.02), row(random, 1e5, 3, 0.02))
    assert (found.low, found.high, found.distinguishable) == (None, None, False)
    assert quantile_ci95_ns(row(random, 1e5, 1, 0.02), 0.9) is None


def test_the_interval_of_a_percentile_holds_it() -> None:
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        low, high = quantile_ci95_ns(row(random, 1e5, 3, 0.03), 0.9) or (0, 0)
        hits += low <= 1e5 * np.exp(0.08 * 1.2816) <= high
    assert hits >= 0.91 * 200


def test_no_rows_have_no_mean() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        geometric_mean([])
