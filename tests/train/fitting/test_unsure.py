"""The threshold below which an answer is unsure."""

import numpy as np
import numpy.typing as npt
import pytest

from train.fitting.unsure import MAX_RIGHT, unsure_below


def answers(*tops: float, right: bool) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return scores (N, 2) whose greater ones these are, and labels that make all of them right or wrong."""
    scores = np.array([[top, 1 - top] for top in tops], np.float32)
    return scores, np.full(len(tops), 0 if right else 1)


def test_it_is_as_high_as_three_quarters_of_the_wrong_answers_need() -> None:
    good, drawn = answers(*[0.99] * 100, right=True), answers(0.6, 0.7, 0.8, 0.9, right=False)
    assert unsure_below(*good, *drawn) == pytest.approx(0.9, abs=2e-3)


def test_few_right_answers_fall_below_it() -> None:
    tops = np.linspace(0.55, 0.999, 1_000)
    threshold = unsure_below(*answers(*tops, right=True), *answers(0.99, 0.995, right=False))
    assert MAX_RIGHT - 0.002 <= np.mean(tops < threshold) <= MAX_RIGHT


def test_the_wrong_answers_of_the_validation_part_do_not_count() -> None:
    scores, labels = answers(*[0.99] * 99, 0.51, right=True)
    labels[-1] = 1
    assert unsure_below(scores, labels, *answers(0.995, right=False)) == pytest.approx(0.99, abs=2e-3)


def test_without_wrong_answers_the_right_ones_decide() -> None:
    assert unsure_below(*answers(*[0.98] * 10, right=True), *answers(0.9, right=True)) == pytest.approx(0.98, abs=2e-3)


def test_without_right_answers_nothing_is_unsure() -> None:
    assert unsure_below(*answers(0.9, 0.8, right=False), *answers(0.9, right=True)) == 0.0
