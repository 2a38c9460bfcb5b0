"""What a search knows of its trials: the file build/MODEL@search/search.json, which report and recommend read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from common.paired_accuracy import Paired

State = Literal["done", "pruned", "failed"]
Setting = int | float | str | bool


@dataclass(frozen=True)
class Limit:
    """A line of the budget: what the figure must at least or at most be."""

    figure: str  # a key of Trial.figures, or "top1"
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Trial:
    """A point of the space, trained for some epochs, converted and measured; or the reason why there is none."""

    number: int
    settings: Mapping[str, Setting]
    state: State
    epochs: int  # how many it was trained for; pruned trials stop early
    seconds: float
    variant: str | None = None  # the variant and runtime that the figures are of
    runtime: str | None = None
    correct: int | None = None  # of `total` validation pictures, never test pictures
    total: int | None = None
    figures: Mapping[str, float] | None = (
        None  # "latency_ms", "latency_ratio", "size_bytes", "arena_bytes", "instructions", ...
    )
    keeps_budget: bool | None = None
    reason: str | None = None  # why it failed or was pruned: one line


@dataclass(frozen=True)
class Lead:
    """How the best trial compares with the next: a lead, or a tie that the sample cannot decide."""

    leader: int
    next_best: int
    accuracy: Paired | None
    is_tie: bool
    why: str


@dataclass(frozen=True)
class FinalTraining:
    """The winner's settings trained with one seed by the whole recipe: the only look at the test pictures."""

    seed: int
    correct: int
    total: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class SearchResult:
    """A search, running or ended: its question, its trials, and what it found."""

    model: str
    minimize: str
    limits: tuple[Limit, ...]
    trials: tuple[Trial, ...]
    front: tuple[int, ...]  # numbers of the trials that no other one beats in both accuracy and the minimized figure
    winner: int | None
    lead: Lead | None
    final: tuple[FinalTraining, ...]
    bundle: str | None  # the winner's deployable file
