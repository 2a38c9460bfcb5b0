"""The sampler of `bench search` against random search, simulated from a recorded table of real trials.

`python -m tests.tools.search_against_random` prints it; docs/search.md has its figures. The table holds a grid of small
trainings of mnist_cnn_crop (tests/support/recorded_trials.json says which). Between the grid's points the share of errors is
interpolated linearly, filters and rate on logarithmic axes; the number of parameters follows from the filters.
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

if TYPE_CHECKING:
    import optuna

TABLE = Path(__file__).resolve().parent.parent / "support" / "recorded_trials.json"
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


def area(trials: Sequence[Trial], table: Table) -> float:
    """Return the share of the plot, of logarithmic size and accuracy, that the trials' front leaves below it."""
    low, high = np.log(table.parameters[0]), np.log(table.parameters[-1])
    numbers = front(trials, SIZE)
    points = [trial for trial in trials if trial.number in numbers]
    ordered = sorted(points, key=lambda trial: figure(trial, SIZE))
    ends = [*(np.log(figure(trial, SIZE)) for trial in ordered[1:]), high]
    return sum(
        float((end - np.log(figure(trial, SIZE))) * top1(trial)) for trial, end in zip(ordered, ends, strict=True)
    ) / float(high - low)


def random_sampler(seed: int) -> "optuna.samplers.BaseSampler":
    """Return Optuna's random search."""
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


@dataclass(frozen=True)
class Compared:
    """Both ways of searching over the same seeds: the smallest that keeps the budget, and the area below the front."""

    sizes: tuple[tuple[float, float], ...]  # (the search's, random's) for each seed
    areas: tuple[tuple[float, float], ...]

    @property
    def median_size(self) -> tuple[float, float]:
        """Return the medians of the smallest size: the search's, random's."""
        return median(own for own, _ in self.sizes), median(other for _, other in self.sizes)

    @property
    def median_area(self) -> tuple[float, float]:
        """Return the medians of the area below the front."""
        return median(own for own, _ in self.areas), median(other for _, other in self.areas)

    def lines(self) -> list[str]:
        """Return the comparison for people."""
        better = sum(own < other for own, other in self.sizes)
        equal = sum(own == other for own, other in self.sizes)
        own, other = self.median_size
        lines = [
            f"{len(self.sizes)} seeds; smallest that keeps the accuracy, parameters: median {own:,.0f} against {other:,.0f}",
            f"  smaller in {better}, equal in {equal}, larger in {len(self.sizes) - better - equal}",
        ]
        own, other = self.median_area
        larger = sum(own > other for own, other in self.areas)
        return [*lines, f"area below the front: median {own:.4f} against {other:.4f}, larger in {larger}"]


def compare(table: Table, least_top1: float, trials: int = TRIALS, seeds: int = SEEDS) -> Compared:
    """Search with both samplers, with as many trials each, once a seed."""
    limits = [Limit("top1", least=least_top1)]
    found = [[simulated(table, make, seed, trials, limits) for make in (sampler, random_sampler)] for seed in range(seeds)]
    sizes = tuple((smallest(own), smallest(other)) for own, other in found)
    return Compared(sizes, tuple((area(own, table), area(other, table)) for own, other in found))


def main() -> int:
    """Print the comparison for several accuracies and numbers of trials."""
    table = Table.read()
    for least, trials in ((0.90, 16), (0.90, 32), (0.94, 32), (0.94, 64)):
        sys.stdout.write(f"at least {100 * least:g} %, {trials} trials:\n")
        sys.stdout.write("".join(f"  {line}\n" for line in compare(table, least, trials).lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
