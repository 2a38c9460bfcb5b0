"""How often an artifact answers as the float model, and how its sessions share the work."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from convert.variants import Variant, find_variants
from convert.verification import verify
from device.errors import CheckFailed, ModelError


def found_agreement(scores: Any, reference: Any, key: str, margin: float) -> verify.Agreement:
    """Compare rows of scores with rows of Keras's."""

    class Canned:
        def __init__(self) -> None:
            self.rows = iter(np.array(scores, np.float32))

        def tensor(self, _: Any) -> Any:
            return None

        def infer(self, _: Any) -> Any:
            return None

        def scores(self, _: Any) -> Any:
            return next(self.rows)

    (variant,) = find_variants([key])
    pixels = np.zeros((len(reference), 1, 1, 1), np.uint8)
    return verify.agreement([Canned()], pixels, np.array(reference, np.float32), variant, margin)  # type: ignore[list-item]


class TestUndecided:
    KERAS = ((0.9, 0.1), (0.52, 0.48), (0.2, 0.8))
    FOUND = ((0.8, 0.2), (0.49, 0.51), (0.3, 0.7))

    def test_only_pictures_that_keras_decides_count_and_how_many_is_said(self) -> None:
        found = found_agreement(self.FOUND, self.KERAS, "int8.tflite", 0.1)
        assert (found.agree, found.total, found.undecided, found.scores) == (2, 2, 1, None)
        assert verify.describe(found) == (
            "answers 0 of the 2 of 3 validation pictures that Keras decides by at least 0.1 differently from float"
        )
        assert found.to_json() == {"agree": 2, "total": 2, "margin": 0.1, "undecided": 1}

    def test_of_a_model_that_was_trained_here_every_picture_counts(self) -> None:
        (variant,) = find_variants(["int8.tflite"])
        assert verify.counted_margin(variant, trained_here=True) == 0
        found = found_agreement(self.FOUND, self.KERAS, "int8.tflite", 0.0)
        assert found.to_json() == {"agree": 2, "total": 3}

    @pytest.mark.parametrize(
        ("key", "worst", "kept"),
        [("float32.onnx", 1e-5, True), ("float32.onnx", 1e-3, False), ("int8.onnx", 0.02, True), ("int8.onnx", 0.06, False)],
    )
    def test_where_none_is_decided_scores_are_compared(self, key: str, worst: float, kept: bool) -> None:
        keras = np.full((4, 3), 1 / 3)
        found = found_agreement(keras + np.array((worst, -worst, 0)), keras, key, 0.1)
        assert found.total == 0
        assert found.scores is not None
        assert found.scores.worst == pytest.approx(worst, rel=0.02)
        (variant,) = find_variants([key])
        if kept:
            verify.check_agreement(variant, found)
        else:
            with pytest.raises(CheckFailed, match="Keras decides none of 4"):
                verify.check_agreement(variant, found)

    @pytest.mark.parametrize("found", [np.nan, np.inf])
    def test_scores_that_are_not_numbers_agree_with_nothing(self, found: float) -> None:
        """argmax names the class whose score is NaN, here the right one."""
        agreement = found_agreement([[0.9, 0.1], [found, 0.1]], [[0.9, 0.1], [0.9, 0.1]], "float16.tflite", 0.0)
        assert (agreement.agree, agreement.total) == (1, 2)
        undecided = found_agreement([[0.5, 0.5], [0.5, found]], [[0.5, 0.5], [0.5, 0.5]], "float16.tflite", 0.1)
        assert not verify.agrees(find_variants(["float16.tflite"])[0], undecided)

    def test_a_comparison_that_shows_little_says_so(self) -> None:
        thousand = np.full((2, 1_000), 0.001)
        assert "shows little" in verify.describe(found_agreement(thousand, thousand, "int8.tflite", 0.1))
        assert "shows little" not in verify.describe(found_agreement(thousand, thousand, "int8.onnx", 0.1))


class Owned:
    """A session whose scores depend on the picture; it refuses a second picture before the first has its scores."""

    def __init__(self, broken_at: int | None = None) -> None:
        self.answered, self.broken_at, self._busy = 0, broken_at, threading.Lock()

    def tensor(self, picture: Any) -> Any:
        assert self._busy.acquire(blocking=False), "two pictures at a time in one session"
        return int(picture[0, 0, 0])

    def infer(self, number: int) -> Any:
        if number == self.broken_at:
            raise ModelError(f"picture {number}")
        time.sleep(0.001)
        return number

    def scores(self, number: int) -> Any:
        self.answered += 1
        self._busy.release()
        high = (number % 90 + 10) / 100
        return np.array((high, 1 - high), np.float32)


class TestSessions:
    PIXELS = np.arange(200, dtype=np.uint8).reshape(-1, 1, 1, 1)
    KERAS = np.random.default_rng(0).dirichlet((1, 1), 200).astype(np.float32)

    def found(self, sessions: list[Owned]) -> verify.Agreement:
        return verify.agreement(sessions, self.PIXELS, self.KERAS, variant_of("int8.tflite"), 0.05)  # type: ignore[arg-type]

    def test_their_number_changes_nothing_and_all_of_them_work(self) -> None:
        several = [Owned(), Owned(), Owned()]
        assert self.found(several) == self.found([Owned()])
        assert sum(session.answered for session in several) == 200
        assert all(session.answered for session in several)

    def test_an_error_of_one_is_an_error(self) -> None:
        with pytest.raises(ModelError, match="picture 120"):
            self.found([Owned(120), Owned(120)])


