"""What a part of the torture tried, and what of it survived."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """One row of the table."""

    part: str
    what: str
    tried: int
    survived: int
    lost: int
    note: str = ""
