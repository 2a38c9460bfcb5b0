"""Sequential test."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from bench.stats import intervals
from bench.stats.sequential_test import (
    AGAIN,
    CANDIDATE,
    FIRST_LOOK,
    Judgement,
    error_of_look,
    judge_rounds,
    judge_sequentially,
)
from common.verdict import Verdict
from tests.support.simulated_processes import Processes


def last_look(processes: Processes, max_regression: float = 0.05, most: int = 200) -> Judgement:
    """Judge until there is a verdict or `most` processes are measured."""
    *_, judgement = judge_sequentially(processes, max_regression, lambda: float(most - processes.measured))
    return judgement


class TestRounds:
    def test_the_errors_of_all_looks_stay_within_one_percent(self) -> None:
        assert sum(error_of_look(look) for look in range(60)) <= 0.01

    @pytest.mark.parametrize("scatter", [0.022, 0.063])
    @pytest.mark.parametrize("drift", [0.0, 0.08])
    def test_an_unchanged_candidate_never_fails(self, scatter: float, drift: float) -> None:
        judged = [last_look(Processes(seed, scatter, drift=drift)) for seed in range(300)]
        assert [judgement for judgement in judged if judgement.verdict is Verdict.FAIL] == []

    @pytest.mark.parametrize(("scatter", "slower"), [(0.027, 0.10), (0.027, 0.20), (0.063, 0.20)])
    def test_a_planted_slow_down_is_found(self, scatter: float, slower: float) -> None:
        judged = [last_look(Processes(seed, scatter, slower)) for seed in range(300)]
        assert sum(judgement.verdict is Verdict.FAIL for judgement in judged) >= 0.95 * 300
        assert not any(judgement.verdict is Verdict.PASS for judgement in judged)

    def test_a_slow_down_of_just_the_budget_is_rarely_called_a_failure(self) -> None:
        judged = [last_look(Processes(seed, 0.027, 0.05)) for seed in range(300)]
        assert sum(judgement.verdict is Verdict.FAIL for judgement in judged) <= 0.02 * 300

    def test_a_drifting_machine_hits_both_sides_alike(self) -> None:
        steady, drifting = (last_look(Processes(1, 0.02, drift=drift), most=96) for drift in (0.0, 0.5))
        assert drifting.ratio.value == pytest.approx(steady.ratio.value, rel=0.03)

    def test_a_baseline_that_differs_from_itself_decides_nothing(self) -> None:
        judgement = last_look(Processes(1, 0.01, slower=0.3, itself=0.3))
        assert (judgement.verdict, "from itself" in judgement.reason) == (Verdict.INCONCLUSIVE, True)

    def test_a_regression_within_the_noise_floor_is_no_failure(self) -> None:
        rounds = np.zeros((8, 3))
        rounds[:, AGAIN] = [-0.2, 0.2] * 4  # the baseline scatters by 20 % around itself
        rounds[:, CANDIDATE] = rounds[:, AGAIN] / 2 + 0.10
        judgement = judge_rounds(rounds, 0.05, 0.01)
        assert judgement.ratio.low > 1.05
        assert judgement.floor > judgement.ratio.value
        assert judgement.verdict is Verdict.INCONCLUSIVE

    def test_measures_longer_only_while_undecided_and_in_time(self) -> None:
        decided, undecided = Processes(0, 0.001), Processes(0, 0.063, 0.05)
        assert last_look(decided).rounds == FIRST_LOOK
        assert last_look(undecided, most=24).rounds == FIRST_LOOK
        assert last_look(Processes(0, 0.063, 0.05), most=100).rounds > 2 * FIRST_LOOK


class TestLooks:
    """The schedule: after how many rounds each look is, and which error it may use."""

    @staticmethod
    def rounds(limit_s: float, round_s: float = 1.0) -> list[int]:
        """Return the number of rounds at each look, for a pair that is never decided and this time limit."""
        now_s = 0.0
        random = np.random.default_rng(0)

        def measure() -> npt.NDArray[np.float64]:
            nonlocal now_s
            now_s += round_s
            return np.asarray(random.normal((0.0, 0.0, math.log(1.05)), 0.01), np.float64)

        return [judgement.rounds for judgement in judge_sequentially(measure, 0.05, lambda: limit_s - now_s)]

    @pytest.mark.parametrize(
        ("limit_s", "expected"),
        [
            (0, [8]),  # the first look is taken whatever it costs
            (11, [8]),  # 3 rounds more would be fewer than half of 8
            (12, [8, 12]),
            (15, [8, 15]),
            (16, [8, 16]),
            (23, [8, 16]),
            (24, [8, 16, 24]),
            (40, [8, 16, 32, 40][:3]),  # 8 more would be fewer than half of 32
            (48, [8, 16, 32, 48]),
        ],
    )
    def test_each_doubles_the_rounds_or_takes_what_fits(self, limit_s: float, expected: list[int]) -> None:
        assert self.rounds(limit_s) == expected

    def test_the_time_of_a_round_is_what_the_last_ones_took(self) -> None:
        assert self.rounds(6, round_s=0.5) == [8, 12]

    def test_a_clock_that_stands_still_ends_nothing(self) -> None:
        random = np.random.default_rng(0)
        undecided = judge_sequentially(lambda: np.log([1.0, 1.0, 1.05]) + random.normal(0, 0.01, 3), 0.05, lambda: 9.0)
        assert [next(undecided).rounds for _ in range(4)] == [8, 16, 32, 64]

    def test_the_first_spends_half_of_the_error_and_each_later_half_of_that_before(self) -> None:
        assert [error_of_look(look) for look in range(3)] == [0.005, 0.0025, 0.00125]
        assert [error_of_look(look, 0.08) for look in range(3)] == [0.04, 0.02, 0.01]

    def test_a_look_is_judged_at_its_own_error(self) -> None:
        noisy = np.random.default_rng(5).normal(0, 0.03, (16, 3))
        taken: list[int] = []

        def measure() -> npt.NDArray[np.float64]:
            taken.append(len(taken))
            return np.asarray(noisy[taken[-1]])

        first, second = judge_sequentially(measure, 0.0, lambda: 16.0 - len(taken), 0.08)
        assert first == judge_rounds(noisy[:8], 0.0, 0.04)
        assert second == judge_rounds(noisy, 0.0, 0.02)


class TestJudgement:
    @staticmethod
    def rounds(candidate: float, again: float = 0.0, scatter: float = 0.001) -> npt.NDArray[np.float64]:
        """Return 8 rounds; candidate and second baseline differ from the first baseline by these logarithms."""
        found = np.zeros((8, 3))
        wave = scatter * np.array([1, -1] * 4)
        found[:, AGAIN], found[:, CANDIDATE] = again + wave, candidate + wave[::-1]
        return found

    def test_the_ratio_is_to_the_mean_of_both_baseline_processes(self) -> None:
        assert judge_rounds(self.rounds(math.log(1.21), math.log(1.02)), 0.05, 0.01).ratio.value == pytest.approx(
            1.21 / math.sqrt(1.02)
        )

    def test_the_floor_is_how_far_the_baseline_may_lie_from_itself(self) -> None:
        for again in (0.01, -0.01):
            judgement = judge_rounds(self.rounds(0.0, again), 0.05, 0.5)
            itself = intervals.of_log_differences(self.rounds(0.0, again)[:, AGAIN], 0.01)
            assert judgement.floor == pytest.approx(max(itself.high, 1 / itself.low))
            assert judgement.floor > 1.01

    @pytest.mark.parametrize(
        ("candidate", "again", "verdict"),
        [
            (0.0, 0.0, Verdict.PASS),
            (0.2, 0.0, Verdict.FAIL),
            (0.2, 0.2, Verdict.INCONCLUSIVE),  # the baseline is as far from itself
            (0.2, -0.2, Verdict.INCONCLUSIVE),
            (0.0, 0.06, Verdict.INCONCLUSIVE),
            (0.0, 0.04, Verdict.PASS),
        ],
    )
    def test_needs_a_baseline_that_is_alike_within_the_budget(
        self, candidate: float, again: float, verdict: Verdict
    ) -> None:
        judgement = judge_rounds(self.rounds(candidate, again), 0.05, 0.01)
        assert (judgement.verdict, judgement.rounds) == (verdict, 8)
        assert bool(judgement.reason) == (verdict is Verdict.INCONCLUSIVE)
