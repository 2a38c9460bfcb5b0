"""Which variant to ship, by the measurements alone: the fastest that answers as float32 does, and what it brings."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.evidence import accuracy_of, model_name
from bench.pairs import Pair
from bench.ratio import ratio
from bench.results import Results, Row, has_no_time, latencies_ns
from bench.words import accuracy_verdict, artifact_name, pair_words, times

SHIPPED_FORMATS = frozenset({"tflite", "onnx"})
KEEPS_SHARE = 0.99  # of float's accuracy: MLPerf's rule for quantized models
CLEARLY_SMALLER = 1.1
ALIKE = 1.1  # a wide interval alone makes nothing as fast as the fastest


@dataclass(frozen=True)
class Advice:
    """What to ship of one model on one device."""

    model: str
    device: str
    row: Row
    why: str
    faster_but: str | None  # what would be faster still, and what it costs
    provisional: str | None  # why the timing behind it is not to be trusted


def advise(results: Results, found: Sequence[Pair]) -> list[Advice]:
    """Return what to ship of each model on each device, in the rows' order."""
    by_row = {pair.row["samples"]["key"]: pair for pair in found}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in results.rows:
        if row["format"] in SHIPPED_FORMATS and not has_no_time(row):
            groups.setdefault((model_name(row), row["device"]), []).append(row)
    return [_advise(results, model, device, rows, by_row) for (model, device), rows in groups.items()]


def _advise(results: Results, model: str, device: str, rows: list[Row], by_row: dict[str, Pair]) -> Advice:
    as_good = [row for row in rows if _as_good(row, by_row)] or rows
    chosen = fastest_and_smallest(results, as_good)
    faster_but = _faster_but(results, chosen, rows, by_row)
    return Advice(model, device, chosen, _why(chosen, by_row), faster_but, _doubt(chosen, rows))


def _doubt(chosen: Row, rows: Sequence[Row]) -> str | None:
    """Say how far the timing behind a choice can be trusted; None: wholly."""
    invalid = sum(not row["latency"]["valid"] for row in rows)
    if invalid == 0:
        return None
    if not chosen["latency"]["valid"]:
        return f"its own timing is not valid ({chosen['latency']['why_invalid']}): measure again on a quiet machine"
    return f"the timing of {invalid} of the {len(rows)} rows that it was chosen from is not valid"


def _as_good(row: Row, by_row: dict[str, Pair]) -> bool:
    """Tell whether a row's accuracy is not distinguishably below its float32's; float32 itself is."""
    pair = by_row.get(row["samples"]["key"])
    if pair is None or pair.accuracy is None:
        return bool(row["variant"] == "float32")
    return not pair.accuracy.distinguishable or pair.accuracy.drop < 0


def fastest_and_smallest(results: Results, rows: Sequence[Row]) -> Row:
    """Return the fastest row; among those not distinguishable from it in time the smallest, then the most accurate."""
    fastest = min(rows, key=lambda row: float(row["latency"]["p50_ms"]))
    near = [row for row in rows if row["latency"]["p50_ms"] <= ALIKE * fastest["latency"]["p50_ms"]]
    alike = [row for row in near if row is fastest or not _slower(results, row, fastest)]
    least_bytes = min(row["artifact"]["size_bytes"] for row in alike)
    small = [row for row in alike if row["artifact"]["size_bytes"] <= CLEARLY_SMALLER * least_bytes]
    return max(small, key=lambda row: (row["accuracy"]["top1"] if accuracy_of(row) else 0.0, -row["latency"]["p50_ms"]))


def _slower(results: Results, row: Row, fastest: Row) -> bool:
    """Tell whether a row is distinguishably slower; where there are too few processes, by the medians."""
    found = ratio(latencies_ns(results, row), latencies_ns(results, fastest))
    return found.value > 1 and (found.distinguishable or found.low is None)


def _why(chosen: Row, by_row: dict[str, Pair]) -> str:
    pair = by_row.get(chosen["samples"]["key"])
    if pair is not None:
        return f"against float32 in the same runtime: {pair_words(pair)}"
    if chosen["variant"] == "float32":
        return "nothing measured here is faster at the same accuracy"
    return "no float32 row of the same runtime to hold it against"


def _faster_but(results: Results, chosen: Row, pool: Sequence[Row], by_row: dict[str, Pair]) -> str | None:
    """Name the fastest row that is distinguishably faster than the choice and keeps 99 % of float's accuracy."""
    found = []
    for row in pool:
        pair = by_row.get(row["samples"]["key"])
        if row is chosen or pair is None or pair.accuracy is None:
            continue
        gain = ratio(latencies_ns(results, chosen), latencies_ns(results, row))
        least = (1 - KEEPS_SHARE) * pair.baseline["accuracy"]["top1"]
        if gain.distinguishable and gain.value > 1 and pair.accuracy.interval()[1] <= least:
            found.append((gain, row, pair))
    if not found:
        return None
    gain, row, pair = max(found, key=lambda candidate: candidate[0].value)
    return f"{artifact_name(row)} is {times(gain)}, but {accuracy_verdict(pair.accuracy)} than float32"
