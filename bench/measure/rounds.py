"""The latency of rows in rounds: a fresh process of each row of a model, side by side, in short turns.

In the first rounds each process starts and warms up while the others wait, so that its start-up is that of a process alone.
In the further ones, whose start-up is not kept, as many start at a time as there are cores.
"""

import json
import os
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import conditions as watch
from bench.machine.conditions import Conditions
from bench.machine.memory import available_memory_bytes
from bench.measure.further_rounds import leave_out, note_slowed, rate
from bench.measure.interleaving import END, Turn
from bench.measure.row import HostRow, Mode, Say, guarded
from bench.measure.turn_table import TurnTable
from bench.measure.worker_pool import Talk, Workers
from common.milliseconds import milliseconds
from common.progress import task_progress

ALONE_ROUNDS = 3  # the first ones, whose processes start one at a time: their start-up is that of a process alone
PATH_ROUNDS = 2  # the first ones, in which the whole path is timed too: it takes as long as a process's turns
LONGEST = 2  # times as long as it must, at most, that a process takes turns while something slows the rows
MIN_SOUND = 3  # rounds that must be left when the disturbed turns are left out
MIN_ROUNDS = 2  # of a row that is kept when the run is interrupted: one process does not show how processes differ


@dataclass
class Measured:
    """How much a process has measured in some of its turns."""

    queries: int = 0
    duration_ns: float = 0

    def add(self, turn: Turn) -> None:
        """Add a turn."""
        self.queries += turn.queries
        self.duration_ns += turn.measured_ns


@dataclass
class Seat:
    """A row's process while it takes turns."""

    row: HostRow
    talk: Talk
    result: Path
    undisturbed: Measured = field(default_factory=Measured)
    all: Measured = field(default_factory=Measured)
    cycles: list[int] = field(default_factory=list)  # the number of the cycle of each turn
    cpu_ns: int = 0  # that it has used for its turns


