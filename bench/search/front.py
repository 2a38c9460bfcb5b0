"""Which trials are worth a look: those that no other one beats in both accuracy and the minimized figure."""

from collections.abc import Sequence

from bench.search.result import Trial


def top1(trial: Trial) -> float:
    """Return the share of validation pictures that a done trial answers right, 0..1."""
    assert trial.correct is not None
    assert trial.total is not None
    return trial.correct / trial.total


def figure(trial: Trial, name: str) -> float:
    """Return a figure of a done trial. Raises KeyError where it has none of that name."""
    return (trial.figures or {})[name]


def interval(trial: Trial, name: str) -> tuple[float, float]:
    """Return the ends of a figure's interval: NAME_low and NAME_high where it is measured, itself where it is counted."""
    figures = trial.figures or {}
    return figures.get(f"{name}_low", figures[name]), figures.get(f"{name}_high", figures[name])


def front(trials: Sequence[Trial], minimize: str) -> tuple[int, ...]:
    """Return the numbers of the done trials on the front, the smallest figure first.

    Another trial beats one if it is at least as good in accuracy and in the figure, and better in one of them. Point
    estimates are compared, so equal trials are all on it.
    """
    done = sorted((trial for trial in trials if trial.state == "done"), key=lambda one: (figure(one, minimize), -top1(one)))
    found: list[Trial] = []
    for trial in done:
        if not found or top1(trial) > top1(found[-1]) or _as_good(trial, found[-1], minimize):
            found.append(trial)
    return tuple(trial.number for trial in found)


def _as_good(trial: Trial, other: Trial, minimize: str) -> bool:
    return (top1(trial), figure(trial, minimize)) == (top1(other), figure(other, minimize))
