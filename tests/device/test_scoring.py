"""Accuracy with its interval, and the confusion matrix as text."""

import numpy as np
import pytest

from device.scoring import confusion_text, wilson_interval


class TestWilson:
    @pytest.mark.parametrize(
        ("correct", "total", "low", "high"),
        [(15, 148, 0.0624, 0.1605), (20, 20, 0.8389, 1.0), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_is_that_of_the_printed_examples(self, correct: int, total: int, low: float, high: float) -> None:
        """Newcombe 1998, Stat. Med. 17: 857, table I, method 3; the table has 81 of 263 and others."""
        assert wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)

    def test_is_scipys(self) -> None:
        from scipy.stats import binomtest

        for correct, total in ((1, 3), (70, 100), (9_930, 10_000), (3, 3)):
            reference = binomtest(correct, total).proportion_ci(0.95, method="wilson")
            assert wilson_interval(correct, total) == pytest.approx((reference.low, reference.high), abs=1e-12)

    def test_of_nothing_is_everything(self) -> None:
        assert wilson_interval(0, 0) == (0.0, 1.0)

    def test_stays_within_0_and_1(self) -> None:
        for total in range(1, 300):
            assert wilson_interval(0, total)[0] == pytest.approx(0.0, abs=1e-15) and wilson_interval(0, total)[0] >= 0  # noqa: PT018
            assert 1 - 1e-15 <= wilson_interval(total, total)[1] <= 1


def test_a_table_has_a_line_a_class_with_its_columns_aligned() -> None:
    table = np.array([[12, 0, 1, 0], [3, 104, 0, 2]])
    assert confusion_text(table, ["cat", "a\x1bb"]).splitlines() == [
        r"is \ read as  cat  a\x1bb  unsure  failed",
        r"         cat   12       .       1       .",
        r"      a\x1bb    3     104       .       2",
    ]
