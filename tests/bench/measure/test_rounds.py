"""Rounds of rows that take turns, with simulated processes: what is kept of a round in which something goes wrong."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.artifacts import evaluation_pictures
from bench.artifacts.find import Artifact
from bench.machine.conditions import Reading
from bench.measure.further_rounds import leave_out, rate
from bench.measure.interleaving import END, TURN_NS
from bench.measure.job import Job
from bench.measure.rounds import Rounds, groups_of
from bench.measure.row import HostRow, Mode, subject_for
from bench.measure.run import finished_rows
from bench.results.outcome import RowCrashed, RowRefused
from bench.results.validity import KNOWN_WITHIN, known_within
from bench.stats.percentiles import median_ci95_ns
from device.card import Card

MB = 1_000_000
GO_ON: Callable[[str, int], None] = lambda _name, _turn: None  # noqa: E731


class SimulatedProcess:
    """A process of a row, with 1 ms a query; `happens` is called at each of its turns."""

    def __init__(self, name: str, result: Path, happens: Callable[[str, int], None], log: list[str]) -> None:
        self._name, self._result, self._happens, self._log = name, result, happens, log
        self._turns = 0
        self.ready = {"ready": True, "cpu_ns": 0, "peak_rss_bytes": 100 * MB}

    def ask(self, line: str = "") -> dict[str, Any]:
        if line == END:
            self._save()
            return {"saved": True}
        self._turns += 1
        self._log.append(self._name)
        self._happens(self._name, self._turns)
        return {"compared_ns": 1e6, "p50_ns": 1e6, "queries": 15, "cpu_ns": self._turns * TURN_NS}

    def _save(self) -> None:
        np.savez(
            self._result,
            latency_ns=np.full(15 * self._turns, 1_000_000),
            turn_queries=np.full(self._turns, 15),
            startup_ns=[1, 2, 3, 4],
            conditions=json.dumps({"steady": True}),
            path_ns=np.empty((0, 5), np.int64),
            runtime_version=np.array("1.0"),
            warmup_calls=32,
            peak_rss_bytes=100 * MB,
        )


class SimulatedWorkers:
    """Starts simulated processes, and keeps in what order they had turns and how many were there at a time."""

    def __init__(self, scratch: Path, happens: Callable[[str, int], None] = GO_ON) -> None:
        self.scratch, self._happens = scratch, happens
        self.log: list[str] = []
        self.side_by_side: list[int] = []
        self.running = 0
        self.files: list[tuple[str, ...]] = []

    @contextmanager
    def talking_to(self, job: Job, result: Path, wait: bool) -> Iterator[SimulatedProcess]:
        assert not wait
        name = Path(job.path).stem
        self.files.append(job.files)
        if name == "refused":
            raise RowRefused("no such operation")
        self.running += 1
        self.side_by_side.append(self.running)
        try:
            yield SimulatedProcess(name, result, self._happens, self.log)
        finally:
            self.running -= 1


@pytest.fixture
def rows(tmp_path: Path) -> list[HostRow]:
    return [row_of(tmp_path, name) for name in ("a", "b", "c")]


def row_of(folder: Path, name: str, model: str = "m") -> HostRow:
    card = Card.from_json(
        {
            "schema": 1,
            "model": model,
            "variant": name,
            "labels": ["0", "1"],
            "input": {"height": 2, "width": 2, "channels": 1, "pixels": "0..255"},
            "preprocess": [["gray"], ["resize", {"size": 2, "filter": "bilinear"}], ["center_crop", {"size": 2}]],
        }
    )
    found = Artifact(folder / f"{name}.tflite", "tflite", card)
    return HostRow(found=found, subject=subject_for(found, "litert", 1), pictures=None)


def measure(workers: Any, rows: Sequence[HostRow], rounds: int = 3, seconds: float = 0.18) -> list[str]:
    said: list[str] = []
    Rounds(workers, Mode(64, seconds, rounds), random.Random(0), said.append).measure(rows)
    return said


def test_each_row_has_a_fresh_process_in_each_round_and_its_least_queries_and_time(
    rows: list[HostRow], tmp_path: Path
) -> None:
    workers = SimulatedWorkers(tmp_path)
    measure(workers, rows)
    for row in rows:
        assert len(row.latencies_ns) == len(row.conditions) == len(row.turn_queries) == 3
        assert sum(map(len, row.latencies_ns)) == 180  # 60 ms a process: four turns of 15
        assert [sizes.tolist() for sizes in row.turn_queries] == [[15] * 4] * 3
    assert workers.side_by_side == [1, 2, 3] * 3
    assert all(set(workers.log[start : start + 3]) == {"a", "b", "c"} for start in range(0, 36, 3))


def test_start_up_is_kept_of_the_first_three_rounds_in_which_processes_start_alone(
    rows: list[HostRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together: list[int] = []
    seats = Rounds._seats

    def counted(self: Rounds, group: Sequence[HostRow], stack: ExitStack, whole_path: bool) -> Any:
        together.append(len(group))
        return seats(self, group, stack, whole_path)

    monkeypatch.setattr(Rounds, "_seats", counted)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    measure(SimulatedWorkers(tmp_path), rows, rounds=4, seconds=0.24)
    assert together == [1] * 9 + [2, 1]
    assert [(len(row.startups_ns), len(row.latencies_ns)) for row in rows] == [(3, 4)] * 3


def test_the_whole_path_is_timed_in_the_first_two_rounds(tmp_path: Path) -> None:
    row = row_of(tmp_path, "a")
    row.pictures = evaluation_pictures.TestPictures(tmp_path / "pictures.npy", np.zeros(1, np.int64), "", ("1.png",))
    workers = SimulatedWorkers(tmp_path)
    measure(workers, [row])
    assert workers.files == [("1.png",), ("1.png",), ()]


def test_a_short_time_does_not_make_a_row_thinner_than_its_least_queries(rows: list[HostRow], tmp_path: Path) -> None:
    measure(SimulatedWorkers(tmp_path), rows, seconds=0.0)
    assert all(sum(map(len, row.latencies_ns)) >= 64 for row in rows)


def test_a_process_that_dies_in_its_turn_costs_its_row_and_not_the_round(rows: list[HostRow], tmp_path: Path) -> None:
    def dies(name: str, turn: int) -> None:
        if (name, turn) == ("b", 2):
            raise RowCrashed("its process ended with SIGSEGV")

    said = measure(SimulatedWorkers(tmp_path, dies), rows)
    a, b, c = rows
    assert (b.crashed, b.reason) == (True, "its process ended with SIGSEGV")
    assert [len(row.latencies_ns) for row in (a, b, c)] == [3, 0, 3]
    assert sum("skipped: its process ended with SIGSEGV" in line for line in said) == 1


def test_a_row_that_its_runtime_refuses_is_skipped_and_the_others_are_measured(tmp_path: Path) -> None:
    refused, other = row_of(tmp_path, "refused"), row_of(tmp_path, "a")
    measure(SimulatedWorkers(tmp_path), [refused, other])
    assert (refused.reason, refused.crashed, len(other.latencies_ns)) == ("no such operation", False, 3)


def test_with_too_little_memory_fewer_take_turns_at_a_time_and_that_is_said_once(
    rows: list[HostRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = SimulatedWorkers(tmp_path)
    left = lambda: (250 - 100 * workers.running) * MB  # noqa: E731  # for two processes of 100 MB
    monkeypatch.setattr("bench.measure.rounds.available_memory_bytes", left)
    said = measure(workers, rows)
    assert workers.side_by_side == [1, 2, 1] * 3
    assert all(len(row.latencies_ns) == 3 for row in rows)
    assert [line for line in said if "memory" in line] == [
        "  m: memory holds 2 of 3 rows side by side: fewer at a time take turns"
    ]


def test_with_next_to_no_memory_rows_are_measured_one_at_a_time(
    rows: list[HostRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = SimulatedWorkers(tmp_path)
    monkeypatch.setattr("bench.measure.rounds.available_memory_bytes", lambda: 0)
    measure(workers, rows)
    assert set(workers.side_by_side) == {1}
    assert all(len(row.latencies_ns) == 3 for row in rows)


def test_ctrl_c_in_a_round_keeps_the_finished_rounds_and_ends_the_processes(rows: list[HostRow], tmp_path: Path) -> None:
    workers = SimulatedWorkers(tmp_path, happens=lambda _name, _turn: interrupt_after(workers.log, 12 * 2 + 5))
    with pytest.raises(KeyboardInterrupt):
        measure(workers, rows)
    assert workers.running == 0
    assert [len(row.latencies_ns) for row in rows] == [2, 2, 2]


def interrupt_after(log: Sequence[str], turns: int) -> None:
    if len(log) > turns:
        raise KeyboardInterrupt


def test_what_others_use_of_the_machine_does_not_count_the_processes_of_the_round(
    rows: list[HostRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = {"cores": 2, "frequency_khz": None, "throttle_events": None, "throttled_now": None, "temperature_c": None}
    second = 1_000_000_000
    before = Reading(clock_ns=0, own_cpu_ns=0, busy_cpu_ns=0, stolen_cpu_ns=0, **quiet)  # type: ignore[arg-type]
    # Three processes have used 4 turns of 15 ms each, this one 20 ms, and others 100 ms of the two seconds of two cores
    used_ns = 3 * 4 * TURN_NS + 20_000_000 + 100_000_000
    after = Reading(clock_ns=second, own_cpu_ns=20_000_000, busy_cpu_ns=used_ns, stolen_cpu_ns=0, **quiet)  # type: ignore[arg-type]
    readings = iter([before, after] * 3)
    monkeypatch.setattr("bench.measure.rounds.watch.read", lambda: next(readings))
    measure(SimulatedWorkers(tmp_path), rows)
    assert [condition.elsewhere for condition in rows[0].conditions] == pytest.approx([0.05] * 3)


def test_models_take_turns_apart_and_a_row_on_an_accelerator_is_alone(tmp_path: Path) -> None:
    rows = [row_of(tmp_path, "a"), row_of(tmp_path, "b", "other"), row_of(tmp_path, "c"), row_of(tmp_path, "gpu")]
    rows[3].subject = replace(rows[3].subject, accelerator="cuda")
    assert [[row.subject.variant for row in group] for group in groups_of(rows)] == [["a", "c"], ["b"], ["gpu"]]


Factor = Callable[[int, int], float]  # of a round and a turn of it, both from 1: how many times as long all rows take


class SlowedProcess(SimulatedProcess):
    """A process whose turns take longer at some times."""

    def __init__(self, name: str, result: Path, log: list[str], factor: Callable[[int], float]) -> None:
        super().__init__(name, result, GO_ON, log)
        self._factor = factor

    def ask(self, line: str = "") -> dict[str, Any]:
        answer = super().ask(line)
        return answer if line == END else {**answer, "p50_ns": 1e6 * self._factor(self._turns)}

    def _save(self) -> None:
        super()._save()
        arrays = dict(np.load(self._result))
        factors = [self._factor(turn + 1) for turn in range(self._turns)]
        arrays["latency_ns"] = (arrays["latency_ns"] * np.repeat(factors, 15)).astype(np.int64)
        np.savez(self._result, **arrays)


class SlowedWorkers(SimulatedWorkers):
    """Starts processes of some rows that something slows at the same times, or one `alone`: 15 queries of `factor` ms."""

    def __init__(self, scratch: Path, rows: int, factor: Factor, alone: str | None) -> None:
        super().__init__(scratch)
        self._rows, self._factor, self._alone, self._started = rows, factor, alone, 0

    @contextmanager
    def talking_to(self, job: Job, result: Path, wait: bool) -> Iterator[SimulatedProcess]:
        number = self._started // self._rows + 1
        self._started += 1
        with super().talking_to(job, result, wait):
            name = Path(job.path).stem
            is_slowed = self._alone in (None, name)
            yield SlowedProcess(name, result, self.log, lambda turn: self._factor(number, turn) if is_slowed else 1.0)


def measure_further(
    rows: Sequence[HostRow],
    folder: Path,
    factor: Factor,
    further: int = 4,
    alone: str | None = None,
    seconds: float = 0.24,
) -> list[str]:
    """Measure four rounds (of four turns each: 0.24 s), and further ones; return what is said of these."""
    said: list[str] = []
    workers = SlowedWorkers(folder, len(rows), factor, alone)
    Rounds(workers, Mode(64, seconds, 4, further_rounds=further), random.Random(0), said.append).measure(rows)  # type: ignore[arg-type]
    return [line for line in said if "further" in line or "left out" in line]


def turns_of(row: HostRow) -> list[int]:
    return [len(sizes) for sizes in row.turn_queries]


def test_a_round_that_slowed_all_rows_is_prolonged_measured_again_and_left_out(rows: list[HostRow], tmp_path: Path) -> None:
    said = measure_further(rows, tmp_path, lambda number, _: 1.4 if number == 4 else 1.0)
    assert [(turns_of(row), row.rounds_left_out) for row in rows] == [([4] * 4, 1)] * 3
    assert {int(np.median(process)) for row in rows for process in row.latencies_ns} == {1_000_000}
    assert said == [
        "  m: something slowed the rows in 33 % of their turns: a further round, 5",  # 6 of 18: twice 60 ms, in turns of 21
        "  m: something slowed the rows in 27 % of their turns: left out",  # 6 of 22
    ]


def test_turns_that_something_slowed_are_taken_again_in_the_same_round_and_left_out(
    rows: list[HostRow], tmp_path: Path
) -> None:
    said = measure_further(rows, tmp_path, lambda _, turn: 1.4 if turn in (2, 3) else 1.0)
    assert [turns_of(row) for row in rows] == [[4] * 4] * 3
    assert {int(query) for row in rows for process in row.latencies_ns for query in process} == {1_000_000}
    assert [condition.slowed for condition in rows[0].conditions] == pytest.approx([2 / 6] * 4)
    assert said == ["  m: something slowed the rows in 33 % of their turns: left out"]


def test_a_round_in_which_one_row_has_too_few_undisturbed_turns_is_left_out_of_all_rows(
    rows: list[HostRow], tmp_path: Path
) -> None:
    measure(SimulatedWorkers(tmp_path), rows, seconds=0.225)  # five turns a process
    short = rows[0]  # it had its queries after three
    short.latencies_ns[1] = short.latencies_ns[1][: 3 * 15]
    short.turn_queries[1], short.turn_cycles[1] = short.turn_queries[1][:3], short.turn_cycles[1][:3]
    disturbed = set(short.turn_cycles[1][:2].tolist())
    rated = rate(rows, disturbed)
    assert rated.sound == (0, 2)
    for row in rows:
        leave_out(row, disturbed, rated.sound)
    assert [(turns_of(row), row.rounds_left_out) for row in rows] == [([5, 5], 1)] * 3


def test_with_a_time_that_the_user_sets_no_turn_is_taken_again(rows: list[HostRow], tmp_path: Path) -> None:
    measure_further(rows, tmp_path, lambda _, turn: 1.4 if turn == 2 else 1.0, further=0)
    assert [turns_of(row) for row in rows] == [[3] * 4] * 3
    assert [condition.slowed for condition in rows[0].conditions] == [0.25] * 4


def test_further_rounds_end_where_two_in_a_row_met_what_slows_the_rows_which_are_not_valid(
    rows: list[HostRow], tmp_path: Path
) -> None:
    slowed = {2: 1.4, 4: 1.5, 5: 1.6}
    said = measure_further(rows, tmp_path, lambda number, _: slowed.get(number, 1.0))
    assert said == [
        "  m: something slowed the rows in 60 % of their turns: a further round, 5",
        "  m: something slowed the rows in 68 % of their turns, and goes on: no further round",
    ]
    assert [(len(row.latencies_ns), row.rounds_left_out) for row in rows] == [(5, 0)] * 3  # two quiet ones are too few
    assert all(known_within(row.latencies_ns, median_ci95_ns(row.latencies_ns)) > KNOWN_WITHIN for row in rows)


def test_where_something_slows_most_turns_further_rounds_look_for_a_quiet_moment(
    rows: list[HostRow], tmp_path: Path
) -> None:
    busy: Factor = lambda number, turn: 1.4 if number < 5 and turn % 4 != 1 else 1.0  # noqa: E731  # three of four turns
    said = measure_further(rows, tmp_path, busy, seconds=1.2)
    assert [line.rpartition(": ")[2] for line in said[:-1]] == [f"a further round, {number}" for number in (5, 6)]
    assert "something slowed the rows in 74 % of their turns" in said[0]


def test_three_quiet_rounds_are_enough_to_leave_out_the_others(rows: list[HostRow], tmp_path: Path) -> None:
    said = measure_further(rows, tmp_path, lambda number, _: 1.0 if number in (1, 3, 5) else 1.4)
    assert [(turns_of(row), row.rounds_left_out) for row in rows] == [([4] * 3, 4)] * 3
    assert said[-1] == "  m: something slowed the rows in 67 % of their turns: left out"  # 24 of 36
    assert finished_rows(rows, 4) == rows


def test_what_ctrl_c_leaves_says_in_which_share_of_its_turns_something_slowed_the_rows(
    rows: list[HostRow], tmp_path: Path
) -> None:
    def busy(number: int, turn: int) -> float:
        if number == 3:
            raise KeyboardInterrupt
        return 1.4 if turn == 2 else 1.0

    with pytest.raises(KeyboardInterrupt):
        measure_further(rows, tmp_path, busy)
    assert [condition.slowed for condition in rows[0].conditions] == pytest.approx([0.2, 0.2])
    assert [turns_of(row) for row in rows] == [[5, 5]] * 3  # two rounds are too few to leave turns out


def test_a_quiet_run_needs_no_further_round(rows: list[HostRow], tmp_path: Path) -> None:
    assert measure_further(rows, tmp_path, lambda *_: 1.0) == []
    assert [turns_of(row) for row in rows] == [[4] * 4] * 3


def test_one_row_of_ten_that_is_not_known_precisely_needs_no_further_round(tmp_path: Path) -> None:
    rows = [row_of(tmp_path, f"row{number}") for number in range(10)]
    changing: Factor = lambda number, _: 1 + 0.1 * number  # noqa: E731
    assert measure_further(rows, tmp_path, changing, alone="row3") == []
    assert [len(row.latencies_ns) for row in rows] == [4] * 10
    few = [row_of(tmp_path, f"row{number}") for number in range(9)]
    assert len(measure_further(few, tmp_path, changing, alone="row3")) == 4


def test_rows_that_take_turns_at_other_times_are_not_judged_together(
    rows: list[HostRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.rounds.available_memory_bytes", lambda: 0)
    assert measure_further(rows, tmp_path, lambda _, turn: 1.4 if turn == 2 else 1.0) == []
    assert len({int(cycle) for row in rows for cycles in row.turn_cycles for cycle in cycles}) == 3 * 4 * 4


def test_a_row_with_the_queries_of_a_p99_takes_half_the_time(rows: list[HostRow], tmp_path: Path) -> None:
    mode = Mode(64, 2.4, 4, enough_queries=662)  # 600 ms a process: 40 turns of 15 queries of 1 ms
    Rounds(SimulatedWorkers(tmp_path), mode, random.Random(0), lambda _: None).measure(rows)  # type: ignore[arg-type]
    assert [len(process) for process in rows[0].latencies_ns] == [300] * 4
