"""Accuracy beyond one figure: paired tests, classes, confusions, calibration, flips, and what they are held against."""

from typing import Any, ClassVar

import numpy as np
import pytest

from bench import evidence, quality
from bench.evidence import Evidence, collect
from bench.worker import ScoresWatched
from convert.paired import Paired


class TestPairedTest:
    @pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 0), (6, 0), (10, 3), (3, 10), (25, 9), (7, 7)])
    def test_mcnemar_is_the_exact_binomial_test(self, b: int, c: int) -> None:
        from scipy.stats import binomtest

        expected = 1.0 if b + c == 0 else binomtest(min(b, c), b + c, 0.5).pvalue
        assert Paired(b, c, 10_000).mcnemar_p == pytest.approx(expected)

    def test_five_against_none_are_not_yet_distinguishable_and_six_are(self) -> None:
        assert not Paired(5, 0, 10_000).distinguishable
        assert Paired(6, 0, 10_000).distinguishable

    def test_the_named_sample_finds_such_a_difference_in_four_of_five_samples(self) -> None:
        seen = Paired(30, 15, 10_000)
        pictures = seen.pictures_to_distinguish()
        assert pictures is not None
        random = np.random.default_rng(1)
        found = 0
        for _ in range(400):
            b, c, _rest = random.multinomial(pictures, [0.0030, 0.0015, 0.9955])
            found += Paired(int(b), int(c), pictures).distinguishable
        assert 0.72 <= found / 400 <= 0.86  # the exact test is a little weaker than the formula's

    def test_no_number_of_pictures_shows_a_difference_that_is_not_there(self) -> None:
        assert Paired(4, 4, 100).pictures_to_distinguish() is None


class TestClasses:
    truth = np.array([0, 0, 1, 1, 2, -1])
    answers = np.array([0, 1, 1, 1, 0, 2], np.uint16)

    def test_confusion_counts_the_class_down_and_leaves_out_what_has_none(self) -> None:
        table = quality.confusion(self.truth, self.answers, 3)
        assert table.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]

    def test_each_class_has_recall_and_precision_or_none(self) -> None:
        zero, one, two = quality.by_class(quality.confusion(self.truth, self.answers, 3), ("a", "b", "c"))
        assert [zero.recall, one.recall, two.recall] == [0.5, 1.0, 0.0]
        assert [zero.precision, one.precision, two.precision] == [0.5, 2 / 3, None]

    def test_flips_are_looked_for_where_both_have_answered(self) -> None:
        assert quality.flipped(np.array([1, 2, 3, 4]), np.array([1, 0, 3])).tolist() == [1]


class TestCalibration:
    def test_scores_that_are_probabilities_have_a_small_error(self) -> None:
        random = np.random.default_rng(0)
        scores = random.uniform(0.5, 1, 50_000).astype(np.float32)
        found = quality.calibration(scores, random.uniform(size=50_000) < scores)
        assert found is not None
        assert found.error < 0.01

    def test_sure_of_everything_and_right_in_nine_of_ten_is_an_error_of_a_tenth(self) -> None:
        found = quality.calibration(np.ones(100, np.float32), np.arange(100) >= 10)
        assert found is not None
        assert found.error == pytest.approx(0.1)
        assert [part.pictures for part in found.bins] == [100]

    def test_scores_that_are_no_probabilities_have_none(self) -> None:
        assert quality.calibration(np.array([3.5, 0.1], np.float32), np.array([True, True])) is None

    @pytest.mark.parametrize(("dtype", "kept"), [(np.float32, True), (np.uint8, False)])
    def test_top_scores_are_kept_of_real_outputs_alone(self, dtype: Any, kept: bool) -> None:
        class Session:
            runtime_version = "0"

            def tensor(self, pixels: Any) -> Any:
                return pixels

            def infer(self, tensor: Any) -> Any:
                return tensor.astype(dtype)

            def scores(self, output: Any) -> Any:
                return output.astype(np.float32)

        watched = ScoresWatched(Session())
        for number in (1, 2):
            watched.scores(watched.infer(watched.tensor(np.array([0, number]))))
        scores = watched.top_scores
        assert (scores is not None) == kept
        if scores is not None:
            assert scores.tolist() == [1.0, 2.0]


def kept(answers: list[list[int]], truth: list[int]) -> Evidence:
    pictures = np.arange(len(truth), dtype=np.uint8)[:, None, None, None]
    return collect("m", "s", np.array(truth), ["a", "b"], pictures, [np.array(row, np.uint16) for row in answers])


class TestEvidence:
    row: ClassVar = {
        "model": "m",
        "name": None,
        "accuracy": {"dataset_sha256": "s", "correct": 2, "total": 3},
        "samples": {"key": "k"},
    }

    def test_keeps_every_picture_that_a_row_misses(self) -> None:
        found = kept([[0, 0, 1], [0, 1]], truth=[0, 0, 0])
        assert found.places.tolist() == [1, 2]
        assert found.pixels.ravel().tolist() == [1, 2]

    def test_keeps_those_that_flip_before_those_that_all_miss(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(evidence, "PICTURES_KEPT", 1)
        assert kept([[1, 1], [1, 0]], truth=[0, 0]).places.tolist() == [1]

    def test_goes_with_the_row_and_not_with_one_that_it_does_not_fit(self) -> None:
        arrays = {**kept([[0, 1, 0]], truth=[0, 0, 0]).to_arrays(), "k/predictions": np.array([0, 1, 0], np.uint16)}
        assert Evidence.of(arrays, self.row) is not None
        assert Evidence.of(arrays, {**self.row, "accuracy": {"dataset_sha256": "s", "correct": 3, "total": 3}}) is None
        assert Evidence.of(arrays, {**self.row, "name": "other"}) is None

    def test_a_later_run_adds_its_pictures_and_what_no_row_needs_goes(self) -> None:
        arrays: dict[str, Any] = {"k/predictions": np.zeros(3, np.uint16)}
        evidence.merge(arrays, [kept([[0, 1, 0]], truth=[0, 0, 0])], [self.row])
        evidence.merge(arrays, [kept([[0, 0, 1]], truth=[0, 0, 0])], [self.row])
        assert arrays["pictures/m/s/places"].tolist() == [1, 2]
        evidence.merge(arrays, [], [])
        assert list(arrays) == ["k/predictions"]
