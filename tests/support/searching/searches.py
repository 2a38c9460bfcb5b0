"""Made-up searches: trials with figures and settings, as `bench search` would write them."""

from dataclasses import replace
from typing import Any

from bench.search.result import Limit, SearchResult, State, Trial
from common.paired_accuracy import Paired

TOTAL = 5000  # validation pictures


def trial(number: int, correct: int, size_bytes: float, **changes: Any) -> Trial:
    """Return a trial that is done: int8 in LiteRT."""
    made = Trial(
        number=number,
        settings={"filters": 4 + number, "learning_rate": 0.001},
        state="done",
        epochs=9,
        seconds=30.0,
        variant="int8",
        runtime="litert",
        correct=correct,
        total=TOTAL,
        figures={"size_bytes": size_bytes, "latency_ms": size_bytes / 10_000},
        keeps_budget=True,
    )
    return replace(made, **changes)


def paired(one: Trial, other: Trial) -> Paired:
    """Compare two trials as if three pictures differed either way, beside the difference of their right answers."""
    more = (one.correct or 0) - (other.correct or 0)
    return Paired(3 + max(more, 0), 3 + max(-more, 0), TOTAL)


def unfinished(number: int, state: State, reason: str) -> Trial:
    """Return a trial that failed or was pruned."""
    return Trial(number, {"filters": 4 + number, "learning_rate": 0.001}, state, epochs=2, seconds=4.0, reason=reason)


def search(*trials: Trial, limits: tuple[Limit, ...] = (), **changes: Any) -> SearchResult:
    """Return a search for the smallest file."""
    made = SearchResult("mnist_cnn_crop", "size_bytes", limits, trials, (), None, None, (), None)
    return replace(made, **changes)
