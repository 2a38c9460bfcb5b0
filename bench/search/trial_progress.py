"""How far one trial is while the search runs: what the study (study.py) keeps of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.search.result import Setting, Trial

ON_THE_WAY = ("rung", "shown", "seconds", "cpu_s", "epochs", "correct", "total", "figures")


@dataclass
class TrialProgress:
    """A trial that was begun: how far it is, and what it showed on the way."""

    number: int
    settings: Mapping[str, Setting]
    variant: str
    runtime: str
    rung: int = 0  # how many rungs it has reached
    shown: list[float] = field(default_factory=list)  # its accuracy at each rung
    seconds: float = 0.0
    cpu_s: float = 0.0
    epochs: int = 0
    correct: int | None = None  # of `total` validation pictures, after so many epochs
    total: int | None = None
    figures: dict[str, float] = field(default_factory=dict)
    trial: Trial | None = None  # how it ended; None: it runs

    def to_json(self) -> dict[str, object]:
        """Return what the study keeps of a trial on its way."""
        return {name: getattr(self, name) for name in ON_THE_WAY}
