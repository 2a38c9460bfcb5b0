"""How a trial stands to the lines of a budget: by how much it breaks each, and which trial is nearest to keeping all."""

from collections.abc import Sequence
from dataclasses import replace

from bench.search.front import top1
from bench.search.result import Limit, SearchResult, Trial

TOP1 = "top1"
TIMED = {"latency_ratio", "latency_ms"}
NOISY = TIMED | {"peak_rss_mb"}  # what processes measure; the other figures are counted
MIN_ERROR = 1e-4  # below one picture of 10,000, an allowed error is too small to divide an excess by


def found(trial: Trial, limit: Limit) -> float | None:
    """Return a trial's figure that a limit is about; None where it has none."""
    return top1(trial) if limit.figure == TOP1 else (trial.figures or {}).get(limit.figure)


def excess(trial: Trial, limit: Limit) -> float:
    """Return by what share a done trial is over a limit, below 0 where it keeps it; infinite where it has no such figure.

    A share of the allowed errors for an accuracy, as in `bench recommend`: 99.0 % where 99.2 % are asked for is 25 % over.
    """
    value = found(trial, limit)
    if value is None:
        return float("inf")
    if limit.most is not None:
        return value / limit.most - 1 if limit.most else value
    assert limit.least is not None
    if limit.figure == TOP1:
        return (1 - value) / max(1 - limit.least, MIN_ERROR) - 1
    return limit.least / value - 1 if value else float("inf")


def broken(trial: Trial, limits: Sequence[Limit]) -> list[Limit]:
    """Return the limits that a done trial does not keep, by its point estimates."""
    return [limit for limit in limits if excess(trial, limit) > 0]


def keeps_budget(trial: Trial, limits: Sequence[Limit]) -> bool | None:
    """Say whether a trial keeps the budget, by its point estimates; None for one without an accuracy."""
    return not broken(trial, limits) if trial.total else None


def trained_in_full(search: SearchResult) -> Trial:
    """Return the winner with what its final trainings show: their mean accuracy, and the figures of the packed file."""
    assert search.winner is not None
    right, total = (sum(counts) for counts in zip(*((one.correct, one.total) for one in search.final), strict=True))
    return replace(search.trial(search.winner), correct=right, total=total, figures=search.final[0].figures)


def broken_in_full(search: SearchResult) -> list[Limit]:
    """Return the limits that the winner breaks when it is trained in full; noisy figures might do so by chance."""
    if not search.final:
        return []
    return broken(trained_in_full(search), [limit for limit in search.limits if limit.figure not in NOISY])


def nearest(trials: Sequence[Trial], limits: Sequence[Limit]) -> Trial | None:
    """Return the done trial whose worst excess is smallest; None where no trial is done."""
    done = [trial for trial in trials if trial.state == "done"]
    return min(done, key=lambda trial: max((excess(trial, limit) for limit in limits), default=0.0), default=None)
