"""The published error rates: the gate's own code makes them, and they are as promised."""

import re
from pathlib import Path

import numpy as np
import pytest

from bench.budgets import gate_error_rates
from bench.budgets.gate_error_rates import DRAWN, Recording, Setting, real_pairs, recorded, simulate
from common.verdict import Verdict
from tests.conftest import ROOT

TRIALS = 200


@pytest.mark.parametrize("noise", DRAWN, ids=lambda noise: noise.name)
def test_an_unchanged_artifact_is_hardly_ever_called_slower(noise: gate_error_rates.Noise) -> None:
    assert simulate(Setting(noise), 0.0, TRIALS).verdicts[Verdict.FAIL] <= 0.01


@pytest.mark.parametrize("name", ["drawn, 2.7 %", "drawn, 2.7 %, the machine drifts by 8 %", "drawn, 2.7 %, heavy tails"])
def test_a_tenth_slower_mobilenet_is_found_in_a_minute(name: str) -> None:
    (noise,) = (noise for noise in DRAWN if noise.name == name)
    assert simulate(Setting(noise), 0.10, TRIALS).verdicts[Verdict.FAIL] >= 0.95


def test_a_twentieth_slower_mobilenet_is_found_with_a_budget_of_two_percent_and_more_time() -> None:
    assert simulate(Setting(DRAWN[0], 0.02, 180), 0.05, TRIALS).verdicts[Verdict.FAIL] >= 0.95


def test_the_same_seed_gives_the_same_rates() -> None:
    first, second = (simulate(Setting(DRAWN[1]), 0.1, 50) for _ in range(2))
    assert first == second


def test_a_recording_is_drawn_in_its_order_with_the_sides_at_random() -> None:
    ascending = np.arange(90.0).reshape(30, 3)
    drawn, alone = recorded("ascending", Recording(ascending, ascending * 2)).draw(np.random.default_rng(2), 8)
    assert drawn.shape == (8, 3)
    assert np.ptp(np.sort(drawn, axis=1), axis=1).max() <= 2
    assert (np.diff(drawn, axis=1) < 0).any()
    assert (alone == 2 * drawn).all()


def test_rounds_that_take_longer_are_fewer() -> None:
    logs = np.zeros((30, 3))
    slow, fast = (recorded("even", Recording(logs, logs, round_s)) for round_s in (5.0, 2.0))
    assert [Setting(noise, seconds=60).rounds for noise in (slow, fast)] == [12, 30]


def test_a_recording_is_judged_in_stretches_of_its_own() -> None:
    logs = np.random.default_rng(0).normal(0, 0.01, (8 * 5 + 7, 3))
    assert real_pairs(logs) == [Verdict.PASS] * 5


def test_the_other_rules_alarm_where_they_should() -> None:
    flat = np.zeros(25)
    alarms = {
        name: [rule(flat, flat + shift) for shift in (0.0, 0.06, 0.2, 2.0)]
        for name, rule in gate_error_rates.OTHER_RULES.items()
    }
    assert alarms["single runs, 5 %"] == alarms["mean, 5 %"] == alarms["min, 5 %"] == [False, True, True, True]
    assert alarms["asv"] == [False, False, True, True]
    assert alarms["200 %"] == [False, False, False, True]


def test_the_documents_hold_the_plot_and_every_noise() -> None:
    text = (ROOT / "docs" / "gate-power.md").read_text()
    assert [noise.name for noise in DRAWN if f"| {noise.name} |" not in text] == []
    assert re.search(r"2,000 trials", text)
    assert (ROOT / "docs" / "gate-power.png").stat().st_size > 10_000


def test_writes_table_and_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gate_error_rates, "DRAWN", gate_error_rates.DRAWN[:2])
    gate_error_rates.report(3, lambda _: None)
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {"gate-power.md", "gate-power.png"}
