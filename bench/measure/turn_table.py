"""The turns of the rows of a model side by side: which of them something slowed."""

from collections import defaultdict
from collections.abc import Collection

import numpy as np

from bench.stats.disturbed_turns import disturbed


class TurnTable:
    """The median latency of each turn, by row and cycle. A cycle is a turn of each row that still takes turns."""

    def __init__(self) -> None:
        self._p50_ns: defaultdict[int, dict[str, float]] = defaultdict(dict)  # by cycle, then by row

    def add(self, cycle: int, row: str, p50_ns: float) -> None:
        """Add the turn that a row took in a cycle."""
        self._p50_ns[cycle][row] = p50_ns

    def disturbed(self, rows: Collection[str]) -> set[int]:
        """Return the cycles in which something slowed these rows."""
        cycles = [cycle for cycle, turns in self._p50_ns.items() if turns.keys() & set(rows)]
        took_turns = [row for row in rows if any(row in self._p50_ns[cycle] for cycle in cycles)]
        if not took_turns:
            return set()
        table = np.array([[self._p50_ns[cycle].get(row, np.nan) for cycle in cycles] for row in took_turns])
        return {cycle for cycle, slow in zip(cycles, disturbed(table), strict=True) if slow}
