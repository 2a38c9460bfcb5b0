"""Rows that took turns are compared turn by turn, and a round is one sample."""

import numpy as np
import pytest

from bench.stats.percentiles import Nanoseconds
from bench.stats.turns import log_ratios, ratio_of_rounds

QUERIES = 8


def turns(*middles_ns: float) -> list[Nanoseconds]:
    """Return turns of equal queries, each with this latency in nanoseconds."""
    return [np.full(QUERIES, middle_ns, np.int64) for middle_ns in middles_ns]


def test_a_machine_that_slows_down_for_both_leaves_the_ratio() -> None:
    slow = [turns(200, 400, 800), turns(2_000, 4_000, 8_000)]
    fast = [turns(100, 200, 400), turns(1_000, 2_000, 4_000)]
    found = ratio_of_rounds(slow, fast, 0.05)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_a_disturbed_turn_is_left_out() -> None:
    found = ratio_of_rounds([turns(300, 9_000, 300)] * 2, [turns(100, 100, 100)] * 2, 0.05)
    assert found is not None
    assert found.value == pytest.approx(3)


def test_rounds_that_differ_make_the_interval_wide() -> None:
    found = ratio_of_rounds([turns(200), turns(800)], [turns(100), turns(100)], 0.05)
    assert found is not None
    assert found.value == pytest.approx(4)
    assert found.low < 1 < 16 < found.high


def test_only_turns_that_both_took_are_compared() -> None:
    found = ratio_of_rounds([turns(200, 200, 9_000)] * 2, [turns(100, 100)] * 2, 0.05)
    assert found is not None
    assert found.value == pytest.approx(2)


def test_the_lower_quarter_of_a_turns_queries_is_compared() -> None:
    half_disturbed = [np.array([100] * 4 + [5_000] * 4, np.int64)]
    found = ratio_of_rounds([half_disturbed] * 2, [turns(100)] * 2, 0.05)
    assert found is not None
    assert found.value == pytest.approx(1)


def test_one_round_shows_no_interval() -> None:
    assert ratio_of_rounds([turns(200)], [turns(100)], 0.05) is None


def test_each_process_is_compared_with_the_geometric_mean_of_its_turn() -> None:
    compared_ns = np.array([[100.0, 400.0], [1_000.0, 4_000.0], [50.0, 200.0]])
    assert np.exp(log_ratios(compared_ns)) == pytest.approx([0.5, 2])
