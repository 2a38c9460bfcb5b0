"""Which turns are left out, and whether rounds must be measured further: rows that took turns show what slowed them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.measure.row import HostRow
from bench.results.validity import KNOWN_WITHIN, known_within
from bench.stats import percentiles

LEAST_TURNS = 4  # undisturbed ones, of a process that counts


@dataclass(frozen=True)
class Rated:
    """The turns of the rows of a model, rated."""

    slowed: float  # the share of the turns in which something slowed the rows
    sound: int  # rounds that count, of the row that has the fewest
    imprecise: int  # rows that these do not show precisely enough

    @property
    def text(self) -> str:
        """Return for people what is in doubt."""
        if self.imprecise:
            known = f"{self.imprecise} rows are known only within more than {100 * KNOWN_WITHIN:.0f} %"
            return f"{known}; {self.slowed_text}" if self.slowed else known
        return self.slowed_text

    @property
    def slowed_text(self) -> str:
        """Return in how many turns something slowed the rows."""
        return f"something slowed the rows in {100 * self.slowed:.0f} % of their turns"


def rate(rows: Sequence[HostRow], disturbed: Collection[int]) -> Rated:
    """Rate the turns of rows, of which those in the `disturbed` cycles do not count."""
    kept = [_latencies(row, _undisturbed(row, disturbed)) for row in rows]
    turns = np.concatenate([cycles for row in rows for cycles in row.turn_cycles])
    sound = min(len(processes) for processes in kept)
    return Rated(float(np.isin(turns, list(disturbed)).mean()), sound, sum(_is_imprecise(processes) for processes in kept))


def _undisturbed(row: HostRow, disturbed: Collection[int]) -> dict[int, npt.NDArray[np.bool_]]:
    """Return which turns (turns,) of a row were undisturbed, by the places of the processes that have enough of them."""
    masks = {place: ~np.isin(cycles, list(disturbed)) for place, cycles in enumerate(row.turn_cycles)}
    return {place: mask for place, mask in masks.items() if np.count_nonzero(mask) >= LEAST_TURNS}


def _latencies(row: HostRow, undisturbed: Mapping[int, npt.NDArray[np.bool_]]) -> list[npt.NDArray[np.int64]]:
    """Return the latencies (queries,) of these turns, by process."""
    return [row.latencies_ns[place][np.repeat(mask, row.turn_queries[place])] for place, mask in undisturbed.items()]


def _is_imprecise(processes: Sequence[npt.NDArray[np.int64]]) -> bool:
    return len(processes) < 2 or known_within(processes, percentiles.median_ci95_ns(processes)) > KNOWN_WITHIN


def note_slowed(row: HostRow, disturbed: Collection[int]) -> None:
    """Record of each process of a row in which share of its turns something slowed the rows."""
    shares = [float(np.isin(cycles, list(disturbed)).mean()) for cycles in row.turn_cycles]
    row.conditions = [replace(seen, slowed=share) for seen, share in zip(row.conditions, shares, strict=True)]


def leave_out(row: HostRow, disturbed: Collection[int]) -> None:
    """Remove a row's turns in the disturbed cycles, and the processes that have too few others."""
    undisturbed = _undisturbed(row, disturbed)
    row.rounds_left_out += len(row.latencies_ns) - len(undisturbed)
    row.latencies_ns = _latencies(row, undisturbed)
    row.turn_queries = [row.turn_queries[place][mask] for place, mask in undisturbed.items()]
    row.turn_cycles = [row.turn_cycles[place][mask] for place, mask in undisturbed.items()]
    row.conditions = [row.conditions[place] for place in undisturbed]
