"""Why a time is not valid, in words for people who do not measure; the notes of the report have the details."""

from collections.abc import Callable, Mapping

from bench.results.row import IMPRECISE, ResultRow
from bench.results.validity import BETWEEN_REASONS, MIN_PROCESSES, slowed_at_best, typical


def plain_doubts(row: ResultRow) -> list[str]:
    """Return a sentence for each reason why a row's time is not valid; none: it is valid.

    A reason without a name is a board's own, or of an older file, and stands as it is.
    """
    latency = row.latency
    if latency.valid:
        return []
    named = [name for name in latency.flags or () if name in _SENTENCES]
    reasons = (latency.why_invalid or "it is not known why").split(BETWEEN_REASONS)
    others = reasons[: max(0, len(reasons) - len(latency.flags or ()))]
    return [*(f"its time is not valid: {other}" for other in others), *(_SENTENCES[name](row) for name in named)]


def _too_few(row: ResultRow) -> str:
    return f"it was timed only {row.latency.queries:,} times"


def _imprecise(row: ResultRow) -> str:
    if row.latency.processes < MIN_PROCESSES:
        return "it was timed in one process only, which does not show how processes differ"
    return f"its time is known only within {100 * known_within(row):.0f} %"


def known_within(row: ResultRow) -> float:
    """Return how far the farther end of the interval of a row's p50 is from it, as a part of it."""
    p50 = row.latency.p50
    return max(p50.ci95[1] - p50.ms, p50.ms - p50.ci95[0]) / p50.ms


def _slowed(row: ResultRow) -> str:
    known = [process.slowed for process in row.conditions if process.slowed is not None]
    share = f" in {100 * slowed_at_best(known):.0f} % of its turns" if known else ""
    return f"something else on the machine slowed it{share}"


def _waited(row: ResultRow) -> str:
    share = typical([process.waited for process in row.conditions])
    how_long = "" if share is None else f" for {100 * share:.0f} % of its time"
    return f"other programs kept it waiting{how_long}"


def _load_elsewhere(row: ResultRow) -> str:
    share = typical([process.elsewhere for process in row.conditions])
    how_much = "" if share is None else f" ({100 * share:.0f} % of it)"
    return f"other programs kept the machine busy{how_much} while it was measured"


_SENTENCES: Mapping[str, Callable[[ResultRow], str]] = {
    "too_few_queries": _too_few,
    IMPRECISE: _imprecise,
    "not_steady": lambda _: "it was still becoming faster when its time was taken",
    "slowed": _slowed,
    "waited": _waited,
    "load_elsewhere": _load_elsewhere,
    "frequency_changed": lambda _: "the processor's clock changed while it was measured",
    "throttled": lambda _: "the processor was slowed down, as it is when it is too hot, while it was measured",
}
