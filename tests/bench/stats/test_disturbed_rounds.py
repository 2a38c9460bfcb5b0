"""Which rounds slowed all rows that took turns in them."""

import numpy as np
import pytest

from bench.stats.disturbed_rounds import disturbed, slowdowns

ROWS = np.array([[1.0], [2.0], [5.0]])  # usual times of three rows, in any unit


def test_a_round_in_which_all_rows_take_40_percent_longer_is_disturbed() -> None:
    p50_ns = ROWS * [1.0, 1.0, 1.4, 1.0]
    assert slowdowns(p50_ns) == pytest.approx([0.0, 0.0, 0.4, 0.0])
    assert disturbed(p50_ns) == [2]


def test_one_slow_row_disturbs_no_round() -> None:
    p50_ns = ROWS * np.ones(4)
    p50_ns[0, 1] = 3.0
    assert disturbed(p50_ns) == []


@pytest.mark.parametrize(("factor", "found"), [(1.049, []), (1.051, [0]), (0.5, [])])
def test_only_what_is_more_than_5_percent_slower_counts(factor: float, found: list[int]) -> None:
    assert disturbed(ROWS * [factor, 1.0, 1.0]) == found


@pytest.mark.parametrize(("rows", "rounds"), [(2, 4), (3, 2)])
def test_too_few_rows_or_rounds_tell_nothing(rows: int, rounds: int) -> None:
    p50_ns = np.ones((rows, rounds))
    p50_ns[:, 0] = 2.0
    assert disturbed(p50_ns) == []
