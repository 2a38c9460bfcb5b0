"""Intervals for verdicts, compared with scipy's tests, or with calculations by hand if scipy has no such test."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bench.stats import intervals
from common.interval import ERROR, Interval

ERRORS = [ERROR, 0.05]


def logs(found: Interval | None) -> tuple[float, float, float]:
    assert found is not None
    return math.log(found.value), math.log(found.low), math.log(found.high)


def times(logarithms: list[float]) -> list[float]:
    return [math.exp(log) for log in logarithms]


def test_a_verdict_errs_in_one_of_a_hundred_cases() -> None:
    assert ERROR == 0.01


def test_what_is_counted_has_no_width() -> None:
    assert Interval.exact(3.0) == Interval(3.0, 3.0, 3.0)
    assert Interval(2.0, 1.0, 4.0).scaled(0.5) == Interval(1.0, 0.5, 2.0)


@pytest.mark.parametrize(("error", "freedom", "border"), [(0.05, 4, 2.776), (0.01, 9, 3.250), (0.10, 1, 6.314)])
def test_the_borders_of_students_t_are_those_of_the_printed_tables(error: float, freedom: float, border: float) -> None:
    assert intervals.student(error, freedom) == pytest.approx(border, abs=5e-4)


class TestProcesses:
    LOGS = (0.10, 0.30, 0.25, 0.05)

    @pytest.mark.parametrize("error", ERRORS)
    def test_have_students_interval_on_their_logarithms(self, error: float) -> None:
        reference = stats.ttest_1samp(self.LOGS, 0).confidence_interval(1 - error)
        expected = (np.mean(self.LOGS), reference.low, reference.high)
        assert logs(intervals.of_processes(times([*self.LOGS]), error)) == pytest.approx(expected)

    def test_have_one_at_the_error_of_a_verdict_without_another(self) -> None:
        values = times([*self.LOGS])
        assert intervals.of_processes(values) == intervals.of_processes(values, 0.01)

    def test_have_none_below_two(self) -> None:
        assert intervals.of_processes([1.0]) is None
        assert logs(intervals.of_processes(times([0.0, 0.02]), 0.05))[1:] == pytest.approx(
            (0.01 - 12.7062 * 0.01, 0.01 + 12.7062 * 0.01), abs=1e-6
        )


class TestRatios:
    OVER, UNDER = (0.10, 0.30, 0.25), (0.0, 0.20, 0.05, 0.04)

    @pytest.mark.parametrize("error", ERRORS)
    def test_of_two_rows_have_welchs_interval(self, error: float) -> None:
        reference = stats.ttest_ind(self.OVER, self.UNDER, equal_var=False).confidence_interval(1 - error)
        expected = (np.mean(self.OVER) - np.mean(self.UNDER), reference.low, reference.high)
        assert logs(intervals.of_ratio(times([*self.OVER]), times([*self.UNDER]), error)) == pytest.approx(expected)

    def test_of_several_pairs_have_satterthwaites_degrees_of_freedom(self) -> None:
        # Variances of the four means: 0.01, 0.01, 0.04/3 and 0, each a quarter of it in the mean of two ratios; together
        # 1/120, with (1/120)² / (2 · 0.0025² + (1/300)² / 2) = 3.84615 degrees of freedom. The centre is (0.1 + 0.2) / 2
        pairs = [(times([0.1, 0.3]), times([0.0, 0.2])), (times([1.0, 1.4, 1.2]), times([1.0, 1.0, 1.0]))]
        reach = float(stats.t.ppf(0.995, 3.846153846)) * math.sqrt(1 / 120)
        assert logs(intervals.of_geometric_mean(pairs)) == pytest.approx((0.15, 0.15 - reach, 0.15 + reach))

    def test_of_rows_that_never_vary_have_no_width(self) -> None:
        assert logs(intervals.of_ratio([2.0, 2.0], [1.0, 1.0])) == pytest.approx((math.log(2),) * 3)

    def test_have_none_where_a_single_row_has_one_process(self) -> None:
        assert intervals.of_ratio([1.0, 2.0], [1.0]) is None
        assert intervals.of_ratio([1.0], [1.0, 2.0]) is None
        assert intervals.of_ratio([1.0, 2.0], [1.0, 2.0]) is not None


class TestRounds:
    @staticmethod
    def differences(count: int) -> npt.NDArray[np.float64]:
        return np.random.default_rng(count).normal(0.02, 0.1, count)

    @pytest.mark.parametrize("count", [10, 19, 20, 37])
    @pytest.mark.parametrize("error", ERRORS)
    def test_have_tukeys_interval_of_the_trimmed_mean(self, count: int, error: float) -> None:
        rounds = self.differences(count)
        share = int(count / 10) / count  # scipy takes the share that it is told, not the one that it cuts
        low, high = stats.mstats.trimmed_mean_ci(rounds, limits=(share + 1e-12,) * 2, alpha=error)
        expected = (stats.trim_mean(rounds, 0.1), low, high)
        assert logs(intervals.of_log_differences(rounds, error)) == pytest.approx(expected)

    @pytest.mark.parametrize("count", [2, 9])
    def test_below_ten_lose_none(self, count: int) -> None:
        rounds = self.differences(count)
        reference = stats.ttest_1samp(rounds, 0).confidence_interval(0.95)
        assert logs(intervals.of_log_differences(rounds, 0.05)) == pytest.approx((rounds.mean(), *reference))