class Rounds:
    """Measures the latency of rows, so many rounds as the mode has processes."""

    def __init__(self, workers: Workers, mode: Mode, order: random.Random, say: Say) -> None:
        self._workers, self._mode, self._order, self._say = workers, mode, order, say
        self._queries = -(-mode.queries // mode.processes)
        self._duration_ns = int(mode.duration_s * 1e9 / mode.processes)
        self._tables: defaultdict[str, TurnTable] = defaultdict(TurnTable)  # by model
        self._cycle = 0
        self._told: set[str] = set()  # models for which too little memory was reported

    def measure(self, rows: Sequence[HostRow]) -> None:
        """Measure all rounds: changes of the machine over minutes then show themselves within each row."""
        groups = groups_of(rows)
        try:
            self._measure_rounds(groups)
            self._measure_further(groups)
        finally:  # of what Ctrl-C leaves too
            for group in groups:
                self._leave_out([row for row in group if row.reason is None and row.turn_cycles])

    def _measure_rounds(self, groups: Sequence[Sequence[HostRow]]) -> None:
        with task_progress("rounds", self._mode.processes * len(groups), timing=True) as advance:
            for number in range(1, self._mode.processes + 1):
                for group in self._order.sample(groups, len(groups)):
                    going = [row for row in group if row.reason is None]
                    self._round(going, number)
                    if going:
                        self._say(f"  round {number} of {self._mode.processes}: {_p50s(going)}")
                    advance(1)

    def _measure_further(self, groups: Sequence[Sequence[HostRow]]) -> None:
        """Measure further rounds, of the models in turn: that gives the machine time between two of one model."""
        least = self._mode.processes
        in_doubt = list(groups)
        for number in range(least + 1, least + self._mode.further_rounds + 1):
            in_doubt = [group for group in in_doubt if self._further(group, number)]

    def _further(self, group: Sequence[HostRow], number: int) -> bool:
        """Measure a further round of a model's rows if something is in doubt, and say whether one was measured."""
        name, least = group[0].subject.model_name, self._mode.processes
        going = [row for row in group if row.reason is None]
        if not going:
            return False
        rated = rate(going, self._disturbed(going))
        if rated.is_enough(least, len(going)):
            return False
        if number > least + 1 and rated.stays_slowed:
            self._say(f"  {name}: {rated.slowed_text}, and goes on: no further round")
            return False
        self._say(f"  {name}: {rated.text}: a further round, {number}")
        self._round(going, number)
        return True

    def _leave_out(self, rows: Sequence[HostRow]) -> None:
        """Leave out the turns of a model's rows in which something slowed them, if enough rounds are left."""
        if not rows:
            return
        disturbed = self._disturbed(rows)
        rated = rate(rows, disturbed)
        enough = len(rated.sound) >= min(MIN_SOUND, self._mode.processes)
        for row in rows:
            note_slowed(row, disturbed)
            if enough:
                leave_out(row, disturbed, rated.sound)
        if enough and rated.slowed:
            self._say(f"  {rows[0].subject.model_name}: {rated.slowed_text}: left out")

    def _disturbed(self, rows: Sequence[HostRow]) -> set[int]:
        return self._tables[rows[0].subject.model_name].disturbed([row.subject.key for row in rows])

    def _round(self, rows: Sequence[HostRow], number: int) -> None:
        at_a_time = 1 if number <= ALONE_ROUNDS else len(os.sched_getaffinity(0))
        waiting = self._order.sample(rows, len(rows))
        while waiting:
            with ExitStack() as stack:
                seats: list[Seat] = []
                while waiting and (not seats or self._fits(waiting[-1], rows)):
                    starting = [waiting.pop()]
                    while waiting and len(starting) < at_a_time and self._fits(waiting[-1], rows, beside=starting):
                        starting.append(waiting.pop())
                    seats += self._seats(starting, stack, number <= PATH_ROUNDS)
                self._tell(rows, len(seats), len(waiting))
                elsewhere = self._take_turns(seats)
                finished = [(seat, guarded(seat.row, lambda seat=seat: _end(seat), self._say)) for seat in seats]  # type: ignore[misc]
            for seat, result in finished:
                if result is not None:
                    keep(seat, result, elsewhere, started_alone=number <= ALONE_ROUNDS)

    def _fits(self, row: HostRow, rows: Sequence[HostRow], beside: Sequence[HostRow] = ()) -> bool:
        """Say whether memory holds another process, `beside` those that start too.

        One that was never seen is taken to be as large as the largest.
        """
        largest = max((other.held_bytes for other in rows), default=0)
        return available_memory_bytes() >= sum(each.held_bytes or largest for each in (row, *beside))

    def _tell(self, rows: Sequence[HostRow], seated: int, waiting: int) -> None:
        model = rows[0].subject.model_name
        if waiting and model not in self._told:
            self._told.add(model)
            self._say(f"  {model}: memory holds {seated} of {len(rows)} rows side by side: fewer at a time take turns")

    def _seats(self, rows: Sequence[HostRow], stack: ExitStack, whole_path: bool) -> list[Seat]:
        """Start processes at the same time and wait until all are warm; one that fails is lost."""
        started = [(row, guarded(row, lambda row=row: self._start(row, stack, whole_path), self._say)) for row in rows]  # type: ignore[misc]
        seats = [guarded(row, lambda row=row, begun=begun: _seat(row, *begun), self._say) for row, begun in started if begun]  # type: ignore[misc]
        return [seat for seat in seats if seat]

    def _start(self, row: HostRow, stack: ExitStack, whole_path: bool) -> tuple[Talk, Path]:
        """Start a process, and return the file to which it will write."""
        job = row.job("turns") if whole_path else replace(row.job("turns"), files=())
        result = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._workers.scratch))) / "result.npz"
        return stack.enter_context(self._workers.talking_to(job, result, wait=False)), result

    def _take_turns(self, seats: Sequence[Seat]) -> float | None:
        """Let the processes take turns until each has its queries; return what others used of the machine meanwhile."""
        before = watch.read()
        going = list(seats)
        while going:
            self._cycle += 1
            turns = [(seat, self._turn(seat)) for seat in self._order.sample(going, len(going))]
            slowed = self._mode.further_rounds > 0 and self._cycle in self._disturbed([seat.row for seat in seats])
            going = [seat for seat, turn in turns if turn is not None and self._lacks_after(seat, turn, slowed)]
        after = watch.read()
        own_ns = after.own_cpu_ns + sum(seat.cpu_ns for seat in seats)
        return watch.between(before, replace(after, own_cpu_ns=own_ns)).elsewhere

    def _turn(self, seat: Seat) -> Turn | None:
        """Let a process take its turn of this cycle; None: its row is lost."""
        turn = guarded(seat.row, lambda: Turn(**seat.talk.ask()), self._say)
        if turn is not None:
            seat.cpu_ns = turn.cpu_ns - int(seat.talk.ready["cpu_ns"])
            seat.cycles.append(self._cycle)
            self._tables[seat.row.subject.model_name].add(self._cycle, seat.row.subject.key, turn.p50_ns)
        return turn

    def _lacks_after(self, seat: Seat, turn: Turn, slowed: bool) -> bool:
        """Count a turn and say whether the process needs another one: what is slowed counts for nothing, up to a limit."""
        seat.all.add(turn)
        if not slowed:
            seat.undisturbed.add(turn)
        return self._lacks(seat.undisturbed, 1) and self._lacks(seat.all, LONGEST)

    def _lacks(self, measured: Measured, times: int) -> bool:
        return measured.queries < times * self._queries or measured.duration_ns < times * self._duration_of(measured)

    def _duration_of(self, measured: Measured) -> float:
        """Return how long a process must have measured: half as long if it has its share of the queries that are enough."""
        enough = self._mode.enough_queries
        return self._duration_ns / 2 if enough and measured.queries * self._mode.processes >= enough else self._duration_ns


