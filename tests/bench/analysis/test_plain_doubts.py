"""Why a time is not valid, without the words of those who measure."""

from dataclasses import replace

import pytest

from bench.analysis.plain_doubts import plain_doubts
from bench.machine.conditions import Conditions
from bench.results.measurement import Measurement
from bench.results.row import ResultRow
from tests.support.results_builder import make_row

NAMES = ("imprecise", "not steady", "waited:", "slowed:", "load from elsewhere", "throttled:")


def under(*conditions: Conditions, row: Measurement | None = None) -> ResultRow:
    return replace(row or make_row(), conditions=conditions).row


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (under(*[Conditions(waited=0.48)] * 3), "other programs kept it waiting for 48 % of its time"),
        (
            under(*[Conditions(elsewhere=0.84)] * 3),
            "other programs kept the machine busy (84 % of it) while it was measured",
        ),
        (under(*[Conditions(slowed=0.61)] * 3), "something else on the machine slowed it in 61 % of its turns"),
        (under(*[Conditions(steady=False)] * 3), "it was still becoming faster when its time was taken"),
        (
            under(*[Conditions(frequency_mhz=(1_000, 2_000))] * 3),
            "the processor's clock changed while it was measured",
        ),
        (
            under(*[Conditions(throttled=True, temperature_c=81.0)] * 3),
            "the processor was slowed down, as it is when it is too hot, while it was measured",
        ),
        (make_row(queries=10).row, "it was timed only 30 times"),
        (make_row(processes=1).row, "it was timed in one process only, which does not show how processes differ"),
    ],
)
def test_each_flag_is_a_sentence_with_its_share(row: ResultRow, sentence: str) -> None:
    assert plain_doubts(row)[-1] == sentence
    assert not any(name in text for text in plain_doubts(row) for name in NAMES)


def test_a_wide_interval_is_named_with_its_reach() -> None:
    row = make_row(spread=0.3).row
    p50 = row.latency.p50
    reach = max(p50.ci95[1] / p50.ms - 1, 1 - p50.ci95[0] / p50.ms)
    assert plain_doubts(row) == [f"its time is known only within {100 * reach:.0f} %"]


def test_a_valid_time_has_no_doubt() -> None:
    assert plain_doubts(make_row().row) == []


def test_what_a_board_reports_stands_before_the_flags_as_it_is() -> None:
    row = make_row(disturbed=True).row
    ill = replace(row, latency=replace(row.latency, why_invalid=f"under-voltage; {row.latency.why_invalid}"))
    assert plain_doubts(ill) == [
        "its time is not valid: under-voltage",
        "other programs kept it waiting for 30 % of its time",
    ]


def test_the_reason_of_an_older_file_stands_as_it_is() -> None:
    row = make_row(disturbed=True).row
    old = replace(row, latency=replace(row.latency, flags=None, why_invalid="too few queries"))
    assert plain_doubts(old) == ["its time is not valid: too few queries"]
