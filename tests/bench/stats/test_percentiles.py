"""The bench: statistics, rows, results on disk, the command."""

import numpy as np
import pytest

from bench.results.measurement import latency_of
from bench.results.samples import Samples
from bench.stats import percentiles
from tests.support.results_builder import steady


class TestEarlyStopping:
    @pytest.mark.parametrize(("queries", "discards"), [(6_001, 545), (65_259, 6_346)])
    def test_discards_what_loadgen_discards(self, queries: int, discards: int) -> None:
        assert percentiles.discarded(queries, 0.90) == discards

    @pytest.mark.parametrize(("percentile", "least"), [(0.90, 64), (0.95, 130), (0.99, 662)])
    def test_needs_as_many_queries_as_loadgen(self, percentile: float, least: int) -> None:
        assert percentiles.discarded(least, percentile) == 0
        assert percentiles.discarded(least - 1, percentile) is None

    def test_estimates_the_slowest_of_the_rest(self) -> None:
        samples = np.arange(6_001)
        assert percentiles.early_stopping_percentile_ns(samples, 0.90) == 6_000 - 545

    def test_a_percentile_that_the_sample_cannot_carry_is_none(self) -> None:
        latency = latency_of(Samples((steady(100),), np.zeros(1, np.uint16)), 16)
        assert latency.p90_ms is not None
        assert latency.p99_ms is None


class TestMedian:
    def test_interval_covers_the_median_and_grows_with_unlike_processes(self) -> None:
        alike = [steady(500, 1_000, seed) for seed in range(3)]
        unlike = [steady(500, ns, 1) for ns in (1_000, 1_200, 1_400)]
        low, high = percentiles.median_ci95_ns(alike)
        wide_low, wide_high = percentiles.median_ci95_ns(unlike)
        assert low <= np.median(np.concatenate(alike)) <= high
        assert wide_low <= 1_010
        assert wide_high >= 1_400
        assert high - low < wide_high - wide_low

    def test_interval_shows_how_processes_differ_also_where_one_was_faster_than_the_clock(self) -> None:
        """A median of 0 ns has no logarithm: the interval was then that of one process, too narrow."""
        _, high = percentiles.median_ci95_ns([np.zeros(500, np.int64), steady(500, 1_000, 1), steady(500, 1_000, 2)])
        assert high > 100_000


class TestDiscarded:
    @pytest.mark.parametrize("percentile", [0.5, 0.9])
    def test_is_the_largest_number_that_the_rule_allows(self, percentile: float) -> None:
        """The rule, computed directly: t late queries of q show the percentile if so few have at most 1 % probability."""
        from scipy.stats import binom

        for queries in range(1, 160):
            fitting = [t for t in range(1, queries) if binom.cdf(t, queries, 1 - percentile) <= 0.01]
            assert percentiles.discarded(queries, percentile) == (max(fitting) - 1 if fitting else None)

    @pytest.mark.parametrize("queries", [0, 1])
    def test_a_sample_of_one_carries_none(self, queries: int) -> None:
        assert percentiles.discarded(queries, 0.001) is None

    def test_two_carry_what_nearly_none_exceeds(self) -> None:
        assert percentiles.discarded(2, 0.001) == 0

    def test_an_estimate_is_a_sample_whatever_their_order(self) -> None:
        samples = np.random.default_rng(0).permutation(np.arange(1_000, 1_100))
        assert percentiles.discarded(100, 0.90) == 2
        assert percentiles.early_stopping_percentile_ns(samples, 0.90) == 1_099 - 2


class TestMedianBorders:
    @pytest.mark.parametrize(("count", "rank"), [(6, 1), (10, 2), (20, 6), (50, 18), (100, 40)])
    def test_a_single_process_has_the_order_statistics_of_the_printed_tables(self, count: int, rank: int) -> None:
        """Conover 1999, "Practical Nonparametric Statistics": the rank-th smallest and the rank-th largest."""
        samples = np.arange(1, count + 1) * 10
        assert percentiles.median_ci95_ns([samples[::-1]]) == (10 * rank, 10 * (count + 1 - rank))

    def test_two_samples_have_both_for_ends(self) -> None:
        assert percentiles.median_ci95_ns([np.array([30, 10])]) == (10, 30)

    def test_several_processes_have_students_interval_of_their_medians(self) -> None:
        from scipy.stats import ttest_1samp

        processes = [np.full(500, ns) for ns in (1_000, 1_300, 1_100)]
        expected = np.exp(ttest_1samp(np.log([1_000, 1_300, 1_100]), 0).confidence_interval(0.95))
        assert percentiles.median_ci95_ns(processes) == pytest.approx(tuple(expected))

    def test_the_interval_always_holds_the_median_of_all(self) -> None:
        processes = [np.full(10, 1_000), np.full(10, 1_000), np.full(1_000, 9_000)]
        low, high = percentiles.median_ci95_ns(processes)
        assert low <= 9_000 <= high
