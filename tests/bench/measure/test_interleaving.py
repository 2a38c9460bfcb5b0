"""Processes that take turns: what their turns say, in what order they come, and how a process that fails is told."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.artifacts.find import Artifact, find_artifacts
from bench.measure.fresh_processes import FreshProcesses, Side, SideFailed
from bench.measure.interleaving import END, TURN_NS, TURN_QUERIES, TURNS, Turn, Turns, answer, in_turns, take_turns
from device.errors import CheckFailed
from tests.conftest import ROOT, TFLITE


class Simulated:
    """A process whose p50 is its own times what the machine does at this moment."""

    machine = 1.0

    def __init__(self, p50_ns: float, asked: list["Simulated"]) -> None:
        self._p50_ns, self._asked = p50_ns, asked

    def ask(self) -> Turn:
        self._asked.append(self)
        return Turn(self._p50_ns * self.machine, self._p50_ns * self.machine, 4, 0)


class Disturbed(Simulated):
    """One in whose second turn something comes between."""

    def ask(self) -> Turn:
        slower = 50 if sum(one is self for one in self._asked) == 1 else 1
        usual = super().ask()
        return replace(usual, compared_ns=usual.compared_ns * slower, p50_ns=usual.p50_ns * slower)


class TestRound:
    def test_tells_ratios_whatever_the_machine_does_between_turns(self) -> None:
        asked: list[Simulated] = []

        class Shared(Simulated):
            def ask(self) -> Turn:
                Simulated.machine = 1.0 + len(asked) // 3 % 5  # another speed in each turn
                return super().ask()

        found = take_turns([Shared(p50, asked) for p50 in (100.0, 100.0, 110.0)], random.Random(0))
        Simulated.machine = 1.0
        assert np.exp(found.log_ratios[2] - found.log_ratios[0]) == pytest.approx(1.1)
        assert found.log_ratios.sum() == pytest.approx(0)

    def test_one_disturbed_turn_changes_nothing(self) -> None:
        asked: list[Simulated] = []
        found = take_turns([Simulated(100, asked), Simulated(100, asked), Disturbed(100, asked)], random.Random(0))
        assert found.log_ratios == pytest.approx(np.zeros(3))
        assert found.p50_ns == pytest.approx(np.full(3, 100.0))

    def test_is_in_random_order_that_the_seed_repeats_and_each_has_all_its_turns(self) -> None:
        def order(seed: int) -> list[int]:
            asked: list[Simulated] = []
            partners = [Simulated(1, asked) for _ in range(3)]
            take_turns(partners, random.Random(seed))
            return [partners.index(one) for one in asked]

        assert order(1) == order(1) != order(2)
        assert all(set(order(1)[start : start + 3]) == {0, 1, 2} for start in range(0, 3 * TURNS, 3))


def test_a_place_that_is_done_gets_no_further_turn_and_the_others_go_on() -> None:
    wanted, seen = [1, 3, 2], [0, 0, 0]
    order: list[int] = []

    def measure(place: int) -> bool:
        seen[place] += 1
        order.append(place)
        return seen[place] < wanted[place]

    in_turns(3, random.Random(0), measure)
    assert seen == wanted
    assert (set(order[:3]), set(order[3:5]), order[5:]) == ({0, 1, 2}, {1, 2}, [1])


def answered(lines: list[str], monkeypatch: pytest.MonkeyPatch, clock_ns: Iterator[int]) -> tuple[Turns | None, list[Any]]:
    """Return what a process measures whose every look at the clock is the next of `clock_ns`, and what it says."""
    said: list[dict[str, Any]] = []
    monkeypatch.setattr("device.timing.time.perf_counter_ns", lambda: next(clock_ns))
    return answer(lambda _: None, [0, 1], lines, said.append), said


class TestAnswer:
    def test_each_line_is_a_turn_that_lasts_its_time_and_end_returns_them_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock_ns = iter(range(0, 10**12, 100_000))
        found, said = answered(["\n", "\n", f"{END}\n"], monkeypatch, clock_ns)
        assert found is not None
        assert [turn["queries"] for turn in said] == [len(turn) for turn in found.latency_ns]
        assert all(set(turn.tolist()) == {100_000} for turn in found.latency_ns)
        assert all(turn["compared_ns"] == turn["p50_ns"] == 100_000 for turn in said)
        assert all(len(turn) * 3 * 100_000 == pytest.approx(TURN_NS, rel=0.05) for turn in found.latency_ns)

    def test_one_whose_asker_is_gone_has_measured_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found, said = answered(["\n"], monkeypatch, iter(range(0, 10**12, 100_000)))
        assert (found, len(said)) == (None, 1)

    def test_a_clock_that_jumps_forward_ends_a_turn_and_does_not_fill_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        jumping_ns = itertools.chain(range(0, 500_000, 100_000), range(10**15, 10**15 + 10**12, 100_000))
        found, said = answered(["\n", f"{END}\n"], monkeypatch, jumping_ns)
        assert found is not None
        assert (len(found.latency_ns[0]), found.latency_ns[0].max()) == (TURN_QUERIES, 10**15 - 400_000)
        assert Turn(**said[0]).measured_ns == TURN_NS
        assert said[0]["p50_ns"] == 100_000

    def test_a_clock_that_goes_back_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(CheckFailed, match="clock went back by"):
            answered(["\n"], monkeypatch, itertools.chain([10**12] * 3, [0], range(10**12, 10**13, 100_000)))


class TestProcesses:
    @pytest.fixture
    def ready(self) -> Artifact:
        return find_artifacts([ROOT / "data" / "ready" / "mnist_cnn.int8.tflite"])[0]

    @pytest.mark.slow
    def test_take_turns_and_end(self, ready: Artifact) -> None:
        with FreshProcesses(lambda _: None) as fresh:
            found = fresh.round([Side(ready, "litert"), Side(ready, TFLITE[-1])], random.Random(0))
            assert fresh.running == 0
        assert found.log_ratios.sum() == pytest.approx(0)
        assert (found.p50_ns > 0).all()

    def test_one_that_its_runtime_refuses_is_named(self, ready: Artifact, tmp_path: Path) -> None:
        broken = tmp_path / "broken.tflite"
        broken.write_bytes(ready.path.read_bytes()[:50_000])
        refused = Side(replace(ready, path=broken), "litert")
        with FreshProcesses(lambda _: None) as fresh, pytest.raises(SideFailed) as caught:
            fresh.round([Side(ready, "litert"), refused], random.Random(0))
        assert caught.value.side is refused
