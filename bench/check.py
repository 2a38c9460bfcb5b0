"""`bench check`: every budget held against the rows of bench.json, each verdict with its interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import interval, stats
from bench.budget import Budgets, Limit, Rule, refuse_unmatched
from bench.device_match import DEVICES, names_of
from bench.emulated import NOT_A_LATENCY, is_emulated
from bench.evidence import accuracy_of
from bench.interval import ERROR, Interval
from bench.measurement import NS_PER_MS, Samples
from bench.results import Results, Row, is_software
from bench.run import REFERENCES
from bench.verdict import Finding, Verdict, judge
from convert.paired import Paired

MEASURE_LONGER = "measure longer: `python -m bench check --measure --max-time 300`"
MEASURED_BY_PROCESS = frozenset(
    {"max_p50_ms", "max_p90_ms", "max_p99_ms", "max_first_inference_ms", "max_load_ms", "max_ratio"}
)
PERCENTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}


@dataclass(frozen=True)
class Measured:
    """What was found of one figure: an interval, or the reason why there is none."""

    interval: Interval | None = None
    samples: str = ""
    reason: str = ""
    advice: str = ""
    skipped: bool = False  # nothing of the kind was measured at all


def check(results: Results, budgets: Budgets, error: float = ERROR, devices: Path = DEVICES) -> list[Finding]:
    """Hold every budget against the rows that it is about, in the file's order.

    `error` is that of each verdict. Raises EdgeproofError where a rule matches nothing, or two are equally narrow.
    """
    rules = budgets.limited("results")
    refuse_unmatched(rules, [*results.rows, *results.skipped], "the results")
    findings = check_rows(results.rows, results, budgets, error, devices)
    for rule in rules:
        findings += _unmeasured(rule, results, devices)
    return sorted(findings, key=lambda finding: (finding.place.line, finding.subject))


def check_rows(
    rows: Sequence[Row], results: Results, budgets: Budgets, error: float = ERROR, devices: Path = DEVICES
) -> list[Finding]:
    """Hold the budgets against some rows of the results, whatever rules are about others."""
    findings: list[Finding] = []
    for row in rows:
        names = names_of(row["device"], results.environments, devices)
        findings += [_hold(limit, row, results, error) for limit in budgets.of(row, names, "results")]
    return findings


def _hold(limit: Limit, row: Row, results: Results, error: float) -> Finding:
    measured = _measure(limit, row, results, error)
    verdict = Verdict.SKIPPED if measured.skipped else Verdict.INCONCLUSIVE
    if measured.interval is not None and not measured.reason:
        verdict = judge(measured.interval, limit.value, limit.kind.at_most)
    return Finding(
        limit.name,
        limit.value,
        limit.kind.unit,
        limit.place,
        row["samples"]["key"],
        verdict,
        measured.interval,
        measured.samples,
        measured.reason,
        measured.advice or _advice(verdict, limit),
    )


def _advice(verdict: Verdict, limit: Limit) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "test on more pictures, or leave more room" if limit.kind.share else MEASURE_LONGER
    return f"find what changed, or move the budget in {limit.place}" if verdict is Verdict.FAIL else ""


def _unmeasured(rule: Rule, results: Results, devices: Path) -> list[Finding]:
    """Return a finding for each budget of a rule that no row was held against: its device is another, or its row skipped."""
    if any(rule.matches(row, names_of(row["device"], results.environments, devices)) for row in results.rows):
        return []
    skipped = [row for row in results.skipped if rule.matches(row, names_of(row["device"], results.environments, devices))]
    limits = [limit for limit in rule.limits if limit.kind.against == "results"]
    if skipped:
        verdict, reason = Verdict.INCONCLUSIVE, f"its row was skipped: {skipped[0]['reason']}"
    else:
        here = ", ".join(sorted({row["device"] for row in results.rows}))
        verdict, reason = Verdict.NOT_HERE, f"holds on {rule.selectors.get('device', '*')}; measured was {here}"
    return [Finding(x.name, x.value, x.kind.unit, x.place, rule.text, verdict, reason=reason) for x in limits]


def _measure(limit: Limit, row: Row, results: Results, error: float) -> Measured:
    unfit = "" if limit.key not in MEASURED_BY_PROCESS else no_time(row)
    if unfit:
        return Measured(reason=unfit, skipped=True)
    if limit.key == "max_ratio":
        return _ratio(limit, row, results, error)
    return FIGURES[limit.key](row, results, error)


def no_time(row: Row) -> str:
    """Say why none of a row's milliseconds may be judged, whatever they are; nothing where they may."""
    if is_emulated(row["device"]):
        return NOT_A_LATENCY
    return "a software device: its time means nothing" if is_software(row) else ""


