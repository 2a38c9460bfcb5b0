"""What a part of the torture counts, and the table of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """How often one thing was tried: every try survives or is lost."""

    part: str  # "inputs", "faults", ...: the module in tests/torture
    what: str  # the kind of input or fault, and what it was done to
    tried: int
    survived: int
    lost: int
    note: str = ""


def lost(counts: Iterable[Count]) -> int:
    """Return how many tries were lost: anything but 0 is a defect."""
    return sum(count.lost for count in counts)


def summary(counts: Sequence[Count]) -> str:
    """Return the line that a run ends with."""
    tried = ", ".join(
        f"{sum(count.tried for count in counts if count.part == part):,} {part.replace('_', ' ')}"
        for part in dict.fromkeys(count.part for count in counts)
    )
    return f"tried: {tried}; survived: {sum(count.survived for count in counts):,}; lost: {lost(counts):,}"


def table(counts: Sequence[Count]) -> list[str]:
    """Return the lines of a Markdown table."""
    rows = [("what", "tried", "survived", "lost", "")]
    rows += [(c.what, f"{c.tried:,}", f"{c.survived:,}", f"{c.lost:,}", c.note) for c in counts]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row).rstrip() + " |" for row in rows]
    return [lines[0], "|---|---:|---:|---:|---|", *lines[1:]]
