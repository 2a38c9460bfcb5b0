"""The judge: PASS, FAIL or INCONCLUSIVE."""

import pytest

from common.interval import Interval
from common.verdict import EXIT_CODES, Verdict, judge, overall

PASS, FAIL, INCONCLUSIVE = Verdict


class TestJudge:
    @pytest.mark.parametrize(("high", "verdict"), [(1.9, PASS), (2.0, PASS), (2.1, INCONCLUSIVE)])
    def test_passes_only_when_the_whole_interval_keeps_the_limit(self, high: float, verdict: Verdict) -> None:
        assert judge(Interval(1.5, 1.0, high), 2.0, at_most=True) is verdict
        assert judge(Interval(-1.5, -high, -1.0), -2.0, at_most=False) is verdict

    @pytest.mark.parametrize(("low", "verdict"), [(2.1, FAIL), (2.0, INCONCLUSIVE), (1.9, INCONCLUSIVE)])
    def test_fails_only_when_the_whole_interval_is_beyond(self, low: float, verdict: Verdict) -> None:
        assert judge(Interval(2.5, low, 3.0), 2.0, at_most=True) is verdict
        assert judge(Interval(-2.5, -3.0, -low), -2.0, at_most=False) is verdict

    @pytest.mark.parametrize(
        ("verdicts", "together"),
        [
            ((), PASS),
            ((PASS, PASS), PASS),
            ((PASS, INCONCLUSIVE), INCONCLUSIVE),
            ((INCONCLUSIVE, FAIL, PASS), FAIL),
        ],
    )
    def test_of_several_fail_beats_inconclusive_beats_pass(self, verdicts: tuple[Verdict, ...], together: Verdict) -> None:
        assert overall(verdicts) is together

    def test_each_verdict_has_its_exit_code(self) -> None:
        assert EXIT_CODES == {PASS: 0, FAIL: 1, INCONCLUSIVE: 3}
