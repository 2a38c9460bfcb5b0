"""The front: trials that no other one beats in both accuracy and the minimized figure."""

from bench.search.front import front, interval
from tests.support.searching.searches import trial, unfinished


def numbers(*points: tuple[int, int]) -> tuple[int, ...]:
    """Return the front of trials with (right answers, bytes)."""
    return front([trial(number, *point) for number, point in enumerate(points)], "size_bytes")


def test_a_smaller_and_more_accurate_trial_beats_another() -> None:
    assert numbers((4900, 20_000), (4950, 10_000)) == (1,)


def test_a_trial_is_on_the_front_if_it_is_better_in_one_of_both() -> None:
    assert numbers((4900, 10_000), (4950, 20_000), (4800, 5_000)) == (2, 0, 1)


def test_of_two_as_accurate_ones_the_larger_is_beaten() -> None:
    assert numbers((4900, 10_000), (4900, 20_000)) == (0,)


def test_of_two_as_large_ones_the_less_accurate_is_beaten() -> None:
    assert numbers((4900, 10_000), (4950, 10_000)) == (1,)


def test_equal_trials_are_both_on_the_front() -> None:
    assert numbers((4900, 10_000), (4900, 10_000), (4899, 10_000)) == (0, 1)


def test_pruned_and_failed_trials_are_not_on_it() -> None:
    assert front([unfinished(0, "pruned", "slow"), unfinished(1, "failed", "NaN"), trial(2, 4000, 9)], "size_bytes") == (2,)


def test_no_trials_have_no_front() -> None:
    assert front([], "size_bytes") == ()


def test_a_counted_figure_is_its_own_interval_and_a_measured_one_has_its_ends() -> None:
    measured = trial(0, 1, 1, figures={"latency_ms": 2.0, "latency_ms_low": 1.9, "latency_ms_high": 2.2, "size_bytes": 5})
    assert interval(measured, "size_bytes") == (5, 5)
    assert interval(measured, "latency_ms") == (1.9, 2.2)
