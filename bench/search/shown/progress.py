"""What a search prints while it runs: a line for each trial that ends, with the best so far and the time left."""

from bench.search.formatting import figure_text, percent
from bench.search.front import figure, interval, top1
from bench.search.result import SearchResult, Trial
from bench.search.shown.sentences import settings_words, title_words
from bench.search.spec import SearchSpec


def trial_line(trial: Trial, result: SearchResult, spec: SearchSpec, left_s: float | None) -> str:
    """Return a trial, how it ended, the best so far and the time that is left, as one line."""
    parts = [f"trial {trial.number}: {trial.state}", settings_words(trial)]
    if trial.total is not None and trial.figures is not None:
        parts.append(f"{percent((trial.correct or 0) / trial.total)} of {trial.total:,} after {trial.epochs} epochs")
        parts += [_figure_words(trial, name) for name in sorted(spec.figures) if name in trial.figures]
    parts.append(f"{trial.seconds:.0f} s")
    parts += [trial.reason] if trial.reason else []
    return f"{', '.join(parts)}; {_best(result)}{_left(left_s)}"


def spec_line(spec: SearchSpec) -> str:
    """Return what is searched, and against what latencies are compared."""
    against = "" if spec.reference is None else f"; latencies against {spec.reference}"
    counted = f"; instructions on {spec.core}" if spec.core else ""
    return f"{title_words(spec.model, spec.minimize, spec.limits)}{against}{counted}"


def _figure_words(trial: Trial, name: str) -> str:
    low, high = interval(trial, name)
    text = figure_text(name, figure(trial, name))
    return text if low == high else f"{text} [{low:.3g}, {high:.3g}]"


def _best(result: SearchResult) -> str:
    if result.winner is None:
        return "none keeps the budget yet"
    best = result.trial(result.winner)
    smallest = figure_text(result.minimize, figure(best, result.minimize))
    return f"best so far: trial {best.number}, {percent(top1(best))}, {smallest}"


def _left(left_s: float | None) -> str:
    if left_s is None:
        return ""
    return f"; {max(0.0, left_s) / 60:.0f} min left"
