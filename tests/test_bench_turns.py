"""Processes that take turns: what their turns say, in what order they come, and how a process that fails is told."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.artifacts import Found, find_artifacts
from bench.fresh import FreshProcesses, Side, SideFailed
from bench.turns import TURNS, answer, take_turns
from tests.conftest import ROOT


class Simulated:
    """A process whose p50 is its own times what the machine does at this moment."""

    machine = 1.0

    def __init__(self, p50_ns: float, asked: list["Simulated"]) -> None:
        self._p50_ns, self._asked = p50_ns, asked

    def ask(self) -> dict[str, Any]:
        self._asked.append(self)
        return dict.fromkeys(("compared_ns", "p50_ns"), self._p50_ns * self.machine)


class Disturbed(Simulated):
    """One in whose second turn something comes between."""

    def ask(self) -> dict[str, Any]:
        slower = 50 if sum(one is self for one in self._asked) == 1 else 1
        return {name: value * slower for name, value in super().ask().items()}


class TestRound:
    def test_tells_ratios_whatever_the_machine_does_between_turns(self) -> None:
        asked: list[Simulated] = []

        class Shared(Simulated):
            def ask(self) -> dict[str, Any]:
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


def test_a_process_says_that_it_is_ready_and_answers_each_line_once() -> None:
    said: list[dict[str, Any]] = []

    def lines() -> Iterator[str]:
        for number in range(3):
            assert len(said) == 1 + number
            yield "\n"

    answer(lambda _: None, [0, 1], lines(), said.append)
    assert said[0] == {"ready": True}
    assert all(line["p50_ns"] >= line["compared_ns"] > 0 for line in said[1:])
    assert len(said) == 4


class TestProcesses:
    @pytest.fixture
    def ready(self) -> Found:
        return find_artifacts([ROOT / "data" / "ready" / "mnist_cnn.int8.tflite"])[0]

    def test_take_turns_and_end(self, ready: Found) -> None:
        with FreshProcesses(lambda _: None) as fresh:
            found = fresh.round([Side(ready, "litert"), Side(ready, "tflite_runtime")], random.Random(0))
            assert fresh.running == 0
        assert found.log_ratios.sum() == pytest.approx(0)
        assert (found.p50_ns > 0).all()

    def test_one_that_its_runtime_refuses_is_named(self, ready: Found, tmp_path: Path) -> None:
        broken = tmp_path / "broken.tflite"
        broken.write_bytes(ready.path.read_bytes()[:50_000])
        refused = Side(replace(ready, path=broken), "litert")
        with FreshProcesses(lambda _: None) as fresh, pytest.raises(SideFailed) as caught:
            fresh.round([Side(ready, "litert"), refused], random.Random(0))
        assert caught.value.side is refused
