"""A promised ratio with limits."""

import pytest

from bench.stats.promised_ratio import Promise
from common.interval import Interval
from common.verdict import Verdict


class TestPromise:
    @pytest.mark.parametrize(
        ("ratio", "verdict"),
        [
            (Interval(1.01, 0.99, 1.04), Verdict.PASS),
            (Interval(1.04, 1.02, 1.06), Verdict.INCONCLUSIVE),
            (Interval(1.20, 1.10, 1.30), Verdict.FAIL),
        ],
    )
    def test_is_kept_or_broken_by_the_whole_interval(self, ratio: Interval, verdict: Verdict) -> None:
        promise = Promise("what", 0, 1.05)
        assert promise.verdict(ratio) is verdict
        assert promise.line(ratio).endswith(f"promised at most 1.05: {verdict.value}")

    def test_of_agreement_breaks_on_both_sides(self) -> None:
        promise = Promise("what", 0.9, 1.1)
        assert promise.verdict(Interval(0.5, 0.4, 0.6)) is Verdict.FAIL
        assert promise.verdict(Interval(1.5, 1.4, 1.6)) is Verdict.FAIL

    @pytest.mark.parametrize(
        ("low", "high", "verdict"),
        [
            (0.9, 1.1, Verdict.PASS),  # the limits themselves are kept
            (0.89, 1.0, Verdict.INCONCLUSIVE),
            (1.0, 1.11, Verdict.INCONCLUSIVE),
            (0.5, 0.9, Verdict.INCONCLUSIVE),  # touches the limit
            (1.1, 1.5, Verdict.INCONCLUSIVE),
            (0.5, 0.89, Verdict.FAIL),
            (1.11, 1.5, Verdict.FAIL),
        ],
    )
    def test_limits_belong_to_what_is_promised(self, low: float, high: float, verdict: Verdict) -> None:
        assert Promise("what", 0.9, 1.1).verdict(Interval(1.0, low, high)) is verdict

    def test_a_line_names_one_limit_or_both(self) -> None:
        measured = Interval(1.0, 0.95, 1.05)
        assert Promise("speed", 0.9, 1.1).line(measured) == "speed: 1.000 [0.950, 1.050], promised 0.9 to 1.1: PASS"
        assert Promise("speed", 0, 1.1).line(measured) == "speed: 1.000 [0.950, 1.050], promised at most 1.1: PASS"
