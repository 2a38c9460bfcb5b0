"""Successive halving: a trial is trained a little, and goes on only while it may still win.

After Jamieson and Talwalkar 2016 (AISTATS 51: 240) in the asynchronous form of Li et al. 2020 (MLSys 2: 230): a trial is
compared with those that were there before, and nobody waits. Better means here: no larger and more accurate.
"""

from collections.abc import Mapping, Sequence

from bench.search.budget_line import TOP1
from bench.search.formatting import figure_text, limit_words, percent
from bench.search.result import Limit
from bench.search.spec import SearchSpec
from bench.search.trial_progress import TrialProgress

RUNGS = (0.2, 0.5, 1.0)  # shares of a trial's epochs
KEPT = 3  # one of so many goes on, and every one that no other is better than
HOPELESS = 2  # so many trials have to show that an accuracy on the way is too low
MAX_ERRORS = 2.0  # times those of the most accurate trial, where the budget does not say how accurate to be


def why_not(trial: TrialProgress, others: Sequence[TrialProgress], spec: SearchSpec) -> str | None:
    """Return why a trial does not go on after the rung that it has reached, in a line; None: it goes on."""
    rivals = [one for one in others if one.rung >= trial.rung and one.number != trial.number]
    rivals = [one for one in rivals if why_outside(one.figures, spec) is None]
    too_large = why_outside(trial.figures, spec)
    return too_large or _too_inaccurate(trial, rivals, spec) or _beaten(trial, rivals, spec)


def why_outside(figures: Mapping[str, float], spec: SearchSpec) -> str | None:
    """Return which limit figures break that training does not change, in a line; None: they keep them all."""
    for limit in spec.limits:
        if limit.figure != TOP1 and breaks(figures, limit):
            found = figures.get(limit.figure)
            said = "not measured" if found is None else figure_text(limit.figure, found)
            return f"{said}, but {limit_words(limit)}"
    return None


def breaks(figures: Mapping[str, float], limit: Limit) -> bool:
    """Say whether a figure breaks a limit. A missing figure breaks it."""
    value = figures.get(limit.figure)
    if value is None:
        return True
    return (limit.most is not None and value > limit.most) or (limit.least is not None and value < limit.least)


def _too_inaccurate(trial: TrialProgress, rivals: Sequence[TrialProgress], spec: SearchSpec) -> str | None:
    """Say whether trials like this one have shown on the way that they do not become accurate enough."""
    place, least = trial.rung - 1, spec.least_top1
    if least is None:
        best = max((one.shown[place] for one in rivals), default=0.0)
        if 1 - trial.shown[place] > MAX_ERRORS * (1 - best):
            return f"{percent(trial.shown[place])} so far, where another had {percent(best)}"
        return None
    ended = [one for one in rivals if one.rung == len(RUNGS)]
    missed = [one for one in ended if one.shown[place] >= trial.shown[place] and one.shown[-1] < least]
    reached = [one for one in ended if one.shown[place] <= trial.shown[place] and one.shown[-1] >= least]
    if len(missed) >= HOPELESS and not reached:
        return f"{percent(trial.shown[place])} so far: {len(missed)} that had more here ended below {percent(least)}"
    return None


def _beaten(trial: TrialProgress, rivals: Sequence[TrialProgress], spec: SearchSpec) -> str | None:
    """Say whether too many trials are no larger and more accurate at the same rung."""
    place, figure = trial.rung - 1, spec.minimize
    better = [
        one for one in rivals if one.figures[figure] <= trial.figures[figure] and one.shown[place] > trial.shown[place]
    ]
    if len(better) < max(1, len(rivals) // KEPT):
        return None
    beaten = f"{len(better)} of {len(rivals)} trials"
    return f"{percent(trial.shown[place])} so far; no larger and more accurate here: {beaten}"
