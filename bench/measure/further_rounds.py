"""Which rounds must be measured again, and which are left out: rows that took turns show what slowed all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.measure.row import HostRow
from bench.results.validity import KNOWN_WITHIN, known_within
from bench.stats import percentiles
from bench.stats.disturbed_rounds import disturbed, slowdowns


@dataclass(frozen=True)
class Rated:
    """Rounds of the rows of a model, rated."""

    rounds: int
    disturbed: tuple[int, ...]  # places of the rounds in which all rows were slower
    slowdown: float  # of the worst of them, as a part of the usual time
    imprecise: int  # rows that the other rounds do not show precisely enough

    @property
    def sound(self) -> int:
        """Return how many rounds were not disturbed."""
        return self.rounds - len(self.disturbed)

    @property
    def text(self) -> str:
        """Return for people what is in doubt."""
        if self.disturbed:
            numbers = ", ".join(str(place + 1) for place in self.disturbed)
            return f"something slowed all rows by up to {100 * self.slowdown:.0f} % in round {numbers}"
        return f"{self.imprecise} rows are known only within more than {100 * KNOWN_WITHIN:.0f} %"


def rate(rows: Sequence[HostRow]) -> Rated:
    """Rate the rounds of rows that took turns in the same ones."""
    p50_ns = np.array([[float(np.median(process)) for process in row.latencies_ns] for row in rows])
    slow = tuple(disturbed(p50_ns))
    slowdown = float(max(slowdowns(p50_ns)[list(slow)], default=0.0))
    return Rated(p50_ns.shape[1], slow, slowdown, sum(_is_imprecise(row, slow) for row in rows))


def _is_imprecise(row: HostRow, without: Sequence[int]) -> bool:
    kept = [process for place, process in enumerate(row.latencies_ns) if place not in without]
    return len(kept) < 2 or known_within(kept, percentiles.median_ci95_ns(kept)) > KNOWN_WITHIN


def leave_out(row: HostRow, places: Sequence[int]) -> None:
    """Remove what a row measured in some rounds; that they were left out stays known."""
    for place in sorted(places, reverse=True):
        del row.latencies_ns[place], row.turn_queries[place], row.conditions[place]
    row.rounds_left_out += len(places)
