"""How sure a choice of what to ship is, and what would make it surer, in words for people who do not measure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.float_pairs import BASELINE, Pair
from bench.budgets.kinds import KINDS
from bench.results.row import ResultRow
from bench.results.store import Results
from bench.results.time_ratio import time_ratio
from common.verdict import Verdict

MAX_DROP = KINDS["max_top1_drop"].default or 0.0  # of accuracy against float32, as a share: `bench recommend` has the same
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
    if not chosen.latency.valid and not chosen.latency.only_imprecise:
        reason = f"its speed was disturbed while it was measured: {chosen.latency.why_invalid}"
        return Confidence(OPEN, reason, "measure again while nothing else runs on this machine")
    if pair is not None and (pair.accuracy is None or pair.accuracy.verdict(MAX_DROP) is not Verdict.PASS):
        return Confidence(OPEN, "the test pictures do not show that it is as accurate as float32", "test on more pictures")
    if pair is None and chosen.subject.variant != BASELINE:
        return Confidence(OPEN, "there is no float32 to compare it with", "measure the float32 file of the same runtime too")
    known = _what_is_known(chosen, pair)
    rivals = [row for row in as_good if row is not chosen and _may_be_faster(results, row, chosen)]
    if rivals:
        count = "one other file" if len(rivals) == 1 else f"{len(rivals)} other files"
        beside = f"{known}; but {count}, as accurate, may be faster: their time is not known well enough"
        return Confidence(FAIRLY, beside, "measure again while nothing else runs on this machine, or with `--mode normal`")
    if not chosen.latency.valid:
        return Confidence(FAIRLY, known, "measure longer: `--mode quick` or `--mode normal`")
    return Confidence(SURE, known, None)


def _what_is_known(chosen: ResultRow, pair: Pair | None) -> str:
    """Return how well time and accuracy of a choice are known."""
    p50 = chosen.latency.p50
    reach = max(p50.ci95[1] - p50.ms, p50.ms - p50.ci95[0]) / p50.ms
    time = f"its time is known within {max(0.1, 100 * reach):.1f} %"
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
