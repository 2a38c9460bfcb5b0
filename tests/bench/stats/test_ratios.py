"""Ratios of latencies: their intervals hold what they promise."""

import math
from typing import Any

import numpy as np
import pytest

from bench.stats.ratios import Ratio, geometric_mean, quantile_ci95_ns, quantiles, ratio


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


class TestValues:
    """Processes without variation: their medians are their values, and the ratios are calculated by hand."""

    FAST, SLOW, SINGLE = (np.full(9, 200), np.full(9, 800)), (np.full(9, 1_600), np.full(9, 6_400)), (np.full(9, 1_600),)

    def test_a_ratio_is_of_geometric_means(self) -> None:
        found = ratio(self.SLOW, self.FAST)  # 3,200 over 400
        assert found.value == pytest.approx(8)
        assert found.low is not None
        assert found.high is not None
        assert found.low * found.high == pytest.approx(64)

    def test_is_stated_at_95_percent(self) -> None:
        from scipy.stats import ttest_ind

        expected = ttest_ind(np.log([1_600, 6_400]), np.log([200, 800]), equal_var=False).confidence_interval(0.95)
        found = ratio(self.SLOW, self.FAST)
        assert (found.low, found.high) == pytest.approx(tuple(np.exp(expected)))

    def test_of_single_processes_have_their_value_alone(self) -> None:
        single, pairs = ratio(self.SINGLE, self.FAST), geometric_mean([(self.SINGLE, self.FAST), (self.FAST, self.SLOW)])
        assert single.value == pytest.approx(4)
        assert pairs.value == pytest.approx(math.sqrt(4 / 8))
        assert (single.low, single.high, pairs.low, pairs.high) == (None, None, None, None)

    def test_the_other_way_round_the_ends_change_places(self) -> None:
        assert Ratio(4.0, 2.0, 8.0).inverse == Ratio(0.25, 0.125, 0.5)
        assert Ratio(4.0, None, None).inverse == Ratio(0.25, None, None)

    @pytest.mark.parametrize(
        ("low", "high", "shown"), [(1.0, 2.0, False), (0.5, 1.0, False), (1.01, 2.0, True), (0.5, 0.99, True)]
    )
    def test_a_difference_is_shown_where_the_interval_leaves_out_one(self, low: float, high: float, shown: bool) -> None:
        assert Ratio(1.2, low, high).distinguishable is shown

    def test_a_percentile_is_of_each_process_and_never_below_a_nanosecond(self) -> None:
        assert quantiles([np.arange(101), np.zeros(5, np.int64), np.ones(5, np.int64)], 0.9) == [90, 1, 1]
        assert quantiles([np.arange(101)]) == [50]

    def test_a_percentiles_interval_is_students_of_the_processes(self) -> None:
        from scipy.stats import ttest_1samp

        processes = [np.arange(101) + shift for shift in (0, 10, 30)]
        expected = np.exp(ttest_1samp(np.log([90, 100, 120]), 0).confidence_interval(0.95))
        assert quantile_ci95_ns(processes, 0.9) == pytest.approx(tuple(expected))
