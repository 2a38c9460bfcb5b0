"""What a search found, in sentences: the winner and why, what the budget costs in accuracy, or what is nearest to it."""

from collections.abc import Collection, Sequence

from bench.search.budget_line import broken, broken_in_full, excess, found, nearest, trained_in_full
from bench.search.formatting import accuracy_words, figure_name, figure_text, figure_words, limit_words, percent
from bench.search.front import figure, top1
from bench.search.result import Limit, SearchResult, Setting, Step, Trial


def sentences(search: SearchResult) -> list[str]:
    """Return what there is to say, the most important first; each stands for itself."""
    said = [search_title(search), counted(search), *_shared(search)]
    if search.winner is None:
        return [*said, *_nothing_keeps(search)]
    return [*said, _won(search, search.trial(search.winner)), *_lead(search), *_costs(search), *_final(search)]


def search_title(search: SearchResult) -> str:
    """Return what was searched: the figure and the budget."""
    return title_words(search.model, search.minimize, search.limits)


def title_words(model: str, minimize: str, limits: Sequence[Limit]) -> str:
    """Return what is searched: "mnist_cnn: the smallest latency with accuracy at least 99.20 %"."""
    budget = " and ".join(map(limit_words, limits)) or "no limit"
    least = "fewest" if minimize == "instructions" else "smallest"
    return f"{model}: the {least} {figure_name(minimize)} with {budget}"


def counted(search: SearchResult) -> str:
    """Return how many trials there are, by how they ended."""
    states = [trial.state for trial in search.trials]
    ended = {"done": "to their end", "pruned": "stopped early", "failed": "failed"}
    parts = [f"{states.count(state)} {word}" for state, word in ended.items() if state in states]
    kept = sum(bool(trial.keeps_budget) for trial in search.done)
    detail = f": {', '.join(parts)}; {kept} kept the budget" if parts else ""
    return f"{len(states)} {'trial' if len(states) == 1 else 'trials'}{detail}"


def settings_words(trial: Trial, without: Collection[str] = ()) -> str:
    """Return a trial's settings: "filters 12, dropout 0.1"; nothing where all that it has are in `without`."""
    named = [f"{name} {_setting(value)}" for name, value in trial.settings.items() if name not in without]
    return ", ".join(named) if trial.settings else "the model's own settings"


def shared_settings(search: SearchResult) -> dict[str, Setting]:
    """Return the settings that are the same in all trials, if there are at least two."""
    first, *others = search.trials or (None,)
    if first is None or not others:
        return {}
    return {name: value for name, value in first.settings.items() if all(one.settings.get(name) == value for one in others)}


def _shared(search: SearchResult) -> list[str]:
    found = shared_settings(search)
    return [f"All trials have {', '.join(f'{name} {_setting(value)}' for name, value in found.items())}"] if found else []


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _won(search: SearchResult, winner: Trial) -> str:
    right = f"{percent(top1(winner))} of {winner.total:,} validation pictures right"
    made = f"{winner.variant} in {winner.runtime}, " if winner.variant and winner.runtime else ""
    return f"The winner is {figure_words(winner, search.minimize)}, {right} ({made}{settings_words(winner)})"


def _lead(search: SearchResult) -> list[str]:
    if search.lead is None:
        return ["It is the only trial that keeps the budget"]
    word = "A tie with the next" if search.lead.is_tie else "Why it and not the next"
    more = "; the sample does not decide between them" if search.lead.is_tie else ""
    return [f"{word}: {search.lead.why}{more}"]


def _costs(search: SearchResult) -> list[str]:
    """Say what the next larger trial of the front would buy, and the most accurate one."""
    assert search.winner is not None
    winner = search.trial(search.winner)
    if not search.steps:
        return [f"No trial with a larger {figure_name(search.minimize)} is more accurate"]
    ends = dict.fromkeys((search.steps[0].number, search.steps[-1].number))
    return [_buys(search, winner, step) for step in search.steps if step.number in ends]


