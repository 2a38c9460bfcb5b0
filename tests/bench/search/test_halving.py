"""Which trials go on: those that may still win."""

from pathlib import Path

from bench.search.halving import why_not
from bench.search.result import Limit
from bench.search.trial_progress import TrialProgress
from tests.support.searching.search_trials import spec


def progress(number: int, size_kb: float, *shown: float) -> TrialProgress:
    """Return a trial with its accuracies at the rungs that it has reached."""
    found = TrialProgress(number, {}, "int8.tflite", "litert", rung=len(shown), shown=list(shown))
    found.figures = {"size_bytes": 1000 * size_kb}
    return found


def test_the_first_trial_goes_on(tmp_path: Path) -> None:
    trial = progress(0, 10, 0.90)
    assert why_not(trial, [trial], spec(tmp_path)) is None


def test_a_trial_that_no_smaller_one_beats_goes_on(tmp_path: Path) -> None:
    others = [progress(number, 20, 0.95) for number in range(9)]
    assert why_not(progress(9, 10, 0.91), others, spec(tmp_path)) is None


def test_a_trial_that_a_third_of_the_others_beats_stops(tmp_path: Path) -> None:
    better = [progress(number, 10, 0.95) for number in range(3)]
    worse = [progress(number, 30, 0.90) for number in range(3, 11)]
    reason = why_not(progress(11, 20, 0.94), [*better, *worse], spec(tmp_path))
    assert reason == "94.00 % so far; no larger and more accurate here: 3 of 11 trials"
    assert why_not(progress(11, 20, 0.94), [*better[:2], *worse], spec(tmp_path)) is None


def test_what_was_as_accurate_on_the_way_and_fell_short_at_the_end_shows_that_a_trial_will(tmp_path: Path) -> None:
    asked = spec(tmp_path, Limit("top1", least=0.99))
    short = [progress(number, 20, 0.95, 0.97, 0.98) for number in range(2)]
    reason = why_not(progress(2, 10, 0.94), short, asked)
    assert reason == "94.00 % so far: 2 that had more here ended below 99.00 %"
    assert why_not(progress(2, 10, 0.94), [*short, progress(3, 20, 0.93, 0.98, 0.995)], asked) is None


def test_without_an_accuracy_in_the_budget_one_with_twice_the_errors_of_the_best_stops(tmp_path: Path) -> None:
    best = [progress(0, 20, 0.98)]
    assert why_not(progress(1, 10, 0.955), best, spec(tmp_path)) == "95.50 % so far, where another had 98.00 %"
    assert why_not(progress(1, 10, 0.965), best, spec(tmp_path)) is None


def test_a_trial_over_the_budget_beats_nobody(tmp_path: Path) -> None:
    asked = spec(tmp_path, Limit("size_bytes", most=15_000))
    assert why_not(progress(1, 14, 0.90), [progress(0, 12, 0.91)], asked) is not None
    assert why_not(progress(1, 14, 0.90), [progress(0, 16, 0.99)], asked) is None