def processes_ms(row: Row, results: Results, figure: str) -> list[float] | None:
    """Return a latency percentile of each process in milliseconds; None where one has too few queries to carry it."""
    processes = Samples.from_arrays(results.arrays, row["samples"]["key"]).latency_ns
    if figure == "p50":
        return [float(np.median(process)) / NS_PER_MS for process in processes]
    estimates = [stats.early_stopping_percentile_ns(process, PERCENTILES[figure]) for process in processes]
    return [ns / NS_PER_MS for ns in estimates if ns is not None] if None not in estimates else None


def _latency(figure: str) -> Callable[[Row, Results, float], Measured]:
    def measure(row: Row, results: Results, error: float) -> Measured:
        latency = row["latency"]
        values = processes_ms(row, results, figure)
        samples = f"{latency['processes']} processes, {latency['queries']:,} queries"
        if values is None:
            return Measured(
                None, samples, f"a process has too few queries to carry its {figure}", "measure with --mode normal"
            )
        found = interval.of_processes(values, error)
        reason = "" if latency["valid"] else f"not valid: {latency['why_invalid']}"
        if found is None and not reason:
            return Measured(None, samples, "one process shows nothing of how processes differ", MEASURE_LONGER)
        return Measured(found, samples, reason, "measure on a quiet machine" if reason else "")

    return measure


def _startup(name: str) -> Callable[[Row, Results, float], Measured]:
    place = ("import_ms", "load_ms", "first_inference_ms").index(name)

    def measure(row: Row, results: Results, error: float) -> Measured:  # noqa: ARG001  # every figure is measured alike
        processes = row["startup"].get("processes_ms", ())
        found = interval.of_processes([process[place] for process in processes], error)
        if found is None:
            return Measured(None, "", "the start-up of single processes is not in these results", "measure again")
        return Measured(found, f"{len(processes)} processes")

    return measure


def _peak_rss(row: Row, results: Results, error: float) -> Measured:  # noqa: ARG001
    return Measured(
        Interval.exact(row["memory"]["peak_rss_bytes"] / 1e6), f"largest of {row['latency']['processes']} processes"
    )


def _size(row: Row, results: Results, error: float) -> Measured:  # noqa: ARG001
    return Measured(Interval.exact(row["artifact"]["size_bytes"] / 1e3), "the file")


def _instructions(row: Row, results: Results, error: float) -> Measured:  # noqa: ARG001
    count = row.get("instructions")
    if not count:
        return Measured(reason="no instruction count in this row", skipped=True)
    return Measured(Interval.exact(count["steady_inference"] / 1e6), f"a count on {count['core']}")


def _top1(row: Row, results: Results, error: float) -> Measured:  # noqa: ARG001
    accuracy = accuracy_of(row)
    if accuracy is None:
        return NO_ACCURACY
    return Measured(interval.of_share(accuracy["correct"], accuracy["total"], error), _pictures(accuracy["total"]))


def _reference(row: Row, results: Results) -> Row | None:
    """Return the float row that a row is held against: Keras's, else float32 in its runtime; on its own device first."""
    floats = [r for r in results.rows if r["variant"] == "float32" and _answered_alike(r, row)]
    floats.sort(key=lambda other: bool(other["device"] != row["device"]))
    for runtime in (*REFERENCES, row["runtime"]):
        for other in floats:
            if other["runtime"] == runtime:
                return other
    return None