def _buys(search: SearchResult, winner: Trial, step: Step) -> str:
    """Return a sentence such as "0.5 ms more buys 0.20 points: trial 9 with ..."."""
    larger = search.trial(step.number)
    more = figure_text(search.minimize, figure(larger, search.minimize) - figure(winner, search.minimize))
    points = f"{100 * (top1(larger) - top1(winner)):.2f} points"
    over = broken(larger, search.limits)
    outside = f", over the budget ({'; '.join(_over(larger, limit) for limit in over)})" if over else ""
    if step.accuracy is None:
        shown = "not compared picture by picture"
    elif step.accuracy.distinguishable:
        shown = "the sample shows that it is more accurate"
    else:
        shown = f"not shown by the sample: {accuracy_words(step.accuracy)}"
    bought = f"{more} more buys {points}"
    return f"{bought}: {figure_words(larger, search.minimize)}{outside}; {shown}"


def _nothing_keeps(search: SearchResult) -> list[str]:
    """Say which trial is nearest to the budget, and how far it is."""
    near = nearest(search.trials, search.limits)
    if near is None:
        return ["No trial was trained to its end: nothing is known yet", *_furthest(search)]
    over = broken(near, search.limits)
    how_far = "; ".join(_over(near, limit) for limit in over) or "its figures are within it, but not shown to be"
    return [f"No trial keeps the budget. The nearest is trial {near.number} ({settings_words(near)}): {how_far}"]


def _furthest(search: SearchResult) -> list[str]:
    """Say what the most accurate trial has shown that was stopped early."""
    stopped = [trial for trial in search.trials if trial.state == "pruned" and trial.correct is not None]
    if not stopped:
        return []
    best = max(stopped, key=top1)
    right = f"{percent(top1(best))} of {best.total:,} validation pictures after {best.epochs} epochs"
    why = f", stopped: {best.reason}" if best.reason else ""
    return [f"The most accurate so far is trial {best.number}: {right}{why} ({settings_words(best)})"]


def _over(trial: Trial, limit: Limit) -> str:
    """Return by how much a trial breaks a limit: "size 27.1 kB, 2.1 kB (8 %) over 25.0 kB"."""
    name, value = figure_name(limit.figure), found(trial, limit)
    if value is None:
        return f"{name} is not known"
    border = limit.most if limit.most is not None else limit.least
    assert border is not None
    side = "over" if limit.most is not None else "under"
    if limit.figure == "top1":
        return f"{name} {percent(value)}, {100 * (border - value):.2f} points {side} {percent(border)}"
    share = f" ({_percent_over(100 * excess(trial, limit))})" if border else ""
    away = figure_text(limit.figure, abs(value - border))
    return f"{name} {figure_text(limit.figure, value)}, {away}{share} {side} {figure_text(limit.figure, border)}"


def _percent_over(percent_over: float) -> str:
    """Return two digits at least: what is only just over the border is not 0 % over it."""
    return f"{percent_over:.0f} %" if percent_over >= 10 else f"{percent_over:.2g} %"


def _final(search: SearchResult) -> list[str]:
    """Say how the winner answers the test pictures, trained by the whole recipe, once a seed."""
    if not search.final:
        return []
    shares = [one.correct / one.total for one in search.final]
    seeds = f"{len(shares)} {'seed' if len(shares) == 1 else 'seeds'}"
    spread = f", {percent(min(shares))} to {percent(max(shares))}" if len(shares) > 1 else ""
    lines = [f"Trained with {seeds} by the whole recipe: {percent(sum(shares) / len(shares))} of the test pictures{spread}"]
    lines += _broken_in_full(search)
    measured = _final_figures(search)
    return [*lines, *([measured] if measured else []), *([f"The file to ship: {search.bundle}"] if search.bundle else [])]


def _broken_in_full(search: SearchResult) -> list[str]:
    """Say which limits the winner kept as a trial and does not keep now, and what to do."""
    over = "; ".join(_over(trained_in_full(search), limit) for limit in broken_in_full(search))
    return (
        [f"So it does not keep the budget: {over}. Search again under another --name with a tighter limit"] if over else []
    )


def _final_figures(search: SearchResult) -> str:
    names = dict.fromkeys(
        name for name in (search.minimize, *(limit.figure for limit in search.limits)) if name in search.final[0].figures
    )
    return "; ".join(f"{figure_name(name)} {_range([one.figures[name] for one in search.final], name)}" for name in names)


def _range(values: Sequence[float], name: str) -> str:
    low, high = figure_text(name, min(values)), figure_text(name, max(values))
    number, _, unit = low.partition(" ")
    return low if low == high else f"{number if high.endswith(f' {unit}') else low} to {high}"
