"""build/report.html: one file that opens offline, with the measurements, a template and Vega's code."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.analysis.best_variant import Advice, advise
from bench.analysis.confidence import MAX_DROP
from bench.analysis.float_pairs import Pair, baseline_of, pairs
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
from bench.report import latency_charts, overview_chart, trend_charts
from bench.report.devices import CAPTION as ABOUT_DEVICES, COLUMNS as DEVICES, devices_table
from bench.report.markdown import notes
from bench.report.microcontroller import CAPTION, COLUMNS as NEEDS, microcontroller_table
from bench.report.picture import VEGA_LITE
from bench.report.section import Section
from bench.results.evaluation_set import EvaluationSet
from bench.results.history import History
from bench.results.row import HOST, ResultRow
from bench.results.store import Results
from bench.stats.classification import by_class, calibration, confusion, flipped, least_scores

WEB = Path(__file__).resolve().parent / "web"
FLIPS_SHOWN = 24  # of a row
CLASSES_DRAWN = 40  # a larger confusion matrix is a list of its largest entries
CONFUSIONS_LISTED = 30


def page(results: Results, past: History, sections: Sequence[Section] = ()) -> str:
    """Return the report as one HTML document without external references."""
    import jinja2

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(WEB), autoescape=True, undefined=jinja2.StrictUndefined)
    found = pairs(results)
    advice = advise(results, found)
    scripts = [vega_code(), (WEB / "report.js").read_text(encoding="utf-8")]
    return environment.get_template("report.html").render(
        css=(WEB / "report.css").read_text(encoding="utf-8"),
        scripts=scripts,
        script_hashes=[base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in scripts],
        data=json_in_html(_data(results, found, past, [one.row.key for one in advice]) | {"sections": _charts(sections)}),
        models=_models(results.rows),
        advice=[_advice(one) for one in advice],
        rows=_table(results.rows),
        pairs=[_pair(pair, results) for pair in found],
        devices=devices_table(results.rows),
        devices_columns=DEVICES,
        devices_caption=ABOUT_DEVICES,
        needs=microcontroller_table(results.rows),
        needs_columns=NEEDS,
        needs_caption=CAPTION.replace("`", ""),
        max_drop_points=f"{100 * MAX_DROP:g}",
        environments={name: environment.to_json() for name, environment in results.environments.items()},
        skipped=results.skipped,
        notes=notes(results),
        past=past,
        sections=sections,
    )


def vega_code() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script (0.9 MB), from the package vl-convert."""
    import vl_convert

    code = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE))
    return code.replace("</script", "<\\/script")


def json_in_html(document: Any) -> str:
    """Return JSON for a script element; no label in it can end that element."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _charts(sections: Sequence[Section]) -> dict[str, overview_chart.Spec]:
    return {section.anchor: section.chart for section in sections if section.chart is not None}


def _models(rows: Sequence[ResultRow]) -> list[str]:
    return list(dict.fromkeys(row.subject.model_name for row in rows))


def _data(results: Results, found: Sequence[Pair], past: History, first: list[str]) -> dict[str, Any]:
    """Return the data of the page's script; `first` names the rows whose details are shown first."""
    models = _models(results.rows)
    by_model: dict[str, Any] = {}
    for model in models:
        rows = [row for row in results.rows if row.subject.model_name == model]
        timed = [row for row in rows if row.why_no_latency is None]
        by_model[model] = {
            "distributions": latency_charts.distributions(results, timed) if timed else None,
            "speed": latency_charts.speed_ups([pair for pair in found if pair.row.subject.model_name == model]),
            "startup": latency_charts.stacked(timed, latency_charts.startup_parts, "once per process, ms (median)"),
            "path": latency_charts.stacked(timed, latency_charts.path_parts, "per picture, ms (median)"),
            "trend": trend_charts.trend(past, model),
            "rows": [row.key for row in rows],
        }
    pictures: dict[str, dict[int, str]] = {}
    details = {row.key: _detail(results, row, pictures) for row in results.rows}
    return {
        "schema": overview_chart.SCHEMA,
        "overview": overview_chart.overview(results),
        "models": by_model,
        "details": details,
        "pictures": pictures,
        "first": first,
    }


