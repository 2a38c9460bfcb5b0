"""A search's figures in words: a name's ending is its unit, as in `latency_ms` and `size_bytes`."""

from dataclasses import dataclass

from bench.analysis.wording import NONE, accuracy_verdict, milliseconds
from bench.search.front import figure
from bench.search.result import Limit, Trial
from common.paired_accuracy import Paired

NAMES = {"top1": "accuracy", "peak_rss_mb": "peak memory"}  # of figures that their key does not name


@dataclass(frozen=True)
class Unit:
    """How figures with one ending are shown."""

    title: str  # on an axis, and above a column
    spoken: str  # behind a figure
    size: float = 1.0  # in the figure's own unit
    decimals: int = 1


UNITS = {
    "_ms": Unit("ms", "ms"),
    "_bytes": Unit("kB", "kB", 1000),
    "_mb": Unit("MB", "MB"),
    "_ratio": Unit("times the reference", "of the reference", decimals=3),
    "instructions": Unit("million", "million instructions", 1_000_000, 3),
}
NO_UNIT = Unit("", "")


def figure_name(name: str) -> str:
    """Return a figure's name without its unit: "latency" of "latency_ms"."""
    ending = next((ending for ending in UNITS if ending.startswith("_") and name.endswith(ending)), "")
    return NAMES.get(name, name.removesuffix(ending)).replace("_", " ")


def figure_title(name: str) -> str:
    """Return a figure's name with its unit, for an axis or a column: "latency, ms"."""
    return ", ".join(filter(None, (figure_name(name), _unit(name).title)))


def figure_number(name: str, value: float | None) -> str:
    """Return a figure without its unit, as its column in a table shows it."""
    if value is None:
        return NONE
    return milliseconds(value) if name.endswith("_ms") else f"{shown_value(name, value):,.{_unit(name).decimals}f}"


def shown_value(name: str, value: float) -> float:
    """Return a figure in the unit of its title: bytes in kB, instructions in millions."""
    return value / _unit(name).size


def figure_text(name: str, value: float) -> str:
    """Return a figure with its unit: "19.3 kB"."""
    if name == "top1":
        return percent(value)
    return f"{figure_number(name, value)} {_unit(name).spoken}".rstrip()


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
    text = f"{border} {figure_text(limit.figure, value)}"
    return text if text.endswith(figure_name(limit.figure)) else f"{figure_name(limit.figure)} {text}"


def accuracy_words(pair: Paired | None) -> str:
    """Return how the second of two trials compares in accuracy, and whether the sample shows it."""
    return "not compared picture by picture" if pair is None else accuracy_verdict(pair)


def _unit(name: str) -> Unit:
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), NO_UNIT)
