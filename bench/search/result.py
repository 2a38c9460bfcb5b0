"""What a search knows of its trials: the file build/MODEL@search/search.json, which report and recommend read."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from common.json_record import Converted, Damaged, Defect, Record
from common.paired_accuracy import Paired

State = Literal["done", "pruned", "failed"]
Setting = int | float | str | bool


def _read_state(value: object, where: str) -> Any:
    if value not in get_args(State):
        raise Damaged(where, value, " or ".join(get_args(State)))
    return value


def _write_paired(pair: Paired | None) -> dict[str, float] | None:
    return None if pair is None else vars(pair)


def _read_paired(value: object, where: str) -> Paired | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"only_first", "only_second", "total"}:
        raise Damaged(where, value, "null or an object with only_first, only_second and total")
    numbers = {key: _read_count(number, f"{where}.{key}") for key, number in value.items()}
    if not 0 < numbers["total"] >= numbers["only_first"] + numbers["only_second"]:
        raise Damaged(where, value, "counts that are not above their total")
    return Paired(**numbers)


def _read_count(value: object, where: str) -> float:
    if not _is_number(value) or value < 0:  # type: ignore[operator]  # a number, as _is_number has seen
        raise Damaged(where, value, "a number from 0 on")
    return value  # type: ignore[return-value]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _odd_figures(figures: Mapping[str, object] | None) -> Iterator[Defect]:
    for name, value in (figures or {}).items():
        if not _is_number(value) or value < 0:  # type: ignore[operator]
            yield Defect(f"figures.{name}", value, "a number from 0 on")


def _odd_answers(correct: int | None, total: int | None) -> Iterator[Defect]:
    if (correct is None) != (total is None):
        yield Defect("correct", correct, "a number wherever there is a total, and null where there is none")
    elif correct is not None and total is not None and not 0 <= correct <= total > 0:
        yield Defect("correct", correct, f"0 to {total}, of at least one picture")


@dataclass(frozen=True)
class Limit(Record):
    """A line of the budget: what the figure must at least or at most be."""

    figure: str  # a key of Trial.figures, or "top1"
    least: float | None = None
    most: float | None = None

    def defects(self) -> Iterator[Defect]:
        """Yield a limit that limits nothing, or both ways."""
        if (self.least is None) == (self.most is None):
            yield Defect("least", self.least, "either a least or a most")


@dataclass(frozen=True)
class Trial(Record):
    """A point of the space, trained for some epochs, converted and measured; or the reason why there is none."""

    number: int
    settings: Mapping[str, Setting]
    state: Annotated[State, Converted(_read_state, str)]
    epochs: int  # how many it was trained for; pruned trials stop early
    seconds: float
    variant: str | None = None  # the variant and runtime that the figures are of
    runtime: str | None = None
    correct: int | None = None  # of `total` validation pictures, never test pictures
    total: int | None = None
    # "latency_ms", "size_bytes", "arena_bytes", "instructions", ...; NAME_low and NAME_high: the interval of a measured one
    figures: Mapping[str, float] | None = None
    keeps_budget: bool | None = None
    reason: str | None = None  # why it failed or was pruned: one line

    def defects(self) -> Iterator[Defect]:
        """Yield what no trial can have: a done one without its figures, figures that are no numbers."""
        for name, value in self.settings.items():
            if not isinstance(value, (str, bool)) and not _is_number(value):
                yield Defect(f"settings.{name}", value, "a number, a text, true or false")
        yield from _odd_answers(self.correct, self.total)
        yield from _odd_figures(self.figures)
        if self.state == "done":
            for name in ("correct", "figures", "keeps_budget"):
                if getattr(self, name) is None:
                    yield Defect(name, None, "a value, since the trial is done")


@dataclass(frozen=True)
class Lead(Record):
    """How the best trial compares with the next: a lead, or a tie that the sample cannot decide."""

    leader: int
    next_best: int
    accuracy: Annotated[Paired | None, Converted(_read_paired, _write_paired)]
    is_tie: bool
    why: str


@dataclass(frozen=True)
class Step(Record):
    """A trial of the front with a larger figure than the winner's and a higher accuracy: what it would buy."""

    number: int
    accuracy: Annotated[Paired | None, Converted(_read_paired, _write_paired)]  # the winner first, this trial second


@dataclass(frozen=True)
class FinalTraining(Record):
    """The winner's settings trained with one seed by the whole recipe: the only look at the test pictures."""

    seed: int
    correct: int
    total: int
    figures: Mapping[str, float]

    def defects(self) -> Iterator[Defect]:
        """Yield counts and figures that cannot be."""
        yield from _odd_answers(self.correct, self.total)
        yield from _odd_figures(self.figures)


@dataclass(frozen=True)
class SearchResult(Record):
    """A search, running or ended: what was asked, its trials, and what it found."""

    model: str
    minimize: str
    limits: tuple[Limit, ...]
    trials: tuple[Trial, ...]
    front: tuple[int, ...]  # numbers of the trials that no other one beats in both accuracy and the minimized figure
    winner: int | None
    lead: Lead | None
    final: tuple[FinalTraining, ...]
    bundle: str | None  # the winner's deployable file
    steps: tuple[Step, ...] = ()  # the smallest figure first

    def trial(self, number: int) -> Trial:
        """Return the trial of a number. Raises KeyError where there is none."""
        return {trial.number: trial for trial in self.trials}[number]

    @property
    def done(self) -> tuple[Trial, ...]:
        """Return the trials that were trained to their end and measured."""
        return tuple(trial for trial in self.trials if trial.state == "done")

    def defects(self) -> Iterator[Defect]:
        """Yield trials with one number, numbers of trials that are not done, and trials without the minimized figure."""
        numbers = [trial.number for trial in self.trials]
        if len(set(numbers)) < len(numbers):
            yield Defect("trials", numbers, "a number of its own for each trial")
        done = {trial.number for trial in self.done}
        for trial in self.done:
            if self.minimize not in (trial.figures or {}):
                yield Defect("trials", trial.number, f"{self.minimize} among the figures of each trial that is done")
        named = {"front": self.front, "winner": () if self.winner is None else (self.winner,)}
        named["steps"] = tuple(step.number for step in self.steps)
        named["lead"] = () if self.lead is None else (self.lead.leader, self.lead.next_best)
        for key, wanted in named.items():
            if not done.issuperset(wanted):
                yield Defect(key, sorted(set(wanted) - done), "numbers of trials that are done")
