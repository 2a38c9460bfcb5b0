"""Paired accuracy: McNemar's test and Tango's interval."""

import math

import numpy as np
import pytest

from common.interval import ERROR
from common.paired_accuracy import Paired
from common.verdict import Verdict


def score(b: int, c: int, n: int, drop: float) -> float:
    """Return Tango's statistic; the most likely shares are found by search, not by his formula."""
    from scipy.optimize import minimize_scalar

    def unlikelihood(only_second: float) -> float:
        shares, counts = (only_second + drop, only_second, 1 - 2 * only_second - drop), (b, c, n - b - c)
        return -sum(count * math.log(max(share, 1e-300)) for share, count in zip(shares, counts, strict=True) if count)

    found = minimize_scalar(
        unlikelihood, bounds=(max(0.0, -drop), (1 - drop) / 2), method="bounded", options={"xatol": 1e-12}
    )
    return float((b - c - n * drop) / math.sqrt(n * (2 * found.x + drop - drop**2)))


class TestPairedTest:
    @pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 0), (6, 0), (10, 3), (3, 10), (25, 9), (7, 7)])
    def test_mcnemar_is_the_asymptotic_test(self, b: int, c: int) -> None:
        from scipy.stats import chi2

        expected = 1.0 if b + c == 0 else chi2.sf((b - c) ** 2 / (b + c), 1)
        assert Paired(b, c, 10_000).mcnemar_p == pytest.approx(expected)

    @pytest.mark.parametrize("total", [60, 1_000, 10_000])
    def test_the_test_and_the_interval_that_is_judged_agree(self, total: int) -> None:
        for b in range(30):
            for c in range(30):
                found = Paired(b, c, total)
                judged = found.judged_drop()
                assert (found.mcnemar_p < ERROR) is (not judged.low <= 0 <= judged.high) is found.distinguishable

    def test_six_against_none_are_not_yet_distinguishable_and_seven_are(self) -> None:
        assert not Paired(6, 0, 10_000).distinguishable
        assert Paired(7, 0, 10_000).distinguishable

    def test_the_named_sample_finds_such_a_difference_in_four_of_five_samples(self) -> None:
        seen = Paired(30, 15, 10_000)
        pictures = seen.pictures_to_distinguish()
        assert pictures is not None
        random = np.random.default_rng(1)
        found = 0
        for _ in range(400):
            b, c, _rest = random.multinomial(pictures, [0.0030, 0.0015, 0.9955])
            found += Paired(int(b), int(c), pictures).distinguishable
        assert 0.72 <= found / 400 <= 0.86

    def test_no_number_of_pictures_shows_a_difference_that_is_not_there(self) -> None:
        assert Paired(4, 4, 100).pictures_to_distinguish() is None

    def test_the_named_sample_is_connors(self) -> None:
        # Connor 1987: (2.57583 √p + 0.84162 √(p - d²))² / d², of p = 0.0045 and d = 0.0015, both ways round
        expected = math.ceil((2.57582930 * math.sqrt(0.0045) + 0.84162123 * math.sqrt(0.0045 - 0.0015**2)) ** 2 / 0.0015**2)
        assert expected == 23_356
        assert Paired(30, 15, 10_000).pictures_to_distinguish() == expected
        assert Paired(15, 30, 10_000).pictures_to_distinguish() == expected

    def test_counts_what_only_one_of_two_answers_rightly(self) -> None:
        truth = np.array([0, 1, 2, 3, 4, 5])
        first, second = np.array([0, 1, 2, 3, 0, 0]), np.array([0, 0, 0, 0, 4, 1])
        assert Paired.of(first, second, truth) == Paired(only_first=3, only_second=1, total=6)
        assert Paired(3, 1, 6).drop == pytest.approx(2 / 6)


