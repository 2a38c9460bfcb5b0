"""The table of a search's trials, the best on top: for the terminal and for Markdown."""

from collections.abc import Collection

from bench.analysis.wording import NONE
from bench.search.formatting import figure_number, figure_title
from bench.search.front import figure, top1
from bench.search.result import SearchResult, Trial
from bench.search.shown.sentences import settings_words, shared_settings
from common.tables import table_lines

LEFT_OUT_FIRST = ("s", "epochs", "variant")
WINNER, ON_FRONT = "winner", "front"
TEXTS = ("", "budget", "variant", "settings")  # columns that hold no numbers


def columns(search: SearchResult) -> list[str]:
    """Return the headings; the minimized figure stands beside the accuracy, those of the budget follow."""
    return ["trial", "", "top-1 %", *map(figure_title, _figures(search)), "budget", "epochs", "s", "variant", "settings"]


def rows(search: SearchResult) -> list[list[str]]:
    """Return the cells of each trial: the winner, those that keep the budget by their figure, the others, then the rest."""
    shared = shared_settings(search)  # they are said once
    return [_cells(search, trial, shared) for trial in sorted(search.trials, key=lambda trial: _order(search, trial))]


def terminal_table(search: SearchResult) -> list[str]:
    """Return the table's lines for a terminal."""
    return table_lines(columns(search), rows(search), LEFT_OUT_FIRST)


def number_columns(search: SearchResult) -> frozenset[int]:
    """Return the places of the columns that hold numbers."""
    return frozenset(place for place, column in enumerate(columns(search)) if column not in TEXTS)


def _figures(search: SearchResult) -> list[str]:
    """Return the figures that are shown: the minimized one, and those of the budget."""
    limits = [limit.figure for limit in search.limits if limit.figure != "top1"]
    return list(dict.fromkeys([search.minimize, *limits]))


def _order(search: SearchResult, trial: Trial) -> tuple[bool, int, bool, float, int]:
    states = {"done": 0, "pruned": 1, "failed": 2}
    size = figure(trial, search.minimize) if trial.state == "done" else 0.0
    return trial.number != search.winner, states[trial.state], not trial.keeps_budget, size, trial.number


def _cells(search: SearchResult, trial: Trial, shared: Collection[str]) -> list[str]:
    mark = WINNER if trial.number == search.winner else ON_FRONT if trial.number in search.front else ""
    figures = trial.figures or {}
    accuracy = f"{100 * top1(trial):.2f}" if trial.correct is not None else NONE
    numbers = [figure_number(name, figures.get(name)) for name in _figures(search)]
    made = f"{trial.variant} {trial.runtime or ''}".strip() if trial.variant else NONE
    effort = [str(trial.epochs), f"{trial.seconds:.0f}"]
    return [str(trial.number), mark, accuracy, *numbers, _budget(trial), *effort, made, settings_words(trial, shared)]


def _budget(trial: Trial) -> str:
    if trial.state != "done":
        return f"{trial.state}: {trial.reason}" if trial.reason else trial.state
    return "kept" if trial.keeps_budget else "broken"
