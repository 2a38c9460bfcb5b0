"""Which cycles slowed the rows that took turns in them."""

import numpy as np
import numpy.typing as npt
import pytest

from bench.stats.disturbed_turns import disturbed, slowdowns

ROWS = np.array([[1.0], [2.0], [5.0], [7.0]])  # usual times of four rows, in any unit


def cycles_of(*factors: float) -> npt.NDArray[np.float64]:
    """Return the times of all rows in twenty quiet cycles and then in these."""
    return ROWS * [*[1.0] * 20, *factors]


def test_a_cycle_in_which_all_rows_take_40_percent_longer_is_disturbed() -> None:
    turn_ns = cycles_of(1.4, 1.0)
    assert slowdowns(turn_ns)[-2:] == pytest.approx([0.4, 0.0])
    assert np.flatnonzero(disturbed(turn_ns)).tolist() == [20]


def test_one_slow_row_disturbs_no_cycle() -> None:
    turn_ns = cycles_of()
    turn_ns[0, 1] = 3.0
    assert not disturbed(turn_ns).any()


def test_a_quarter_of_the_rows_tells_what_slows_only_those_that_need_much_memory() -> None:
    turn_ns = np.concatenate([cycles_of(1.0)] * 3)  # twelve rows
    turn_ns[:2, -1] *= 1.3
    assert not disturbed(turn_ns).any()
    turn_ns[2, -1] *= 1.3
    assert np.flatnonzero(disturbed(turn_ns)).tolist() == [20]


def test_the_usual_time_is_that_of_the_fast_cycles_where_most_are_slow() -> None:
    turn_ns = ROWS * [*[1.0] * 4, *[1.3] * 16]
    assert disturbed(turn_ns).tolist() == [False] * 4 + [True] * 16


@pytest.mark.parametrize(("factor", "found"), [(1.079, False), (1.081, True), (0.5, False)])
def test_only_what_is_more_than_8_percent_slower_counts(factor: float, found: bool) -> None:
    assert disturbed(cycles_of(factor))[-1] == found


def test_turns_that_were_not_taken_tell_nothing() -> None:
    turn_ns = cycles_of(1.4, 1.4)
    turn_ns[0, -2:] = np.nan
    turn_ns[1, -1] = np.nan
    assert disturbed(turn_ns)[-2:].tolist() == [True, False]  # of three rows, and of two


def test_fewer_than_three_rows_tell_nothing() -> None:
    assert not disturbed(cycles_of(2.0)[:2]).any()
