"""The sampler of `bench search` against random search, simulated from a recorded table of real trials.

`python -m tests.tools.search_against_random` prints it; docs/search.md has its figures. The table holds a grid of small
trainings of mnist_cnn_crop (tests/support/searching/recorded_trials.json says which). Between the grid's points the share
of errors is interpolated linearly, filters and rate on logarithmic axes; the number of parameters follows from the filters.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.search.budget_line import broken, excess
from bench.search.front import figure, front, top1
from bench.search.result import Limit, Trial
from bench.search.study import sampler
from common.tables import table_lines

if TYPE_CHECKING:
    import optuna

TABLE = Path(__file__).resolve().parent.parent / "support" / "searching" / "recorded_trials.json"
LOGARITHMIC = ("filters", "learning_rate")
TOTAL = 100_000  # pictures that a simulated trial answers: the table has no noise of its own to add
SEEDS, TRIALS = 30, 32
SIZE = "parameters"
MakeSampler = Callable[[int], "optuna.samplers.BaseSampler"]


@dataclass(frozen=True)
class Table:
    """A grid of recorded trials."""

    axes: Mapping[str, Sequence[float]]  # ascending
    errors: Sequence[float]  # a share of the validation pictures for each point of the grid, the last axis fastest
    parameters: Sequence[int]  # for each value of `filters`

    @staticmethod
    def read(path: Path = TABLE) -> "Table":
        """Read the recorded table."""
        document = json.loads(path.read_text())
        return Table(
            document["axes"], [1 - right / document["total"] for right in document["right"]], document["parameters"]
        )

    @cached_property
    def _interpolated(self) -> Any:
        from scipy.interpolate import RegularGridInterpolator

        grid = [_place(name, np.array(values)) for name, values in self.axes.items()]
        return RegularGridInterpolator(grid, np.array(self.errors).reshape([len(values) for values in grid]))

    def trial(self, number: int, settings: Mapping[str, float], limits: Sequence[Limit]) -> Trial:
        """Return the trial that such settings would have given."""
        error = float(self._interpolated([_place(name, settings[name]) for name in self.axes])[0])
        size = float(np.interp(settings["filters"], self.axes["filters"], self.parameters))
        right = round(TOTAL * (1 - error))
        done = Trial(number, settings, "done", 1, 0.0, correct=right, total=TOTAL, figures={SIZE: size}, keeps_budget=True)
        return done if not broken(done, limits) else Trial(**{**vars(done), "keeps_budget": False})


def _place(name: str, value: Any) -> Any:
    return np.log(value) if name in LOGARITHMIC else value


def simulated(table: Table, make: MakeSampler, seed: int, trials: int, limits: Sequence[Limit]) -> list[Trial]:
    """Return the trials of one search whose proposals a sampler makes."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=make(seed))
    space = {name: _axis(name, values) for name, values in table.axes.items()}
    done = []
    for number in range(trials):
        asked = study.ask(space)
        trial = table.trial(number, asked.params, limits)
        asked.set_user_attr("excess", [excess(trial, limit) for limit in limits])
        study.tell(asked, (top1(trial), figure(trial, SIZE)))
        done.append(trial)
    return done


def _axis(name: str, values: Sequence[float]) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    if name == "filters":
        return IntDistribution(int(values[0]), int(values[-1]))
    return FloatDistribution(values[0], values[-1], log=name in LOGARITHMIC)


def smallest(trials: Sequence[Trial]) -> float:
    """Return the fewest parameters of a trial that keeps the budget; infinite where none does."""
    return min((figure(trial, SIZE) for trial in trials if trial.keeps_budget), default=float("inf"))


def fewest_errors(trials: Sequence[Trial]) -> float:
    """Return the smallest share of errors, in percent, of a trial that keeps the budget; 100 where none does."""
    return min((100 * (1 - top1(trial)) for trial in trials if trial.keeps_budget), default=100.0)


def area_above(trials: Sequence[Trial], table: Table) -> float:
    """Return the mean share of errors, in percent, of the front over the logarithm of the size: less is better."""
    low, high = np.log(table.parameters[0]), np.log(table.parameters[-1])
    numbers = front(trials, SIZE)
    points = sorted((trial for trial in trials if trial.number in numbers), key=lambda trial: figure(trial, SIZE))
    places = [low, *(np.log(figure(trial, SIZE)) for trial in points), high]
    heights = [100.0, *(100 * (1 - top1(trial)) for trial in points)]
    return float(np.dot(np.diff(places), heights) / (high - low))


def random_sampler(seed: int) -> "optuna.samplers.BaseSampler":
    """Return Optuna's random search."""
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


@dataclass(frozen=True)
class Asked:
    """A question to both samplers, and what is compared of their trials: less is better."""

    words: str
    limits: tuple[Limit, ...]
    score: Callable[[Sequence[Trial], Table], float]


QUESTIONS = (
    Asked("smallest with at least 92 %, parameters", (Limit("top1", least=0.92),), lambda trials, _: smallest(trials)),
    Asked("errors with at most 4,000 parameters, %", (Limit(SIZE, most=4_000),), lambda trials, _: fewest_errors(trials)),
    Asked("mean errors of the front without a budget, %", (), area_above),
)


@dataclass(frozen=True)
class Compared:
    """What both samplers reached, with the same number of trials."""

    pairs: tuple[tuple[float, float], ...]  # (the search's, random's) for each seed

    @property
    def medians(self) -> tuple[float, float]:
        return median(own for own, _ in self.pairs), median(other for _, other in self.pairs)

    @property
    def better(self) -> int:
        return sum(own < other for own, other in self.pairs)

    @property
    def worse(self) -> int:
        return sum(own > other for own, other in self.pairs)


def compare(table: Table, asked: Asked, trials: int = TRIALS, seeds: int = SEEDS) -> Compared:
    """Search with both samplers, with as many trials each, once a seed."""
    pairs = []
    for seed in range(seeds):
        own, other = (simulated(table, make, seed, trials, asked.limits) for make in (sampler, random_sampler))
        pairs.append((asked.score(own, table), asked.score(other, table)))
    return Compared(tuple(pairs))


def main() -> int:
    """Print the comparison for each question and several numbers of trials."""
    table = Table.read()
    rows = []
    for asked in QUESTIONS:
        for trials in (16, 32, 64):
            found = compare(table, asked, trials)
            medians = [f"{value:,.1f}" for value in found.medians]
            rows.append([asked.words, str(trials), *medians, str(found.better), str(found.worse)])
    columns = ["question", "trials", "median", "at random", f"better of {SEEDS}", "worse"]
    sys.stdout.write("\n".join(table_lines(columns, rows)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
