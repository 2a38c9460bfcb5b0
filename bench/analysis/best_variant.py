"""Which variant to ship, decided by the measurements: the fastest that is shown to lose next to no accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.confidence import MAX_DROP, OPEN, Confidence, how_sure
from bench.analysis.float_pairs import BASELINE, Pair
from bench.analysis.quantized_lines import quantized_lines
from bench.analysis.wording import accuracy_lost, accuracy_verdict, artifact_name, plain_pair_words, times
from bench.results.row import ResultRow
from bench.results.store import Results
from bench.results.time_ratio import time_ratio
from common.paired_accuracy import Paired
from common.verdict import Verdict

SHIPPED_FORMATS = frozenset({"tflite", "onnx"})
KEEPS_SHARE = 0.99  # of float's accuracy: MLPerf's rule for quantized models
CLEARLY_SMALLER = 1.1
ALIKE = 1.1  # a row may take at most this much longer to count as fast as the fastest, however wide its interval is


@dataclass(frozen=True)
class Advice:
    """What to ship of one model on one device."""

    model: str
    device: str
    row: ResultRow
    why: str
    faster_but: str | None  # what would be faster still, and what it costs
    confidence: Confidence
    quantized: tuple[str, ...] = ()  # a line for each quantized variant: answers, accuracy lost, time

    @property
    def heading(self) -> str:
        """Return "Ship int8.tflite in LiteRT", or "Best so far: ..." while it is not sure yet."""
        return f"{'Best so far:' if self.confidence.word == OPEN else 'Ship'} {artifact_name(self.row.subject)}"


def advise(results: Results, found: Sequence[Pair]) -> list[Advice]:
    """Return what to ship of each model on each device, in the rows' order."""
    by_row = {pair.row.key: pair for pair in found}
    groups: dict[tuple[str, str], list[ResultRow]] = {}
    for row in results.rows:
        if row.subject.format in SHIPPED_FORMATS and row.why_no_latency is None:
            groups.setdefault((row.subject.model_name, row.subject.device), []).append(row)
    return [_advise(results, model, device, rows, by_row) for (model, device), rows in groups.items()]


def _advise(results: Results, model: str, device: str, rows: list[ResultRow], by_row: dict[str, Pair]) -> Advice:
    as_good = [row for row in rows if _as_good(row, by_row)] or rows
    chosen = fastest_and_smallest(results, as_good)
    faster_but = _faster_but(results, chosen, rows, by_row)
    lines = quantized_lines([by_row[row.key] for row in rows if row.key in by_row], results.environments)
    confidence = how_sure(results, chosen, as_good, by_row.get(chosen.key))
    return Advice(model, device, chosen, _why(chosen, by_row), faster_but, confidence, lines)


def _as_good(row: ResultRow, by_row: dict[str, Pair]) -> bool:
    """Say whether a row is shown to lose at most MAX_DROP of its float32's accuracy; float32 itself loses nothing."""
    pair = by_row.get(row.key)
    if pair is None or pair.accuracy is None:
        return row.subject.variant == BASELINE
    return pair.accuracy.verdict(MAX_DROP) is Verdict.PASS


def fastest_and_smallest(results: Results, rows: Sequence[ResultRow]) -> ResultRow:
    """Return the fastest row; among the rows that are not distinguishably slower, the smallest, then the most accurate."""
    fastest = min(rows, key=lambda row: row.latency.p50.ms)
    near = [row for row in rows if row.latency.p50.ms <= ALIKE * fastest.latency.p50.ms]
    alike = [row for row in near if row is fastest or not _slower(results, row, fastest)]
    min_bytes = min(row.artifact.size_bytes for row in alike)
    small = [row for row in alike if row.artifact.size_bytes <= CLEARLY_SMALLER * min_bytes]
    return max(small, key=lambda row: (row.accuracy.top1 if row.accuracy else 0.0, -row.latency.p50.ms))


def _slower(results: Results, row: ResultRow, fastest: ResultRow) -> bool:
    """Say whether a row is distinguishably slower; with too few processes for an interval, the medians decide."""
    found = time_ratio(results, row, fastest)
    return found.value > 1 and (found.distinguishable or found.low is None)


def _why(chosen: ResultRow, by_row: dict[str, Pair]) -> str:
    pair = by_row.get(chosen.key)
    if pair is not None:
        return plain_pair_words(pair)
    if chosen.subject.variant == BASELINE:
        return f"no faster row is shown to lose at most {100 * MAX_DROP:g} points of accuracy"
    return "no float32 row of the same runtime to compare with"


def _faster_but(results: Results, chosen: ResultRow, pool: Sequence[ResultRow], by_row: dict[str, Pair]) -> str | None:
    """Name the fastest row that is distinguishably faster than the choice, and why it is not chosen.

    A row that is shown to lose more than MAX_DROP is named if it still keeps 99 % of float's accuracy.
    """
    found = []
    for row in pool:
        pair = by_row.get(row.key)
        if row is chosen or pair is None or pair.accuracy is None or pair.baseline.accuracy is None:
            continue
        gain = time_ratio(results, chosen, row)
        least = (1 - KEEPS_SHARE) * pair.baseline.accuracy.top1
        unknown = pair.accuracy.verdict(MAX_DROP) is Verdict.INCONCLUSIVE
        if gain.distinguishable and gain.value > 1 and (unknown or pair.accuracy.judged_drop().high <= least):
            found.append((gain, row, pair.accuracy))
    if not found:
        return None
    gain, row, accuracy = max(found, key=lambda candidate: candidate[0].value)
    return f"{artifact_name(row.subject)} is {times(gain)}, but {_why_not(accuracy)}"


def _why_not(accuracy: Paired) -> str:
    """Return why a faster variant is not chosen: it loses too much, or the sample does not show that it does not."""
    if accuracy.verdict(MAX_DROP) is not Verdict.INCONCLUSIVE:
        return f"{accuracy_verdict(accuracy)} than float32"
    needed = accuracy.pictures_needed(MAX_DROP)
    more = f"{needed:,} pictures would show it" if needed else "more pictures would not show it"
    return (
        f"not shown to lose at most {100 * MAX_DROP:g} points on {accuracy.total:,.0f} pictures "
        f"({accuracy_lost(accuracy)}): {more}"
    )
