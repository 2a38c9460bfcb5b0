"""Golden comparison."""

from typing import Any

import numpy as np
import pytest

from bench.artifacts.find import Artifact
from bench.measure.golden_comparison import deviations, worst_difference
from device.formats.model_file import read_card
from tests.conftest import Tiny


class TestComparison:
    @pytest.fixture
    def found(self, tiny: Tiny) -> Artifact:
        path = tiny.artifact("int8.tflite")
        card = read_card(path)
        assert card is not None
        return Artifact(path, "tflite", card)

    @staticmethod
    def result(found: Artifact, **other: Any) -> dict[str, Any]:
        scores = [[0.0, 0.9] + [0.0] * 8 for _ in found.card.document["golden"]]
        return {"runtime": "litert", "runtime_version": "2", "failed_checks": [], "golden_scores": scores, **other}

    def shifted(self, found: Artifact, by: float, **other: Any) -> dict[str, Any]:
        result = self.result(found, **other)
        result["golden_scores"][0][0] += by
        return result

    def test_of_equal_answers_finds_nothing(self, found: Artifact) -> None:
        assert deviations(found, self.result(found), self.result(found)) == []

    def test_allows_int8_one_step_in_the_same_litert_and_no_more(self, found: Artifact) -> None:
        assert deviations(found, self.shifted(found, 1 / 256), self.result(found)) == []
        assert "golden[0]: scores differ" in deviations(found, self.shifted(found, 2 / 256), self.result(found))[0]

    @pytest.mark.parametrize("number", [np.nan, np.inf])
    @pytest.mark.parametrize("clear", [True, False])
    @pytest.mark.parametrize("version", ["2", "3"])
    def test_finds_a_score_that_is_no_number(self, found: Artifact, number: float, clear: bool, version: str) -> None:
        """NaN is not above any limit, and it is not the same answer."""
        found.card.document["golden"][1]["clear"] = clear
        there = self.result(found, runtime_version=version)
        there["golden_scores"][1][5] = number
        assert any("golden[1]: scores differ" in one for one in deviations(found, there, self.result(found)))
        assert not np.isfinite(worst_difference(there, self.result(found)))

    def test_allows_004_across_versions_and_runtimes(self, found: Artifact) -> None:
        other = {"runtime_version": "3"}
        assert deviations(found, self.shifted(found, 0.03, **other), self.result(found)) == []
        assert deviations(found, self.shifted(found, 0.05, **other), self.result(found))

    def test_finds_another_top_class_and_a_failed_self_test(self, found: Artifact) -> None:
        there = self.shifted(found, 0.91, runtime_version="3", failed_checks=["golden[0].top1: 3, expected 5"])
        wrong = " ".join(deviations(found, there, self.result(found)))
        assert "self-test: golden[0].top1" in wrong
        assert "golden[0]: 0 there, 1 here" in wrong

    def test_lets_the_picture_near_the_border_be_another_class_but_in_the_same_litert_no_more_than_a_step_off(
        self, found: Artifact
    ) -> None:
        found.card.document["golden"][0]["clear"] = False
        there = self.shifted(found, 0.91, runtime_version="3")
        assert deviations(found, there, self.result(found)) == []
        assert "golden[0]: scores differ" in deviations(found, {**there, "runtime_version": "2"}, self.result(found))[0]
