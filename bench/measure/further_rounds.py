"""Which turns are left out, and whether rounds must be measured further: rows that took turns show what slowed them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.measure.row import HostRow
from bench.results.validity import KNOWN_WITHIN, SLOWED_LIMIT, known_within, slowed_at_best
from bench.stats import percentiles

IMPRECISE_TOLERATED = 0.1  # of the rows: a further round is one of all rows, and mostly for Keras's
MIN_TURNS = 4  # undisturbed ones, of a process that counts; half of its turns are enough if it took few


@dataclass(frozen=True)
class Rated:
    """The turns of the rows of a model, rated."""

    slowed: float  # the share of the turns in which something slowed the rows
    slowed_by_round: tuple[float, ...]  # this share in each round
    sound: tuple[int, ...]  # the places of the rounds that count: each row has enough undisturbed turns in them
    imprecise: int  # rows that these do not show precisely enough

    def is_enough(self, rounds: int, rows: int) -> bool:
        """Say whether no further round is needed, of the `rounds` that must count, for so many rows."""
        precise = self.imprecise <= IMPRECISE_TOLERATED * rows
        return len(self.sound) >= rounds and self._were_quiet and precise

    @property
    def stays_slowed(self) -> bool:
        """Say whether a further round would meet the same: what slows a machine in two rounds in a row lasts for minutes."""
        return all(share > SLOWED_LIMIT for share in self.slowed_by_round[-2:])

    @property
    def _were_quiet(self) -> bool:
        shares = [self.slowed_by_round[place] for place in self.sound]
        return bool(shares) and slowed_at_best(shares) <= SLOWED_LIMIT

    @property
    def text(self) -> str:
        """Return for people what is in doubt."""
        if self.imprecise:
            rows = "1 row is" if self.imprecise == 1 else f"{self.imprecise} rows are"
            known = f"{rows} known only within more than {100 * KNOWN_WITHIN:.0f} %"
            return f"{known}; {self.slowed_text}" if self.slowed else known
        return self.slowed_text

    @property
    def slowed_text(self) -> str:
        """Return in how many turns something slowed the rows."""
        return f"something slowed the rows in {100 * self.slowed:.0f} % of their turns"


def rate(rows: Sequence[HostRow], disturbed: Collection[int]) -> Rated:
    """Rate the turns of rows of the same rounds, of which those in the `disturbed` cycles do not count."""
    turns = np.concatenate([cycles for row in rows for cycles in row.turn_cycles])
    slowed = float(np.isin(turns, list(disturbed)).mean())
    # Not strict: Ctrl-C may come when a round is kept of some rows only
    rounds = list(zip(*(_undisturbed(row, disturbed) for row in rows), strict=False))
    sound = tuple(place for place, masks in enumerate(rounds) if all(map(_are_enough, masks)))
    imprecise = sum(_is_imprecise(_latencies(row, disturbed, sound)) for row in rows)
    return Rated(slowed, tuple(1 - float(np.concatenate(masks).mean()) for masks in rounds), sound, imprecise)


def _undisturbed(row: HostRow, disturbed: Collection[int]) -> list[npt.NDArray[np.bool_]]:
    """Return which turns (turns,) of a row were undisturbed, by process."""
    return [~np.isin(cycles, list(disturbed)) for cycles in row.turn_cycles]


def _are_enough(undisturbed: npt.NDArray[np.bool_]) -> bool:
    return int(np.count_nonzero(undisturbed)) >= min(MIN_TURNS, -(-len(undisturbed) // 2))


def _latencies(row: HostRow, disturbed: Collection[int], sound: Sequence[int]) -> list[npt.NDArray[np.int64]]:
    """Return the latencies (queries,) of a row's undisturbed turns in the rounds that count."""
    masks = _undisturbed(row, disturbed)
    return [row.latencies_ns[place][np.repeat(masks[place], row.turn_queries[place])] for place in sound]


def _is_imprecise(processes: Sequence[npt.NDArray[np.int64]]) -> bool:
    return len(processes) < 2 or known_within(processes, percentiles.median_ci95_ns(processes)) > KNOWN_WITHIN


def note_slowed(row: HostRow, disturbed: Collection[int]) -> None:
    """Record of each process of a row in which share of its turns something slowed the rows."""
    shares = [1 - float(mask.mean()) for mask in _undisturbed(row, disturbed)]
    row.conditions = [replace(seen, slowed=share) for seen, share in zip(row.conditions, shares, strict=True)]


def leave_out(row: HostRow, disturbed: Collection[int], sound: Sequence[int]) -> None:
    """Remove a row's turns in the disturbed cycles, and the rounds that do not count: for all rows of a round alike."""
    masks = _undisturbed(row, disturbed)
    row.rounds_left_out += len(masks) - len(sound)
    row.latencies_ns = _latencies(row, disturbed, sound)
    row.turn_queries = [row.turn_queries[place][masks[place]] for place in sound]
    row.turn_cycles = [row.turn_cycles[place][masks[place]] for place in sound]
    row.conditions = [row.conditions[place] for place in sound]