def _detail(results: Results, row: ResultRow, pictures: dict[str, dict[int, str]]) -> dict[str, Any]:
    """Return the details of one row: confusions, classes, calibration, flips."""
    where = "" if row.subject.device == HOST else f" on {row.subject.device}"
    detail: dict[str, Any] = {"name": artifact_name(row.subject) + where, "model": row.subject.model_name}
    evaluation_set = EvaluationSet.of(results.arrays, row)
    if evaluation_set is None:
        why = "its accuracy was not measured" if row.accuracy is None else "measured before labels were kept: measure again"
        return {**detail, "missing": why}
    answers = results.arrays[f"{row.key}/predictions"]
    truth = evaluation_set.truth[: len(answers)]
    table = confusion(truth, answers, len(evaluation_set.names))
    scores = results.arrays.get(f"{row.key}/top_scores")
    measured = None if scores is None or len(scores) != len(answers) else calibration(scores, answers == truth)
    return {
        **detail,
        "names": evaluation_set.names,
        "drawn": len(evaluation_set.names) <= CLASSES_DRAWN,
        "confusions": _entries(table),
        "classes": [
            [one.name, one.pictures, one.right, one.recall, one.recall_ci95, one.precision]
            for one in by_class(table, evaluation_set.names)
        ],
        "calibration": None if measured is None else [measured.error, [list(vars(part).values()) for part in measured.bins]],
        "unsure": [] if measured is None or scores is None else _unsure(scores, answers == truth),
        "scores": _scores_note(row, scores),
        "flips": _flips(results, row, answers, evaluation_set, pictures),
    }


def _unsure(scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> list[list[float]]:
    return [list(vars(point).values()) for point in least_scores(scores, right)]


def _scores_note(row: ResultRow, scores: npt.NDArray[np.float32] | None) -> str:
    if scores is not None:
        return ""
    if row.subject.format == "tflite" and row.subject.variant.startswith("int8"):
        return "No calibration error: the scores of a uint8 output are multiples of 1/256."
    return "No calibration error: this row's scores were not kept; measure again."


def _entries(table: npt.NDArray[np.int64]) -> list[list[int]]:
    """Return the non-zero entries (class, answer, pictures): all of a small table, the largest confusions of a large one.

    The answer after the last class is none at all.
    """
    if len(table) > CLASSES_DRAWN:
        off = table.copy()
        np.fill_diagonal(off, 0)
        flat = np.argsort(-off, axis=None, kind="stable")[:CONFUSIONS_LISTED]
        places = [divmod(int(place), table.shape[1]) for place in flat]
        return [[i, j, int(off[i, j])] for i, j in places if off[i, j]]
    return [[int(i), int(j), int(table[i, j])] for i, j in np.argwhere(table)]


def _flips(
    results: Results,
    row: ResultRow,
    answers: npt.NDArray[Any],
    evaluation_set: EvaluationSet,
    pictures: dict[str, dict[int, str]],
) -> dict[str, Any] | None:
    """Return the pictures that this row and its float32 row answer differently, with thumbnails where they are kept."""
    baseline = baseline_of(row, results.rows)
    if baseline is None or EvaluationSet.of(results.arrays, baseline) is None:
        return None
    before = results.arrays[f"{baseline.key}/predictions"]
    places = flipped(before, answers)
    kept = {int(place): number for number, place in enumerate(evaluation_set.places)}
    shown = [int(place) for place in places if int(place) in kept][:FLIPS_SHOWN]
    pool = pictures.setdefault(evaluation_set.prefix, {})
    for place in shown:
        pool.setdefault(place, png(evaluation_set.pixels[kept[place]]))
    return {
        "against": artifact_name(baseline.subject),
        "count": len(places),
        "of": min(len(before), len(answers)),
        "pool": evaluation_set.prefix,
        "shown": [[place, int(evaluation_set.truth[place]), int(before[place]), int(answers[place])] for place in shown],
    }


def png(pixels: npt.NDArray[np.uint8]) -> str:
    """Return prepared pixels (H, W, C) as a PNG in a data URI, in their own size: the page's style enlarges it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _advice(one: Advice) -> dict[str, Any]:
    latency, accuracy = one.row.latency, one.row.accuracy
    low_ms, high_ms = latency.p50.ci95
    figures = [("p50", f"{milliseconds(latency.p50.ms)} ms", f"{milliseconds(low_ms)} to {milliseconds(high_ms)}")]
    if accuracy is not None:
        low, high = accuracy.ci95
        figures.append(("top-1", f"{100 * accuracy.top1:.2f} %", f"{100 * low:.2f} to {100 * high:.2f}"))
    figures.append(("size", f"{one.row.artifact.size_bytes / 1000:,.0f} kB", one.row.subject.format))
    return {**vars(one), "heading": one.heading, "figures": figures, "path": one.row.artifact.path}


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


def _table(rows: Sequence[ResultRow]) -> dict[str, Any]:
    """Return the columns, and each row's cells as (sort key, text, text below it).

    A column of counts that no row has is left out.
    """
    columns = COLUMNS if any(row.instructions for row in rows) else COLUMNS[:-1]
    front = overview_chart.on_front(rows)
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
        (startup.load_ms, f"{startup.load_ms:.1f}", ""),
        (startup.first_inference_ms, milliseconds(startup.first_inference_ms), ""),
    ]


def _instructions(row: ResultRow) -> tuple[Any, str, str]:
    counted = row.instructions
    if counted is None:
        return ("", million_instructions(row), "")
    return (counted.steady_inference, million_instructions(row), counted.core)


def _pair(pair: Pair, results: Results) -> dict[str, Any]:
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
