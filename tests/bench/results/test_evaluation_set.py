"""Labels and wrongly answered pictures of the evaluation set."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from bench.results import evaluation_set
from bench.results.evaluation_set import EvaluationSet, collect
from bench.results.measurement import AnswerCounts
from bench.results.row import ResultRow, SampleReference
from tests.support.results_builder import make_row


def kept(answers: list[list[int]], truth: list[int]) -> EvaluationSet:
    pictures = np.arange(len(truth), dtype=np.uint8)[:, None, None, None]
    return collect("m", "s", np.array(truth), ["a", "b"], pictures, [np.array(row, np.uint16) for row in answers])


def answered(correct: int, name: str | None = None) -> ResultRow:
    """Return a row of model m that answered three pictures of the data set s."""
    made = replace(make_row(), answers=AnswerCounts(correct, 3, dataset_sha256="s")).row
    return replace(made, subject=replace(made.subject, name=name), samples=SampleReference(key="k"))


class TestEvaluationSet:
    row: ClassVar = answered(2)

    def test_keeps_every_picture_that_a_row_misses(self) -> None:
        found = kept([[0, 0, 1], [0, 1]], truth=[0, 0, 0])
        assert found.places.tolist() == [1, 2]
        assert found.pixels.ravel().tolist() == [1, 2]

    def test_keeps_those_that_flip_before_those_that_all_miss(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(evaluation_set, "PICTURES_KEPT", 1)
        assert kept([[1, 1], [1, 0]], truth=[0, 0]).places.tolist() == [1]

    def test_goes_with_the_row_and_not_with_one_that_it_does_not_fit(self) -> None:
        arrays = {**kept([[0, 1, 0]], truth=[0, 0, 0]).to_arrays(), "k/predictions": np.array([0, 1, 0], np.uint16)}
        assert EvaluationSet.of(arrays, self.row) is not None
        assert EvaluationSet.of(arrays, answered(3)) is None
        assert EvaluationSet.of(arrays, answered(2, name="other")) is None

    def test_a_later_run_adds_its_pictures_and_what_no_row_needs_goes(self) -> None:
        arrays: dict[str, Any] = {"k/predictions": np.zeros(3, np.uint16)}
        evaluation_set.merge(arrays, [kept([[0, 1, 0]], truth=[0, 0, 0])], [self.row])
        evaluation_set.merge(arrays, [kept([[0, 0, 1]], truth=[0, 0, 0])], [self.row])
        assert arrays["pictures/m/s/places"].tolist() == [1, 2]
        evaluation_set.merge(arrays, [], [])
        assert list(arrays) == ["k/predictions"]
