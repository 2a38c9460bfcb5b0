"""The trials that a search has begun, and what those of one size of network have in common: all figures but the accuracy."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bench.search.budget_line import keeps_budget
from bench.search.spec import SearchSpec
from bench.search.trial_progress import TrialProgress


class TrialRegistry:
    """The trials by their numbers."""

    def __init__(self, trials: Iterable[TrialProgress], spec: SearchSpec) -> None:
        self._trials = {trial.number: trial for trial in trials}
        self._spec = spec

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[TrialProgress]:
        return iter(self._trials.values())

    def __getitem__(self, number: int) -> TrialProgress:
        return self._trials[number]

    def add(self, trial: TrialProgress) -> None:
        """Take in a trial that begins."""
        self._trials[trial.number] = trial

    def same(self, trial: TrialProgress) -> TrialProgress | None:
        """Return a trial that had the same settings."""
        key = (dict(trial.settings), trial.variant, trial.runtime)
        return next((one for one in self if (dict(one.settings), one.variant, one.runtime) == key), None)

    def size_of(self, trial: TrialProgress) -> str:
        """Return what the figures follow from, as a key: the options of build(), the variant and the runtime."""
        options = sorted((name, trial.settings[name]) for name in self._spec.space.build)
        return repr((options, trial.variant, trial.runtime))

    def figures_of_size(self, trial: TrialProgress) -> dict[str, float]:
        """Return the figures that a trial of the same size of network has; {}: none has any."""
        return next((dict(one.figures) for one in self._of_size(trial) if one.figures), {})

    def correct_figures(self, trial: TrialProgress, figures: dict[str, float]) -> None:
        """Give all trials of a trial's size of network, those that were measured, figures that are known better now."""
        for one in (found for found in self._of_size(trial) if found.figures):
            one.figures = {**one.figures, **figures}
            if one.trial is not None:
                again = replace(one.trial, figures=one.figures)
                one.trial = replace(again, keeps_budget=keeps_budget(again, self._spec.limits))

    def _of_size(self, trial: TrialProgress) -> list[TrialProgress]:
        return [one for one in self if self.size_of(one) == self.size_of(trial)]