def _seat(row: HostRow, talk: Talk, result: Path) -> Seat:
    """Wait until a process is warm."""
    row.held_bytes = max(row.held_bytes, int(talk.ready["peak_rss_bytes"] or 0))
    return Seat(row, talk, result)


def _end(seat: Seat) -> dict[str, Any]:
    """End a process after its last turn and return the arrays that it wrote. Raises RowRefused or RowCrashed."""
    seat.talk.ask(END)
    with np.load(seat.result, allow_pickle=False) as arrays:
        return dict(arrays)


def keep(seat: Seat, result: dict[str, Any], elsewhere: float | None, started_alone: bool) -> None:
    """Add what a process measured to its row; its start-up only if no other one started meanwhile."""
    row = seat.row
    conditions = Conditions.from_json(json.loads(str(result["conditions"])))
    row.conditions.append(replace(conditions, elsewhere=elsewhere))
    row.latencies_ns.append(result["latency_ns"])
    row.turn_queries.append(result["turn_queries"])
    row.turn_cycles.append(np.array(seat.cycles, np.int64))
    if started_alone:
        row.startups_ns.append(result["startup_ns"])
    row.paths_ns.append(result["path_ns"])
    row.runtime_version = str(result["runtime_version"])
    row.warmup_calls = max(row.warmup_calls, int(result["warmup_calls"]))
    row.peak_rss_bytes = max(row.peak_rss_bytes, int(result["peak_rss_bytes"]))
    see_where_it_ran(row, result)


def see_where_it_ran(row: HostRow, result: Any) -> None:
    """Record the accelerator that really computed, whatever was requested."""
    if "accelerator" in result:
        row.subject = replace(row.subject, accelerator=str(result["accelerator"]))
        row.accelerator_name = str(result["accelerator_name"])


def groups_of(rows: Sequence[HostRow]) -> list[list[HostRow]]:
    """Return the rows that take turns with each other: those of a model.

    A row on an accelerator is alone: how many processes an accelerator's memory holds is not known.
    """
    groups: dict[str, list[HostRow]] = {}
    for row in rows:
        alone = row.subject.accelerator != "cpu"
        groups.setdefault(row.subject.key if alone else row.subject.model_name, []).append(row)
    return list(groups.values())


def _p50s(rows: Sequence[HostRow]) -> str:
    """Return the range of the p50s of a model's last round."""
    last_ms = [float(np.median(row.latencies_ns[-1])) / 1e6 for row in rows if row.latencies_ns]
    name = rows[0].subject.model_name
    if not last_ms:
        return f"{name}: no row is left"
    if len(last_ms) == 1:
        return f"{name}, 1 row, p50 {milliseconds(last_ms[0])} ms"
    return f"{name}, {len(last_ms)} rows, p50 {milliseconds(min(last_ms))} to {milliseconds(max(last_ms))} ms"
