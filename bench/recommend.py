"""Picking the row that fits given budgets: three-valued, since an interval that straddles a budget decides nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from bench.advice import SHIPPED_FORMATS, fastest_and_smallest
from bench.emulated import NOT_A_LATENCY, is_emulated
from bench.evidence import accuracy_of, model_name
from bench.ratio import quantile_ci95_ns
from bench.results import Results, Row, has_no_time, latencies_ns
from bench.words import row_name
from device.classify import EdgeproofError

NS_PER_MS = 1e6
LEAST_ERROR = 1e-4  # an allowed error below one picture of 10,000 is no scale to measure a miss by


class Verdict(Enum):
    """What the sample says of one budget."""

    PASS = "pass"  # noqa: S105  # no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}


@dataclass(frozen=True)
class Budgets:
    """What a device allows; None: no matter."""

    max_p50_ms: float | None = None
    max_p90_ms: float | None = None
    min_top1: float | None = None  # 0..1
    max_size_kb: float | None = None  # of 1,000 bytes
    max_memory_mb: float | None = None  # peak resident, of 1,000,000 bytes


@dataclass(frozen=True)
class Finding:
    """One budget held against one row."""

    budget: str  # as the option is called
    verdict: Verdict
    found: str  # in words, with the interval
    excess: float  # how far beyond the budget the estimate lies, as a share of it; 0 or less: within


@dataclass(frozen=True)
class Judged:
    """A row with all its findings."""

    row: Row
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """FAIL beats INCONCLUSIVE beats PASS."""
        verdicts = {finding.verdict for finding in self.findings}
        return next((v for v in (Verdict.FAIL, Verdict.INCONCLUSIVE) if v in verdicts), Verdict.PASS)

    @property
    def worst_excess(self) -> float:
        return max((finding.excess for finding in self.findings), default=0.0)

    @property
    def open_findings(self) -> list[Finding]:
        """Return those that are not passed."""
        return [finding for finding in self.findings if finding.verdict is not Verdict.PASS]


@dataclass(frozen=True)
class Recommendation:
    """The row that fits, or the nearest."""

    verdict: Verdict
    chosen: Judged
    lines: tuple[str, ...]  # why, for people
    considered: tuple[Judged, ...]

    def to_json(self) -> dict[str, Any]:
        return {"verdict": self.verdict.value, "chosen": _judged_json(self.chosen), "why": list(self.lines)} | {
            "considered": [_judged_json(judged) for judged in self.considered]
        }


def recommend(results: Results, budgets: Budgets, wanted: Mapping[str, str | None]) -> Recommendation:
    """Pick one row. `wanted` may name a device, a runtime and a model. Raises EdgeproofError where none is left."""
    judged = tuple(judge(results, row, budgets) for row in candidates(results, wanted))
    passing = [one for one in judged if one.verdict is Verdict.PASS]
    if passing:
        row = fastest_and_smallest(results, [one.row for one in passing])
        chosen = next(one for one in passing if one.row is row)
        return Recommendation(Verdict.PASS, chosen, _why_chosen(chosen, passing, judged), judged)
    undecided = [one for one in judged if one.verdict is Verdict.INCONCLUSIVE]
    nearest = min(undecided or judged, key=lambda one: (max(0.0, one.worst_excess), one.row["latency"]["p50_ms"]))
    verdict = Verdict.INCONCLUSIVE if undecided else Verdict.FAIL
    return Recommendation(verdict, nearest, _why_none(nearest, judged, len(undecided)), judged)


def candidates(results: Results, wanted: Mapping[str, str | None]) -> list[Row]:
    """Return the rows of files that can be shipped and that are on the wanted device, runtime and model."""
    rows = [row for row in results.rows if row["format"] in SHIPPED_FORMATS and not has_no_time(row)]
    get: dict[str, Callable[[Row], str]] = {
        "model": model_name,
        "runtime": lambda row: str(row["runtime"]),
        "device": lambda row: str(row["device"]),
    }
    if is_emulated(str(wanted.get("device") or "")):
        raise EdgeproofError(f"device {wanted['device']!r}: {NOT_A_LATENCY}: nothing can be recommended for it")
    for name, value in wanted.items():
        there = sorted({get[name](row) for row in rows})
        if value is not None:
            rows = [row for row in rows if get[name](row) == value]
        if not rows:
            raise EdgeproofError(f"no row of {name} {value!r}: there are {', '.join(there) or 'none'}")
    return rows


def judge(results: Results, row: Row, budgets: Budgets) -> Judged:
    """Hold one row against each budget that is set."""
    findings = []
    for name, percentile, limit_ms in (("p50", 0.5, budgets.max_p50_ms), ("p90", 0.9, budgets.max_p90_ms)):
        if limit_ms is not None:
            findings.append(_judge_latency(results, row, name, percentile, limit_ms))
    if budgets.min_top1 is not None:
        findings.append(_judge_top1(row, budgets.min_top1))
    exact = (
        ("--max-size-kb", row["artifact"]["size_bytes"] / 1e3, budgets.max_size_kb, "kB"),
        ("--max-memory-mb", row["memory"]["peak_rss_bytes"] / 1e6, budgets.max_memory_mb, "MB of memory"),
    )
    for option, value, limit, unit in exact:
        if limit is not None:
            verdict = Verdict.PASS if value <= limit else Verdict.FAIL
            findings.append(Finding(option, verdict, f"{value:,.0f} {unit}", value / limit - 1))
    return Judged(row, tuple(findings))


def _judge_latency(results: Results, row: Row, name: str, percentile: float, limit_ms: float) -> Finding:
    """Hold a percentile against its budget: the whole interval must lie within it, or without.

    p90 is MLPerf's early-stopping estimate, itself an upper bound at 99 %: it must lie within, too.
    """
    option, latency = f"--max-{name}-ms", row["latency"]
    samples = latencies_ns(results, row)
    estimate_ms = float(np.quantile(np.concatenate(samples), percentile)) / NS_PER_MS
    excess = estimate_ms / limit_ms - 1
    if latency[f"{name}_ms"] is None:
        return Finding(option, Verdict.INCONCLUSIVE, f"no {name}: {latency['queries']} queries cannot carry one", excess)
    ends_ns = quantile_ci95_ns(samples, percentile)
    if ends_ns is None:
        return Finding(option, Verdict.INCONCLUSIVE, f"{name} {estimate_ms:.3g} ms of one process, no interval", excess)
    low_ms, high_ms = min(ends_ns[0] / NS_PER_MS, estimate_ms), max(ends_ns[1] / NS_PER_MS, latency[f"{name}_ms"])
    words = f"{name} {latency[f'{name}_ms']:.3g} ms ({low_ms:.3g} to {high_ms:.3g})"
    if not latency["valid"]:
        return Finding(option, Verdict.INCONCLUSIVE, f"{words}, not valid: {latency['why_invalid']}", excess)
    verdict = Verdict.PASS if high_ms <= limit_ms else Verdict.FAIL if low_ms > limit_ms else Verdict.INCONCLUSIVE
    return Finding(option, verdict, words, excess)


def _judge_top1(row: Row, least: float) -> Finding:
    option, accuracy = "--min-top1", accuracy_of(row)
    if accuracy is None:
        return Finding(option, Verdict.INCONCLUSIVE, "its accuracy was not measured", 0.0)
    (low, high), top1 = accuracy["ci95"], accuracy["top1"]
    verdict = Verdict.PASS if low >= least else Verdict.FAIL if high < least else Verdict.INCONCLUSIVE
    excess = (1 - top1) / max(1 - least, LEAST_ERROR) - 1
    return Finding(option, verdict, f"top-1 {top1:.4f} ({low:.4f} to {high:.4f})", excess)


def _why_chosen(chosen: Judged, passing: Sequence[Judged], judged: Sequence[Judged]) -> tuple[str, ...]:
    lines = [f"{row_name(chosen.row)}: {chosen.row['artifact']['path']}"]
    lines += [f"  {finding.budget}: {finding.found}" for finding in chosen.findings]
    others = [one for one in passing if one is not chosen]
    p50_ms = chosen.row["latency"]["p50_ms"]
    if not others:
        lines.append(f"  the only one of {len(judged)} rows that is shown to fit")
    else:
        fastest = min(others, key=lambda one: float(one.row["latency"]["p50_ms"]))
        beside = f"{row_name(fastest.row)}: p50 {fastest.row['latency']['p50_ms']:.3g} ms"
        first = p50_ms <= fastest.row["latency"]["p50_ms"]
        how = "the fastest" if first else "not distinguishable from the fastest, and smaller or more accurate"
        lines.append(f"  {how} of the {len(passing)} that fit, p50 {p50_ms:.3g} ms (next: {beside})")
    open_rows = [one for one in judged if one.verdict is Verdict.INCONCLUSIVE and one.row["latency"]["p50_ms"] < p50_ms]
    if open_rows:
        faster = min(open_rows, key=lambda one: float(one.row["latency"]["p50_ms"]))
        beside = f"{row_name(faster.row)}: p50 {faster.row['latency']['p50_ms']:.3g} ms"
        lines.append(f"  {len(open_rows)} rows are faster but not shown to fit: {beside}: {faster.open_findings[0].found}")
    return tuple(lines + _count_lines(judged))


def _why_none(nearest: Judged, judged: Sequence[Judged], undecided: int) -> tuple[str, ...]:
    lines = [f"none of {len(judged)} rows is shown to fit" if undecided else f"none of {len(judged)} rows fits"]
    lines.append(f"{'may fit' if undecided else 'nearest'}: {row_name(nearest.row)}: {nearest.row['artifact']['path']}")
    for finding in nearest.open_findings:
        far = f", {100 * finding.excess:.0f} % beyond" if finding.excess > 0 and not undecided else ""
        lines.append(f"  {finding.budget} {finding.verdict.value}: {finding.found}{far}")
    return tuple(lines + _count_lines(judged))


def _count_lines(judged: Sequence[Judged]) -> list[str]:
    """Count the rows by budget that are not shown to fit."""
    counts: dict[tuple[str, Verdict], int] = {}
    for finding in (finding for one in judged for finding in one.open_findings):
        place = (finding.budget, finding.verdict)
        counts[place] = counts.get(place, 0) + 1
    return [
        f"  {count} of {len(judged)} rows: {budget} {verdict.value}"
        for (budget, verdict), count in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1].value))
    ]


def _judged_json(judged: Judged) -> dict[str, Any]:
    row = judged.row
    names = ("model", "name", "variant", "format", "runtime", "device", "accelerator", "threads")
    findings = [
        {"budget": f.budget, "verdict": f.verdict.value, "found": f.found, "excess": f.excess} for f in judged.findings
    ]
    return {
        **{name: row[name] for name in names},
        "path": row["artifact"]["path"],
        "verdict": judged.verdict.value,
        "findings": findings,
    }
