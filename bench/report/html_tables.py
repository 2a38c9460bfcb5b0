"""The page's cards and tables: a cell is what to sort by, its text, and the text below that."""

from collections.abc import Sequence
from typing import Any

from bench.analysis.best_variant import Advice
from bench.analysis.float_pairs import Pair
from bench.analysis.why_not_faster import why_not_faster
from bench.analysis.wording import (
    NONE,
    artifact_name,
    million_instructions,
    milliseconds,
    needed_words,
    peak_megabytes,
    points_of,
    runtime_name,
    short_verdict,
)
from bench.report.overview_chart import on_front
from bench.results.row import ResultRow
from bench.results.store import Results

COLUMNS = (
    ("model", "text"),
    ("variant", "text"),
    ("runtime", "text"),
    ("size kB", "number"),
    ("top-1 %", "number"),
    ("p50 ms", "number"),
    ("p90 ms", "number"),
    ("p99 ms", "number"),
    ("load ms", "number"),
    ("first ms", "number"),
    ("peak MB", "number"),
    ("M instr.", "number"),
)


def advice_card(one: Advice) -> dict[str, Any]:
    """Return what to ship of one model, with its figures as (name, text, interval or unit)."""
    latency, accuracy = one.row.latency, one.row.accuracy
    low_ms, high_ms = latency.p50.ci95
    figures = [("p50", f"{milliseconds(latency.p50.ms)} ms", f"{milliseconds(low_ms)} to {milliseconds(high_ms)}")]
    if accuracy is not None:
        low, high = accuracy.ci95
        figures.append(("top-1", f"{100 * accuracy.top1:.2f} %", f"{100 * low:.2f} to {100 * high:.2f}"))
    figures.append(("size", f"{one.row.artifact.size_bytes / 1000:,.0f} kB", one.row.subject.format))
    return {**vars(one), "heading": one.heading, "figures": figures, "path": one.row.artifact.path}


def rows_table(rows: Sequence[ResultRow]) -> dict[str, Any]:
    """Return the columns, and each row's cells as (sort key, text, text below it).

    A column of counts that no row has is left out.
    """
    columns = COLUMNS if any(row.instructions for row in rows) else COLUMNS[:-1]
    front = on_front(rows)
    most = max((row.accuracy.total for row in rows if row.accuracy), default=0)
    lines = []
    for row, is_front in zip(rows, front, strict=True):
        lines.append(
            {
                "model": row.subject.model_name,
                "key": row.key,
                "front": is_front,
                "doubt": row.latency.why_invalid,
                "cells": _cells(row, most)[: len(columns)],
            }
        )
    return {"columns": columns, "lines": lines}


def _cells(row: ResultRow, most: int) -> list[tuple[Any, str, str]]:
    accuracy = row.accuracy
    device = row.subject.device if row.subject.threads == 1 else f"{row.subject.device}, {row.subject.threads} threads"
    top1: tuple[Any, str, str] = ("", "–", "")
    if accuracy is not None:
        ends = " to ".join(f"{100 * end:.2f}" for end in accuracy.ci95)
        of = "" if accuracy.total == most else f" of {accuracy.total:,}"
        top1 = (accuracy.top1, f"{100 * accuracy.top1:.2f}", ends + of)
    size_kb, peak_mb = row.artifact.size_bytes / 1000, peak_megabytes(row)
    return [
        (row.subject.model_name, row.subject.model_name, device),
        (f"{row.subject.variant}.{row.subject.format}", f"{row.subject.variant}.{row.subject.format}", ""),
        (runtime_name(row.subject), runtime_name(row.subject), row.runtime_version),
        (size_kb, f"{size_kb:,.0f}", ""),
        top1,
        *(_no_times(row.why_no_latency) if row.why_no_latency else _times(row)),
        ("" if peak_mb == NONE else row.memory.peak_rss_bytes, peak_mb, ""),
        _instructions(row),
    ]


def _no_times(reason: str) -> list[tuple[Any, str, str]]:
    return [("", "–", reason), *[("", "–", "")] * 4]


def _times(row: ResultRow) -> list[tuple[Any, str, str]]:
    latency, startup = row.latency, row.startup
    ends_ms = " to ".join(milliseconds(end) for end in latency.p50.ci95)
    return [
        (latency.p50.ms, milliseconds(latency.p50.ms), ends_ms),
        *((value_ms, milliseconds(value_ms), "") for value_ms in (latency.p90_ms, latency.p99_ms)),
        (startup.load_ms, milliseconds(startup.load_ms), ""),
        (startup.first_inference_ms, milliseconds(startup.first_inference_ms), ""),
    ]


def _instructions(row: ResultRow) -> tuple[Any, str, str]:
    counted = row.instructions
    if counted is None:
        return ("", million_instructions(row), "")
    return (counted.steady_inference, million_instructions(row), counted.core)


def pair_line(pair: Pair, results: Results) -> dict[str, Any]:
    """Return a row of the table of float against quantized."""
    why = why_not_faster(pair, results.environments.get(pair.row.subject.device))
    found, speed = pair.accuracy, pair.speed
    ends = "–" if speed.low is None or speed.high is None else f"{speed.low:.2f} to {speed.high:.2f}"
    change: tuple[Any, str, str] = ("", "–", "")
    if found is not None:
        judged = found.judged_drop()
        change = (-found.drop, points_of(-found.drop), f"{points_of(-judged.high)} to {points_of(-judged.low)}")
    return {
        "model": pair.row.subject.model_name,
        "key": pair.row.key,
        "artifact": artifact_name(pair.row.subject),
        "speed": (speed.value, f"{speed.value:.2f}×", ends),
        "smaller": (pair.times_smaller, f"{pair.times_smaller:.2f}×", ""),
        "change": change,
        "p": ("", "–") if found is None else (found.mcnemar_p, f"{found.mcnemar_p:.2g}"),
        "verdict": short_verdict(found),
        "needed": "" if found is None or found.distinguishable else needed_words(found),
        "why": why or "",
        "trusted": pair.trusted,
    }
