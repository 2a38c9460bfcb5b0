"""A search's figures in words: a name's unit is its ending, as `latency_ms` and `size_bytes` have it."""

from bench.analysis.wording import NONE, accuracy_verdict, milliseconds
from bench.search.front import figure
from bench.search.result import Limit, Trial
from common.paired_accuracy import Paired

SPOKEN = {"times the reference": "of the reference"}  # units in a sentence
TITLES = {"top1": "accuracy", "peak_rss_mb": "peak memory", "flash_bytes": "flash"}


def figure_name(name: str) -> str:
    """Return a figure's name without its unit: "latency" of "latency_ms"."""
    return TITLES.get(name, name.rsplit("_", 1)[0] if _unit(name) else name).replace("_", " ")


def figure_title(name: str) -> str:
    """Return a figure's name with its unit, for an axis or a column: "latency, ms"."""
    unit = "million" if name == "instructions" else _unit(name)
    return f"{figure_name(name)}, {unit}" if unit else figure_name(name)


def figure_number(name: str, value: float | None) -> str:
    """Return a figure without its unit, as its column in a table shows it."""
    if value is None:
        return NONE
    if name.endswith("_ms"):
        return milliseconds(value)
    return (
        f"{shown_value(name, value):,.3f}"
        if name.endswith(("_ratio", "instructions"))
        else f"{shown_value(name, value):,.1f}"
    )


def shown_value(name: str, value: float) -> float:
    """Return a figure in the unit of its title: bytes in kB, instructions in millions."""
    return value / 1e6 if name == "instructions" else value / 1000 if name.endswith("_bytes") else value


def figure_text(name: str, value: float) -> str:
    """Return a figure with its unit: "19.3 kB"."""
    if name == "top1":
        return percent(value)
    unit = SPOKEN.get(_unit(name), _unit(name)) if name != "instructions" else "million instructions"
    return f"{figure_number(name, value)} {unit}".rstrip()


def figure_words(trial: Trial, name: str) -> str:
    """Return a trial and its figure: "trial 3 with 19.3 kB"."""
    return f"trial {trial.number} with {figure_text(name, figure(trial, name))}"


def percent(share: float) -> str:
    """Return a share: "99.12 %"."""
    return f"{100 * share:.2f} %"


def limit_words(limit: Limit) -> str:
    """Return a line of the budget: "size at most 25.0 kB"."""
    border, value = ("at least", limit.least) if limit.least is not None else ("at most", limit.most)
    assert value is not None
    return f"{figure_name(limit.figure)} {border} {figure_text(limit.figure, value)}"


def accuracy_words(pair: Paired | None) -> str:
    """Return how the first of two trials compares in accuracy, and whether the sample shows it."""
    if pair is None:
        return "not compared picture by picture"
    return accuracy_verdict(pair)


def _unit(name: str) -> str:
    endings = {"_ms": "ms", "_bytes": "kB", "_mb": "MB", "_ratio": "times the reference"}
    return next((unit for ending, unit in endings.items() if name.endswith(ending)), "")