class TestPairedDrop:
    def test_the_interval_is_tangos(self) -> None:
        # Fagerland, Lydersen and Laake 2014, Stat. Med. 33: 2850, table V: airway hyper-responsiveness, 1 and 7 of 21
        assert Paired(1, 7, 21).interval() == pytest.approx((-0.517, -0.026), abs=0.0006)

    @pytest.mark.parametrize(("b", "c", "n"), [(1, 7, 21), (25, 9, 200), (3, 30, 1_000), (70, 60, 400), (12, 0, 50)])
    @pytest.mark.parametrize("z", [1.9599640, 2.5758293])
    def test_at_each_end_the_likeliest_shares_give_the_score_that_is_asked_for(
        self, b: int, c: int, n: int, z: float
    ) -> None:
        low, high = Paired(b, c, n).interval(z)
        assert low < (b - c) / n < high
        assert (score(b, c, n, low), score(b, c, n, high)) == pytest.approx((z, -z), abs=2e-3)

    def test_the_interval_is_at_95_percent_without_another_point(self) -> None:
        pair = Paired(25, 9, 200)
        assert pair.interval() == pytest.approx(pair.interval(1.9599639845), abs=1e-9)

    def test_the_other_way_round_the_ends_change_signs(self) -> None:
        low, high = Paired(25, 9, 200).interval()
        assert Paired(9, 25, 200).interval() == pytest.approx((-high, -low), abs=1e-12)

    def test_models_that_differ_in_every_picture_reach_the_end(self) -> None:
        low, high = Paired(20, 0, 20).interval()
        assert high == pytest.approx(1.0)
        assert low == pytest.approx((20 - 1.9599640**2) / (20 + 1.9599640**2))  # 20 (1 - d) = z √(20 (1 - d²))

    def test_models_that_never_differ_still_have_an_interval(self) -> None:
        assert Paired(0, 0, 12_000).interval() == pytest.approx((-0.00032, 0.00032), abs=1e-5)

    @pytest.mark.parametrize(
        ("paired", "verdict"),
        [
            (Paired(3, 2, 12_000), Verdict.PASS),
            (Paired(60, 10, 12_000), Verdict.FAIL),
            (Paired(1, 0, 1_000), Verdict.INCONCLUSIVE),
        ],
    )
    def test_a_drop_has_one_of_three_verdicts(self, paired: Paired, verdict: Verdict) -> None:
        assert paired.verdict(0.001) is verdict

    def test_what_95_percent_would_decide_is_not_yet_decided(self) -> None:
        drop = Paired(25, 10, 12_000)
        assert drop.interval()[0] > 0 > drop.judged_drop().low
        assert drop.verdict(0) is Verdict.INCONCLUSIVE
        assert Paired(10, 25, 12_000).verdict(0) is Verdict.INCONCLUSIVE

    def test_the_judged_interval_has_the_error_that_is_asked_for(self) -> None:
        pair = Paired(30, 12, 1_000)
        for error, z in ((0.05, 1.9599640), (0.01, 2.5758293)):
            judged = pair.judged_drop(error)
            assert (judged.value, judged.low, judged.high) == pytest.approx((0.018, *pair.interval(z)), abs=1e-8)
        assert pair.judged_drop() == pair.judged_drop(0.01)

    def test_the_judged_interval_is_tangos_at_99_percent(self) -> None:
        judged = Paired(1, 7, 21).judged_drop()  # roots of Tango's score at 2.5758, found by scipy's brentq
        assert (judged.low, judged.value, judged.high) == pytest.approx((-0.58244, -6 / 21, 0.07581), abs=1e-5)

    def test_the_sample_that_is_named_is_the_smallest_that_decides(self) -> None:
        needed = Paired(0, 0, 80).pictures_needed(0.001)
        assert needed is not None
        assert Paired(0, 0, needed).verdict(0.001) is Verdict.PASS
        assert Paired(0, 0, needed - 1).verdict(0.001) is Verdict.INCONCLUSIVE

    def test_the_limit_itself_is_within(self) -> None:
        pair = Paired(6, 2, 500)
        judged = pair.judged_drop()
        assert pair.verdict(judged.high) is Verdict.PASS
        assert pair.verdict(judged.low) is Verdict.INCONCLUSIVE
        assert pair.verdict(math.nextafter(judged.low, -1)) is Verdict.FAIL

    @pytest.mark.parametrize(
        ("pair", "allowed"), [(Paired(3, 2, 1_000), 0.005), (Paired(2, 9, 400), 0.004), (Paired(0, 0, 9), 0.3)]
    )
    def test_what_is_needed_is_the_smallest_of_like_samples(self, pair: Paired, allowed: float) -> None:
        needed = pair.pictures_needed(allowed)
        assert needed is not None

        def high(total: int) -> float:
            grown = Paired(pair.only_first * total / pair.total, pair.only_second * total / pair.total, total)
            return grown.judged_drop().high

        assert high(needed) <= allowed < high(needed - 1)

    def test_a_sample_that_shows_it_already_needs_no_more(self) -> None:
        needed = Paired(0, 0, 100_000).pictures_needed(0.001)
        assert needed is not None
        assert needed < 100_000

    def test_what_would_take_over_a_thousand_million_pictures_is_not_named(self) -> None:
        near, beyond = (Paired(only_first, 0, 400_000_000) for only_first in (398_600, 399_000))
        assert 400_000_000 < (near.pictures_needed(0.001) or 0) < 800_000_000
        assert beyond.pictures_needed(0.001) is None
        assert Paired(10, 0, 10_000).pictures_needed(0.001) is None

    def test_no_sample_shows_a_drop_below_what_the_drop_is(self) -> None:
        assert Paired(5, 0, 1_000).pictures_needed(0.001) is None
