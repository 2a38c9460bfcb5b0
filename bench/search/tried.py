"""The trials that a search has begun, and what those of one size of network have in common: all figures but the accuracy."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bench.search.budget_line import keeps_budget
from bench.search.known import Known
from bench.search.question import Question


class Tried:
    """The trials by their numbers."""

    def __init__(self, trials: Iterable[Known], question: Question) -> None:
        self._trials = {trial.number: trial for trial in trials}
        self._question = question

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Known]:
        return iter(self._trials.values())

    def __getitem__(self, number: int) -> Known:
        return self._trials[number]

    def add(self, trial: Known) -> None:
        """Take in a trial that begins."""
        self._trials[trial.number] = trial

    def same(self, trial: Known) -> Known | None:
        """Return a trial that had the same settings."""
        key = (dict(trial.settings), trial.variant, trial.runtime)
        return next((one for one in self if (dict(one.settings), one.variant, one.runtime) == key), None)

    def size_of(self, trial: Known) -> str:
        """Return what the figures follow from, as a key: the options of build(), the variant and the runtime."""
        options = sorted((name, trial.settings[name]) for name in self._question.space.build)
        return repr((options, trial.variant, trial.runtime))

    def figures_of_size(self, trial: Known) -> dict[str, float]:
        """Return the figures that a trial of the same size of network has; {}: none has any."""
        return next((dict(one.figures) for one in self._of_size(trial) if one.figures), {})

    def correct_figures(self, trial: Known, figures: dict[str, float]) -> None:
        """Give all trials of a trial's size of network, those that were measured, figures that are known better now."""
        for one in (found for found in self._of_size(trial) if found.figures):
            one.figures = {**one.figures, **figures}
            if one.trial is not None:
                again = replace(one.trial, figures=one.figures)
                one.trial = replace(again, keeps_budget=keeps_budget(again, self._question.limits))

    def _of_size(self, trial: Known) -> list[Known]:
        return [one for one in self if self.size_of(one) == self.size_of(trial)]
