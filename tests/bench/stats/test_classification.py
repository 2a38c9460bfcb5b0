"""More figures about accuracy: paired tests, classes, confusions, calibration, different answers, and references."""

from typing import Any

import numpy as np
import pytest

from bench.measure.phase_worker import NO_ANSWER
from bench.measure.worker import ScoresWatched
from bench.stats import classification


class TestClasses:
    truth = np.array([0, 0, 1, 1, 2, -1])
    answers = np.array([0, 1, 1, 1, 0, 2], np.uint16)

    def test_confusion_counts_the_class_down_and_leaves_out_what_has_none(self) -> None:
        table = classification.confusion(self.truth, self.answers, 3)
        assert table.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0]]

    def test_a_picture_that_a_device_could_not_read_is_not_answered_and_wrong(self) -> None:
        """It counts among the pictures of its class, and among the answers of none."""
        answers = np.array([0, NO_ANSWER, 1, NO_ANSWER, NO_ANSWER, NO_ANSWER], np.uint16)
        table = classification.confusion(self.truth, answers, 3)
        assert table.tolist() == [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1]]
        found = classification.by_class(table, ("a", "b", "c"))
        assert [(one.pictures, one.right, one.answered) for one in found] == [(2, 1, 1), (2, 1, 1), (1, 0, 0)]

    def test_each_class_has_recall_and_precision_or_none(self) -> None:
        zero, one, two = classification.by_class(classification.confusion(self.truth, self.answers, 3), ("a", "b", "c"))
        assert [zero.recall, one.recall, two.recall] == [0.5, 1.0, 0.0]
        assert [zero.precision, one.precision, two.precision] == [0.5, 2 / 3, None]

    def test_flips_are_looked_for_where_both_have_answered(self) -> None:
        assert classification.flipped(np.array([1, 2, 3, 4]), np.array([1, 0, 3])).tolist() == [1]

    def test_a_recall_has_wilsons_interval(self) -> None:
        (found,) = classification.by_class(np.array([[8]]) * np.array([[1]]), ("a",))
        assert found.recall_ci95 == pytest.approx((8 / (8 + 1.9599640**2), 1.0))

    def test_a_class_without_pictures_has_none(self) -> None:
        empty = classification.ClassFigures("a", pictures=0, right=0, answered=3)
        assert (empty.recall, empty.recall_ci95, empty.precision) == (None, None, 0.0)

    def test_pictures_and_answers_of_a_class_are_counted_apart(self) -> None:
        one, other = classification.by_class(np.array([[5, 2], [1, 4]]), ("a", "b"))
        assert one == classification.ClassFigures("a", pictures=7, right=5, answered=6)
        assert other == classification.ClassFigures("b", pictures=5, right=4, answered=6)

    def test_flips_are_places_whichever_of_the_two_is_longer(self) -> None:
        assert classification.flipped(np.array([1, 2]), np.array([0, 2, 9])).tolist() == [0]


class TestCalibration:
    def test_the_error_is_the_mean_distance_of_the_bins_weighted_by_their_pictures(self) -> None:
        scores = np.array([0.01, 0.05, 0.5, 0.52, 0.95, 1.0], np.float32)  # bins 0, 0, 7, 7, 14 and 14
        found = classification.calibration(scores, np.array([False, True, True, True, True, False]))
        assert found is not None
        assert [(part.pictures, round(part.score, 6), part.accuracy) for part in found.bins] == [
            (2, 0.03, 0.5),
            (2, 0.51, 1.0),
            (2, 0.975, 0.5),
        ]
        assert found.error == pytest.approx((2 * 0.47 + 2 * 0.49 + 2 * 0.475) / 6)

    def test_bins_that_hold_unlike_many_weigh_as_much_as_they_hold(self) -> None:
        found = classification.calibration(np.array([0.9, 0.9, 0.9, 0.1], np.float32), np.array([True, True, True, False]))
        assert found is not None
        assert found.error == pytest.approx((3 * 0.1 + 0.1) / 4)

    def test_there_are_fifteen_bins_of_equal_width(self) -> None:
        middles = ((np.arange(15) + 0.5) / 15).astype(np.float32)
        found = classification.calibration(np.repeat(middles, 2), np.ones(30, np.bool_))
        assert found is not None
        assert [part.pictures for part in found.bins] == [2] * 15

    @pytest.mark.parametrize(
        ("scores", "kept"),
        [([], False), ([-0.01, 0.5], False), ([0.0, 0.5], True), ([0.5, 1.0001], True), ([0.5, 1.001], False)],
    )
    def test_probabilities_lie_between_0_and_1_but_for_rounding(self, scores: list[float], kept: bool) -> None:
        found = classification.calibration(np.array(scores, np.float32), np.ones(len(scores), np.bool_))
        assert (found is not None) == kept

    def test_scores_that_are_probabilities_have_a_small_error(self) -> None:
        random = np.random.default_rng(0)
        scores = random.uniform(0.5, 1, 50_000).astype(np.float32)
        found = classification.calibration(scores, random.uniform(size=50_000) < scores)
        assert found is not None
        assert found.error < 0.01

    def test_sure_of_everything_and_right_in_nine_of_ten_is_an_error_of_a_tenth(self) -> None:
        found = classification.calibration(np.ones(100, np.float32), np.arange(100) >= 10)
        assert found is not None
        assert found.error == pytest.approx(0.1)
        assert [part.pictures for part in found.bins] == [100]

    def test_scores_that_are_no_probabilities_have_none(self) -> None:
        assert classification.calibration(np.array([3.5, 0.1], np.float32), np.array([True, True])) is None

    def test_a_least_score_just_above_a_wrong_answer_costs_the_right_ones_below_it(self) -> None:
        scores = np.array([0.4, 0.5, 0.6, 0.7, 0.8, 0.9], np.float32)
        right = np.array([True, False, True, True, False, True])
        found = classification.least_scores(scores, right)
        assert [(one.right_unsure, one.wrong_unsure) for one in found] == [(0, 0), (0.25, 0.5), (0.75, 1)]
        assert [one.score for one in found] == pytest.approx([0, 0.5, 0.8])
        for one in found:  # as classify.py takes it: below is unsure
            assert np.mean(scores[~right] < one.score) == one.wrong_unsure

    def test_nothing_wrong_has_no_least_score_and_many_wrong_have_a_curve_of_sixty_points(self) -> None:
        scores = np.linspace(0, 1, 1_000, dtype=np.float32)
        assert classification.least_scores(scores, np.ones(1_000, np.bool_)) == ()
        assert classification.least_scores(scores, np.zeros(1_000, np.bool_)) == ()
        found = classification.least_scores(scores, np.arange(1_000) % 2 == 0)
        assert len(found) == 61
        assert (found[0].wrong_unsure, found[-1].wrong_unsure) == (0, 1)

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
