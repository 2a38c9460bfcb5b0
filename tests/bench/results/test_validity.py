"""Validity."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.machine.conditions import Conditions
from bench.results import validity


def flags(latency_ns: Any, conditions: Any, reach: float = 0.0) -> list[validity.Flag]:
    """Return the flags of a row whose p50 of 1 ms is known within `reach`."""
    return validity.flags(latency_ns, conditions, (1e6 * (1 - reach / 2), 1e6 * (1 + reach)))


class TestFlags:
    STEADY = (np.full(100, 1_000_000, np.int64),) * 2

    @pytest.mark.parametrize(
        ("conditions", "name", "words"),
        [
            (Conditions(steady=False), "not_steady", "limit"),
            (Conditions(elsewhere=0.31), "load_elsewhere", "15.5 %"),
            (Conditions(waited=0.2), "waited", "10.0 %"),
            (Conditions(slowed=0.9), "slowed", "up to 90.0 % of the turns, over 40 %"),
            (Conditions(frequency_mhz=(2_000, 1_500)), "frequency_changed", "1,500 and 2,000 MHz"),
            (Conditions(throttled=True, temperature_c=82.4), "throttled", "82 °C"),
        ],
    )
    def test_each_condition_is_a_flag_with_its_figure(self, conditions: Conditions, name: str, words: str) -> None:
        (flag,) = flags(self.STEADY, [Conditions(elsewhere=0.0, waited=0.0), conditions])
        assert flag.name == name
        assert words in flag.reason

    def test_a_quiet_machine_has_none_and_nothing_unknown(self) -> None:
        quiet = Conditions(True, 0.02, (1_500, 1_510), False, 50.0, 0.0)
        assert flags(self.STEADY, [quiet]) == []
        assert validity.unknown([quiet]) == []

    def test_unknown_is_not_a_flag_but_is_said(self) -> None:
        quiet = Conditions(elsewhere=0.0)
        assert flags(self.STEADY, [quiet]) == []
        assert validity.unknown([quiet]) == ["waited", "frequency_changed", "throttled"]


def names(flags: list[validity.Flag]) -> list[str]:
    return [flag.name for flag in flags]


class TestLimits:
    """Each flag at its limit, which is still kept, and just beyond."""

    STEADY = TestFlags.STEADY

    @pytest.mark.parametrize(
        ("queries", "few"), [((30, 34), False), ((20, 24, 20), False), ((30, 33), True), ((1, 62), True)]
    )
    def test_64_queries_of_all_processes_are_enough(self, queries: tuple[int, ...], few: bool) -> None:
        found = flags([np.full(count, 1_000_000, np.int64) for count in queries], [Conditions(elsewhere=0.0)])
        assert names(found) == ["too_few_queries"] * few
        if few:
            assert found[0].reason == "too few queries: 63, at least 64 are needed"

    @pytest.mark.parametrize(("reach", "imprecise"), [(0.05, False), (0.0501, True)])
    def test_the_median_must_be_known_within_a_twentieth(self, reach: float, imprecise: bool) -> None:
        found = flags(self.STEADY, [Conditions(elsewhere=0.0)], reach)
        assert names(found) == ["imprecise"] * imprecise
        if imprecise:
            assert "p50 is known only within 5.0 %, over 5 %" in found[0].reason

    def test_one_process_does_not_show_how_processes_differ(self) -> None:
        assert names(flags(self.STEADY[:1], [Conditions(elsewhere=0.0)])) == ["imprecise"]

    @pytest.mark.parametrize(("share", "loaded"), [(0.10, False), (0.101, True), (None, False)])
    def test_others_may_use_a_tenth_of_the_machine(self, share: float | None, loaded: bool) -> None:
        found = flags(self.STEADY, [Conditions(elsewhere=share)] * 3)
        assert names(found) == ["load_elsewhere"] * loaded
        if loaded:
            assert found[0].reason.endswith("other processes used 10.1 % of the machine's CPU time, over 10 %")

    @pytest.mark.parametrize(("share", "late"), [(0.05, False), (0.051, True), (None, False)])
    def test_a_process_may_wait_a_twentieth_of_its_time(self, share: float | None, late: bool) -> None:
        assert names(flags(self.STEADY, [Conditions(waited=share)] * 3)) == ["waited"] * late

    @pytest.mark.parametrize(("share", "slowed"), [(0.40, False), (0.41, True), (None, False)])
    def test_two_in_five_turns_may_be_left_out(self, share: float | None, slowed: bool) -> None:
        assert names(flags(self.STEADY, [Conditions(slowed=share)] * 3)) == ["slowed"] * slowed

    @pytest.mark.parametrize(
        ("shares", "slowed"), [((0.9, 0.0, 0.4, 0.9, 0.9), False), ((0.0, 0.41, 0.9), True), ((0.3, 0.9), True)]
    )
    def test_two_processes_that_were_hardly_slowed_are_enough(self, shares: tuple[float, ...], slowed: bool) -> None:
        assert names(flags(self.STEADY, [Conditions(slowed=share) for share in shares])) == ["slowed"] * slowed

    def test_the_typical_process_counts_since_the_interval_shows_what_one_did(self) -> None:
        quiet, disturbed = Conditions(elsewhere=0.0, waited=0.0), Conditions(elsewhere=0.9, waited=0.5)
        assert flags(self.STEADY, [quiet, quiet, disturbed]) == []
        assert names(flags(self.STEADY, [quiet, disturbed, disturbed])) == ["waited", "load_elsewhere"]
        assert names(flags(self.STEADY, [Conditions(), disturbed, Conditions()])) == ["waited", "load_elsewhere"]

    @pytest.mark.parametrize(
        ("clocks", "changed"),
        [
            ([(1_000.0, 1_050.0)], False),
            ([(1_000.0, 1_051.0)], True),
            ([(1_000.0, 1_000.0), (1_060.0, 1_060.0)], True),
            ([(1_000.0, 1_000.0), None], False),
            ([None], False),
        ],
    )
    def test_the_clock_may_change_by_a_twentieth_over_all_processes(
        self, clocks: list[tuple[float, float] | None], changed: bool
    ) -> None:
        found = flags(self.STEADY, [Conditions(frequency_mhz=clock) for clock in clocks])
        assert names(found) == ["frequency_changed"] * changed

    def test_throttling_is_told_with_the_hottest_temperature_that_is_known(self) -> None:
        hot, hotter, unknown = (Conditions(throttled=True, temperature_c=heat) for heat in (70.0, 80.6, None))
        assert flags(self.STEADY, [hot, unknown, hotter])[0].reason == (
            "throttled: the processor was slowed down at 81 °C: cool it and measure again"
        )
        assert flags(self.STEADY, [unknown])[0].reason == (
            "throttled: the processor was slowed down: cool it and measure again"
        )
        assert flags(self.STEADY, [Conditions(throttled=False, temperature_c=99.0)]) == []

    def test_one_process_of_several_is_enough_for_each_flag(self) -> None:
        quiet = Conditions(True, 0.0, (1_000.0, 1_000.0), False, 40.0)
        assert names(flags(self.STEADY, [quiet, Conditions(steady=False, throttled=True)])) == [
            "not_steady",
            "throttled",
        ]

    def test_what_one_process_could_not_look_at_is_unknown(self) -> None:
        whole = Conditions(True, 0.0, (1_000.0, 1_000.0), False, 40.0, 0.0)
        assert validity.unknown([whole, replace(whole, frequency_mhz=None)]) == ["frequency_changed"]
        assert validity.unknown([]) == ["waited", "load_elsewhere", "frequency_changed", "throttled"]
        assert flags(self.STEADY, []) == []
