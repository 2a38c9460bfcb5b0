"""The winner: the smallest that keeps an accuracy, or the most accurate; what the sample does not show decides nothing."""

import pytest

from bench.search.result import Limit, SearchResult, Trial
from bench.search.winner import concluded
from common.paired_accuracy import Paired
from tests.support.searching.searches import TOTAL, search, trial

ACCURATE = (Limit("top1", least=0.98),)
SMALL = (Limit("size_bytes", most=25_000),)
FEW, MANY = 20, 200  # pictures that only one of two trials answers right, beside their difference


def conclude(*trials: Trial, limits: tuple[Limit, ...] = (), unlike: int = FEW) -> SearchResult:
    """Conclude a search whose trials differ in so many pictures each way, beside the difference of their right answers."""

    def paired(one: Trial, other: Trial) -> Paired:
        more = (one.correct or 0) - (other.correct or 0)
        return Paired(unlike + max(more, 0), unlike + max(-more, 0), TOTAL)

    return concluded(search(*trials, limits=limits), paired)


def test_the_smallest_that_keeps_the_accuracy_wins() -> None:
    found = conclude(trial(0, 4990, 20_000), trial(1, 4920, 10_000), limits=ACCURATE)
    assert found.winner == 1
    assert found.lead is not None
    assert (found.lead.leader, found.lead.next_best, found.lead.is_tie) == (1, 0, False)


def test_a_smaller_one_that_breaks_the_budget_does_not_win() -> None:
    found = conclude(trial(0, 4920, 20_000), trial(1, 4000, 10_000, keeps_budget=False), limits=ACCURATE)
    assert (found.winner, found.lead) == (0, None)


def test_without_an_accuracy_the_most_accurate_wins_and_not_the_smallest() -> None:
    found = conclude(trial(0, 4900, 20_000), trial(1, 4500, 1_000), limits=SMALL)
    assert found.winner == 0
    assert found.lead is not None
    assert not found.lead.is_tie


def test_without_an_accuracy_the_smallest_wins_of_those_that_the_sample_cannot_tell_from_the_best() -> None:
    found = conclude(trial(0, 4903, 20_000), trial(1, 4900, 10_000), limits=SMALL)
    assert found.winner == 1
    assert found.lead is not None
    assert not found.lead.is_tie  # it is smaller, and that is exact
    assert "accuracy not distinguishable" in found.lead.why


def test_as_large_and_not_distinguishable_is_a_tie() -> None:
    found = conclude(trial(0, 4903, 10_000), trial(1, 4900, 10_000), limits=ACCURATE)
    assert found.winner == 0
    assert found.lead is not None
    assert found.lead.is_tie


def test_the_same_difference_is_shown_by_few_differing_pictures_and_not_by_many() -> None:
    trials = (trial(0, 4940, 10_000), trial(1, 4900, 10_000))
    few, many = conclude(*trials, limits=ACCURATE), conclude(*trials, limits=ACCURATE, unlike=MANY)
    assert few.lead is not None
    assert many.lead is not None
    assert (few.lead.is_tie, many.lead.is_tie) == (False, True)


@pytest.mark.parametrize(("high_ms", "is_tie"), [(1.05, False), (1.15, True)])
def test_a_measured_figure_is_smaller_only_if_the_intervals_are_apart(high_ms: float, is_tie: bool) -> None:
    quick = {"latency_ms": 1.0, "latency_ms_low": 0.95, "latency_ms_high": high_ms}
    slow = {"latency_ms": 1.2, "latency_ms_low": 1.1, "latency_ms_high": 1.3}
    trials = (trial(0, 4900, 0, figures=slow), trial(1, 4900, 0, figures=quick))
    found = concluded(search(*trials, limits=ACCURATE, minimize="latency_ms"), _unknown)
    assert found.winner == 1
    assert found.lead is not None
    assert found.lead.is_tie is is_tie


def test_a_shown_accuracy_decides_between_figures_that_cannot_be_told_apart() -> None:
    figures = {"latency_ms": 1.0, "latency_ms_low": 0.9, "latency_ms_high": 1.2}
    trials = (trial(0, 4900, 0, figures=figures), trial(1, 4990, 0, figures={**figures, "latency_ms": 1.1}))
    found = concluded(search(*trials, limits=ACCURATE, minimize="latency_ms"), _paired)
    assert found.winner == 1


def _unknown(*_: Trial) -> None:
    """Compare no trials picture by picture."""


def _paired(one: Trial, other: Trial) -> Paired:
    more = (one.correct or 0) - (other.correct or 0)
    return Paired(FEW + max(more, 0), FEW + max(-more, 0), TOTAL)


def test_larger_and_more_accurate_trials_of_the_front_are_the_steps_from_the_winner() -> None:
    points = ((4920, 10_000), (4950, 15_000), (4940, 18_000), (4980, 30_000), (4000, 5_000))
    trials = [trial(number, *point) for number, point in enumerate(points)]
    trials[4] = trial(4, 4000, 5_000, keeps_budget=False)
    found = conclude(*trials, limits=ACCURATE)
    assert found.front == (4, 0, 1, 3)
    assert found.winner == 0
    assert [step.number for step in found.steps] == [1, 3]
    assert found.steps[0].accuracy == Paired(FEW, FEW + 30, TOTAL)


def test_without_a_trial_that_keeps_the_budget_there_is_a_front_and_no_winner() -> None:
    found = conclude(trial(0, 4920, 10_000, keeps_budget=False), limits=ACCURATE)
    assert (found.front, found.winner, found.lead, found.steps) == ((0,), None, None, ())
