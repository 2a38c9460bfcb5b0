"""How sure a choice of what to ship is, and what would make it surer, in words for people who do not measure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.float_pairs import BASELINE, Pair
from bench.analysis.plain_doubts import known_within, plain_doubts
from bench.budgets.kinds import KINDS
from bench.results.row import ResultRow
from bench.results.store import Results
from bench.results.time_ratio import time_ratio
from common.verdict import Verdict

MAX_DROP = KINDS["max_top1_drop"].default or 0.0  # of accuracy against float32, as a share: `bench recommend` has the same
QUIET = "measure again while nothing else runs on this machine"
LONGER = "measure longer: `--mode quick` or `--mode normal`"
SURE, FAIRLY, OPEN = "Sure", "Fairly sure", "Not sure yet"


@dataclass(frozen=True)
class Confidence:
    """How sure a choice is."""

    word: str  # SURE, FAIRLY or OPEN
    because: str
    surer: str | None  # what would make it surer; None where it is sure


def how_sure(results: Results, chosen: ResultRow, as_good: Sequence[ResultRow], pair: Pair | None) -> Confidence:
    """Say how sure it is to ship `chosen`, whose rivals are the rows that are as accurate.

    A rival whose time is not known matters only where it may be faster.
    """
    accuracy = _doubt_of_accuracy(chosen, pair)
    times = plain_doubts(chosen)
    if accuracy or (times and not chosen.latency.only_imprecise):
        reasons, cures = ([accuracy[0]], [accuracy[1]]) if accuracy else ([], [])
        if times:
            cures.insert(0, LONGER if chosen.latency.only_imprecise else QUIET)
        return Confidence(OPEN, "; ".join([*times, *reasons]), "; ".join(cures))
    known = _what_is_known(chosen, pair)
    rivals = [row for row in as_good if row is not chosen and _may_be_faster(results, row, chosen)]
    if rivals:
        count = "one other file" if len(rivals) == 1 else f"{len(rivals)} other files"
        beside = f"{known}; but {count}, as accurate, may be faster: their time is not known well enough"
        return Confidence(FAIRLY, beside, f"{QUIET}, or with `--mode normal`")
    if times:
        return Confidence(FAIRLY, known, LONGER)
    return Confidence(SURE, known, None)


def _doubt_of_accuracy(chosen: ResultRow, pair: Pair | None) -> tuple[str, str] | None:
    """Return why it is not known that a choice is as accurate as float32, and what would show it; None: it is known."""
    if pair is None and chosen.subject.variant != BASELINE:
        return "there is no float32 to compare it with", "measure the float32 file of the same runtime too"
    if pair is not None and (pair.accuracy is None or pair.accuracy.verdict(MAX_DROP) is not Verdict.PASS):
        return "the test pictures do not show that it is as accurate as float32", "test on more pictures"
    return None


def _what_is_known(chosen: ResultRow, pair: Pair | None) -> str:
    """Return how well time and accuracy of a choice are known."""
    time = f"its time is known within {max(0.1, 100 * known_within(chosen)):.1f} %"
    if pair is None or pair.accuracy is None:
        return f"{time}, and it is the float32 file itself"
    pictures = f"{pair.accuracy.total:,.0f} pictures show that it loses at most {100 * MAX_DROP:g} points of accuracy"
    return f"{time}, and {pictures}"


def _may_be_faster(results: Results, row: ResultRow, chosen: ResultRow) -> bool:
    """Say whether a row, whose time is not valid, may be faster than the choice."""
    if row.latency.valid:
        return False  # it was compared, and the choice won
    found = time_ratio(results, row, chosen)
    return found.low is None or found.low < 1
