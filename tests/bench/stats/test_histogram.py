"""Latencies counted by size, compared with the sorted samples."""

import math

import numpy as np
import pytest

from bench.stats.histogram import LARGEST_NS, PRECISION, Histogram
from bench.stats.percentiles import early_stopping_percentile_ns

SAMPLES = np.random.default_rng(0).lognormal(12, 1, 6_001).astype(np.int64)


def histogram(*samples: int) -> Histogram:
    found = Histogram()
    found.add(np.array(samples, np.int64))
    return found


def test_an_empty_one_holds_nothing() -> None:
    empty = Histogram()
    empty.add(np.empty(0, np.int64))
    assert (len(empty), empty.min_ns) == (0, math.inf)


def test_parts_add_up_and_the_smallest_is_exact() -> None:
    found = Histogram()
    for part in (SAMPLES[:1_000], SAMPLES[1_000:]):
        found.add(part)
    assert (len(found), found.min_ns) == (6_001, SAMPLES.min())
    assert found.at_rank_ns(6_000) <= SAMPLES.max()


@pytest.mark.parametrize("rank", [0, 1, 100, 3_000, 5_999, 6_000])
def test_each_rank_is_within_half_a_bin_of_the_sorted_sample(rank: int) -> None:
    found = Histogram()
    found.add(SAMPLES)
    assert found.at_rank_ns(rank) == pytest.approx(np.sort(SAMPLES)[rank], rel=PRECISION * 0.501)


def test_bins_are_a_thousandth_wide_and_hold_their_middle() -> None:
    every = np.arange(1_000_000, 1_100_000, 37)
    found = Histogram()
    found.add(every)
    errors = [found.at_rank_ns(rank) / every[rank] - 1 for rank in range(0, len(every), 7)]
    assert abs(float(np.mean(errors))) < 2e-5
    assert 4e-4 < max(map(abs, errors)) < 6e-4


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two(count: int) -> None:
    samples = (1_000, 5_000, 20_000, 90_000)[:count]
    assert histogram(*samples).median_ns() == pytest.approx(float(np.median(samples)), rel=1e-3)


def test_what_is_shorter_or_longer_than_any_bin_counts_at_the_end() -> None:
    found = histogram(0, 7, 50 * LARGEST_NS)
    assert len(found) == 3
    assert found.at_rank_ns(0) == pytest.approx(1, rel=1e-3)
    assert found.at_rank_ns(1) == pytest.approx(7, rel=1e-3)
    assert found.at_rank_ns(2) == pytest.approx(LARGEST_NS, rel=3e-3)


def test_a_single_latency_is_exact_at_every_rank() -> None:
    assert histogram(123_456, 123_456).at_rank_ns(1) == 123_456


def test_early_stopping_takes_the_same_place_as_in_the_samples() -> None:
    found = Histogram()
    found.add(SAMPLES)
    for percentile in (0.90, 0.99):
        exact = early_stopping_percentile_ns(SAMPLES, percentile)
        assert exact is not None
        assert found.early_stopping_percentile_ns(percentile) == pytest.approx(exact, rel=PRECISION)
    assert found.early_stopping_percentile_ns(0.9999) is None