def _answered_alike(one: Row, other: Row) -> bool:
    """Tell whether two rows are of one model and answered pictures of one data set."""
    first, second = accuracy_of(one), accuracy_of(other)
    if first is None or second is None or first["dataset_sha256"] != second["dataset_sha256"]:
        return False
    return all(one[name] == other[name] for name in ("model", "name"))


def _predictions(row: Row, results: Results) -> npt.NDArray[np.uint16]:
    return Samples.from_arrays(results.arrays, row["samples"]["key"]).predictions


NO_ACCURACY = Measured(reason="accuracy was not measured", advice="measure with labelled pictures")
NO_REFERENCE = Measured(
    reason="no float32 row of this model in the results", advice="measure the .keras file or float32 too"
)


def _drop(row: Row, results: Results, error: float) -> Measured:
    """Return the accuracy lost against float, from the answers of both.

    Of the pictures that both answer differently at most one of them is right; without labels the most is assumed, which
    can only widen the interval.
    """
    reference = _reference(row, results)
    if reference is None:
        return NO_ACCURACY if accuracy_of(row) is None else NO_REFERENCE
    answers, floats = _predictions(row, results), _predictions(reference, results)
    if len(answers) != len(floats):
        reason = f"float32 answered {len(floats):,} pictures and this row {len(answers):,}"
        return Measured(reason=reason, advice="measure both on the same pictures: --mode normal")
    lost = reference["accuracy"]["correct"] - row["accuracy"]["correct"]
    differ = int((answers != floats).sum())
    pair = Paired((differ + lost) / 2, (differ - lost) / 2, len(answers))
    return Measured(interval.of_drop(pair, error), f"{_pictures(len(answers))}, {differ} answered differently")


def _agreement(row: Row, results: Results, error: float) -> Measured:
    reference = _reference(row, results)
    if reference is None:
        return NO_ACCURACY if accuracy_of(row) is None else NO_REFERENCE
    answers, floats = _predictions(row, results), _predictions(reference, results)
    common = min(len(answers), len(floats))
    same = int((answers[:common] == floats[:common]).sum())
    return Measured(interval.of_share(same, common, error), _pictures(common))


def _ratio(limit: Limit, row: Row, results: Results, error: float) -> Measured:
    partner = partner_of(limit.to, row, results)
    if partner is None:
        return Measured(reason=f"no {limit.to} row in the same runtime", advice=f"measure {limit.to} in the same run")
    over, under = (processes_ms(r, results, limit.figure) for r in (row, partner))
    if over is None or under is None:
        return Measured(reason=f"too few queries for a {limit.figure} in each process", advice="measure with --mode normal")
    samples = f"{len(over)} and {len(under)} processes"
    if row.get("run") is None or row["run"] != partner.get("run"):
        return Measured(
            None, samples, "the two were not measured interleaved in one run", f"run {limit.to} and this in one run"
        )
    found = interval.of_ratio(over, under, error)
    return Measured(found, samples, "" if found else "one process shows nothing of how processes differ")


def partner_of(variant: str, row: Row, results: Results) -> Row | None:
    """Return the row that a max_ratio compares with: that variant, all else alike."""
    alike = ("model", "name", "format", "runtime", "device", "accelerator", "threads")
    for other in results.rows:
        if other["variant"] == variant and all(other[name] == row[name] for name in alike):
            return other
    return None


def _pictures(count: int) -> str:
    return f"{count:,} pictures"


FIGURES: Mapping[str, Callable[[Row, Results, float], Measured]] = {
    "max_p50_ms": _latency("p50"),
    "max_p90_ms": _latency("p90"),
    "max_p99_ms": _latency("p99"),
    "max_first_inference_ms": _startup("first_inference_ms"),
    "max_load_ms": _startup("load_ms"),
    "max_peak_rss_mb": _peak_rss,
    "max_size_kb": _size,
    "max_instructions_m": _instructions,
    "min_top1": _top1,
    "max_top1_drop": _drop,
    "min_agreement": _agreement,
}
