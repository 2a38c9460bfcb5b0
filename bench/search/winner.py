"""The winner of a search, and why it and not the next: a candidate leads only where the sample shows it.

Where the budget says how accurate the model must be, the winner is the trial with the smallest figure that keeps the
budget. Where it does not, the winner is the most accurate one; of those that the sample cannot tell from it, the one with
the smallest figure. Else a network that only guesses, the smallest of all, would win.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.search.budget_line import TOP1
from bench.search.formatting import accuracy_words, figure_words, percent
from bench.search.front import figure, front, interval, top1
from bench.search.result import Lead, SearchResult, Step, Trial
from common.paired_accuracy import Paired

Pairs = Callable[[Trial, Trial], Paired | None]  # two trials on the same validation pictures; None: not known


def concluded(search: SearchResult, paired: Pairs) -> SearchResult:
    """Return a search with its front, its winner, the reason for it, and what larger figures would buy."""
    on_front = front(search.trials, search.minimize)
    candidates = [trial for trial in search.done if trial.keeps_budget]
    if not candidates:
        return replace(search, front=on_front, winner=None, lead=None, steps=())
    choose = _smallest if any(limit.figure == TOP1 for limit in search.limits) else _most_accurate
    winner, following = choose(candidates, search.minimize, paired)
    lead = None if following is None else _lead(winner, following, search.minimize, paired)
    larger = [trial for trial in map(search.trial, on_front) if _buys(trial, winner, search.minimize)]
    steps = tuple(Step(trial.number, paired(winner, trial)) for trial in larger)
    return replace(search, front=on_front, winner=winner.number, lead=lead, steps=steps)


def contenders(search: SearchResult) -> list[Trial]:
    """Return the trials whose figure is not shown to be larger than the winner's, the smallest first."""
    if search.winner is None:
        return []
    winner = search.trial(search.winner)
    kept = [trial for trial in search.done if trial.keeps_budget and not _is_smaller(winner, trial, search.minimize)]
    return sorted(kept, key=lambda trial: figure(trial, search.minimize))


def _buys(trial: Trial, winner: Trial, minimize: str) -> bool:
    return figure(trial, minimize) > figure(winner, minimize) and top1(trial) > top1(winner)


def _smallest(candidates: Sequence[Trial], minimize: str, paired: Pairs) -> tuple[Trial, Trial | None]:
    """Choose by the figure; among those whose figures cannot be told apart, a shown accuracy decides."""
    ordered = sorted(candidates, key=lambda trial: (figure(trial, minimize), -top1(trial)))
    least = ordered[0]
    tied = [trial for trial in ordered if not _is_smaller(least, trial, minimize)]
    best = max(tied, key=top1)
    winner = best if _is_more_accurate(best, least, paired) else least
    others = [trial for trial in ordered if trial is not winner]
    return winner, others[0] if others else None


def _most_accurate(candidates: Sequence[Trial], minimize: str, paired: Pairs) -> tuple[Trial, Trial | None]:
    """Choose by the accuracy; among those that the sample cannot tell from the best, the smallest figure decides."""
    best = max(candidates, key=lambda trial: (top1(trial), -figure(trial, minimize)))
    tied = [trial for trial in candidates if trial is best or not _is_more_accurate(best, trial, paired)]
    winner = min(tied, key=lambda trial: (figure(trial, minimize), -top1(trial)))
    if winner is not best:
        return winner, best
    others = [trial for trial in candidates if trial is not winner]
    return winner, max(others, key=top1, default=None)


def _is_smaller(one: Trial, other: Trial, minimize: str) -> bool:
    """Say whether a figure is shown to be smaller: the intervals do not overlap."""
    return interval(one, minimize)[1] < interval(other, minimize)[0]


def _is_more_accurate(one: Trial, other: Trial, paired: Pairs) -> bool:
    """Say whether the sample shows that one trial is more accurate."""
    pair = paired(one, other)
    return pair is not None and pair.drop > 0 and pair.distinguishable


def _lead(winner: Trial, following: Trial, minimize: str, paired: Pairs) -> Lead:
    """Say why the winner and not the next."""
    pair = paired(winner, following)
    smaller = _is_smaller(winner, following, minimize)
    shown = smaller or _is_more_accurate(winner, following, paired)
    sizes = f"{figure_words(winner, minimize)} against {figure_words(following, minimize)}"
    rights = f"{percent(top1(winner))} against {percent(top1(following))} of the validation pictures are right"
    turned = None if pair is None else Paired(pair.only_second, pair.only_first, pair.total)  # words are about the second
    why = f"{sizes}; {rights}: {accuracy_words(turned)}"
    return Lead(winner.number, following.number, pair, is_tie=not shown, why=why)
