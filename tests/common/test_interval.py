"""Intervals: of a share, and what they all share."""

import numpy as np
import pytest

from common.interval import ERROR, Interval, normal_point, of_share


class TestInterval:
    def test_a_verdicts_interval_is_99_percent(self) -> None:
        assert ERROR == 0.01
        assert normal_point() == pytest.approx(2.5758293, abs=1e-7)
        assert normal_point(0.05) == pytest.approx(1.9599640, abs=1e-7)

    def test_a_count_is_exact(self) -> None:
        assert Interval.exact(3.0) == Interval(3.0, 3.0, 3.0)

    def test_scales_with_its_unit(self) -> None:
        assert Interval(2.0, 1.0, 4.0).scaled(100) == Interval(200.0, 100.0, 400.0)


class TestShares:
    @pytest.mark.parametrize(("error", "z"), [(0.05, 1.9599640), (0.01, 2.5758293)])
    def test_have_wilsons_interval(self, error: float, z: float) -> None:
        # Wilson 1927: the shares p at which (0.9 - p)² · 80 = z² p (1 - p)
        found = of_share(72, 80, error)
        expected = np.roots([80 + z * z, -(2 * 72 + z * z), 72 * 72 / 80])
        assert (found.value, found.low, found.high) == pytest.approx((0.9, min(expected), max(expected)))

    def test_of_all_reach_up_to_one(self) -> None:
        found = of_share(10, 10)
        assert (found.value, found.high) == (1.0, 1.0)
        assert found.low == pytest.approx(10 / (10 + 2.5758293**2))