def variant_of(key: str) -> Variant:
    (variant,) = find_variants([key])
    return variant


class TestPromises:
    @pytest.mark.parametrize(
        ("key", "agree", "total", "kept"),
        [
            ("float32.tflite", 999, 1_000, True),
            ("float32.tflite", 998, 1_000, False),
            ("int8.tflite", 990, 1_000, True),
            ("int8.tflite", 989, 1_000, False),
            ("int8.tflite", 11_880, 12_000, True),
            # of fewer, Wilson's upper end decides
            ("float32.tflite", 998, 999, True),
            ("float32.tflite", 993, 999, False),
            ("int8.tflite", 97, 100, True),  # up to 0.9926 by 99 %, to 0.9897 by 95 %
            ("int8.tflite", 96, 100, False),  # up to 0.9879
            ("int8.tflite", 90, 100, False),
            ("int8.tflite", 0, 1, False),
            ("int8.tflite", 1, 1, True),
        ],
    )
    def test_of_a_thousand_the_share_counts_and_of_fewer_the_interval(
        self, key: str, agree: int, total: int, kept: bool
    ) -> None:
        assert verify.agrees(variant_of(key), verify.Agreement(agree, total)) is kept

    def test_the_border_of_a_small_sample_is_wilsons_upper_end(self) -> None:
        from scipy.stats import binomtest

        for agree in range(80, 101):
            high = binomtest(agree, 100).proportion_ci(0.99, method="wilson").high
            assert verify.agrees(variant_of("int8.tflite"), verify.Agreement(agree, 100)) == (high >= 0.99)

    def test_a_broken_promise_is_said_with_both_shares(self) -> None:
        with pytest.raises(CheckFailed) as error:
            verify.check_agreement(variant_of("int8.onnx"), verify.Agreement(1_900, 2_000))
        assert str(error.value) == (
            "int8.onnx: answers 100 of 2,000 validation pictures differently from float (95.00 % as float, promised are "
            "99.0 %): `edgeproof convert doctor MODEL --fix` finds the cause"
        )
        verify.check_agreement(variant_of("int8.onnx"), verify.Agreement(1_980, 2_000))

    @pytest.mark.parametrize(("worst", "kept"), [(0.05, True), (0.050001, False)])
    def test_scores_may_differ_by_what_is_allowed(self, worst: float, kept: bool) -> None:
        found = verify.Agreement(0, 0, 0.1, 4, verify.ScoreDifference(worst, 0.05, 0.5))
        assert verify.agrees(variant_of("int8.tflite"), found) is kept

    def test_no_picture_at_all_breaks_nothing(self) -> None:
        assert verify.agrees(variant_of("int8.tflite"), verify.Agreement(0, 0))

    @pytest.mark.parametrize(
        ("key", "margin"),
        [("float32.onnx", 0.005), ("float16.tflite", 0.005), ("int8.onnx", 0.1), ("dynamic_int8.tflite", 0.1)],
    )
    def test_pictures_count_from_a_margin_on_where_a_model_comes_from_elsewhere(self, key: str, margin: float) -> None:
        assert verify.counted_margin(variant_of(key), trained_here=False) == margin
        assert verify.counted_margin(variant_of(key), trained_here=True) == 0

    @pytest.mark.parametrize(
        ("key", "allowed"),
        [
            ("float32.tflite", 0.5e-4),
            ("float16.onnx", 0.005),
            ("dynamic_int8.tflite", 0.05),
            ("int8.onnx", 0.05),
            ("int8.tflite", 0.05 + 1 / 256),
            ("int8_mixed.tflite", 0.05 + 1 / 256),
            ("int8_fixed.tflite", 0.05 + 1 / 256),
            ("int8_fixed.onnx", 0.05),
        ],
    )
    def test_scores_that_are_compared_may_differ_by_a_share_of_the_highest(self, key: str, allowed: float) -> None:
        keras = [[0.5, 0.5], [0.25, 0.25]]
        found = found_agreement([[0.5, 0.5], [0.25, 0.23]], keras, key, 0.1)
        assert found.scores is not None
        assert vars(found.scores) == pytest.approx({"worst": 0.02, "allowed": allowed, "highest": 0.5}, abs=1e-7)
        document = found.to_json()
        assert document == {"agree": 0, "total": 0, "margin": 0.1, "undecided": 2, "scores": vars(found.scores)}

    def test_a_picture_that_is_decided_by_just_the_margin_counts(self) -> None:
        found = found_agreement([[0.75, 0.25], [0.0, 1.0]], [[0.75, 0.25], [0.75, 0.25]], "int8.onnx", 0.5)
        assert (found.agree, found.total, found.share) == (1, 2, 0.5)

    def test_margins_are_of_the_two_highest_scores(self) -> None:
        scores = np.array([[0.125, 0.5, 0.25, 0.125], [0.25, 0.25, 0.5, 0.0]], np.float32)
        assert verify.margins(scores).tolist() == [0.25, 0.25]

    def test_what_was_found_is_said(self) -> None:
        every = verify.Agreement(99, 100, 0.1)
        assert verify.describe(every) == "answers 1 of 100 validation pictures differently from float"
        for allowed, ending in ((0.26, ": such a wide limit shows little"), (0.25, "")):
            found = verify.Agreement(0, 0, 0.1, 7, verify.ScoreDifference(0.021, allowed, 0.5))
            assert verify.describe(found) == (
                f"Keras decides none of 7 validation pictures by 0.1; scores differ from Keras's by at most 0.021, allowed "
                f"is {allowed} (its highest is 0.5){ending}"
            )
