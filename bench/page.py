"""build/report.html: one file that opens offline, made of the measurements, a template, and Vega's own code."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import charts, latency_charts, trend_charts
from bench.advice import Advice, advise
from bench.emulated import NOT_A_LATENCY, is_emulated
from bench.evidence import Evidence, accuracy_of, model_name
from bench.history import History
from bench.pairs import Pair, baseline_of, pairs
from bench.quality import by_class, calibration, confusion, flipped
from bench.reasons import why_not_faster
from bench.report import million_instructions, milliseconds, notes
from bench.results import Results, Row
from bench.words import artifact_name, needed_words, points_of, runtime_name, short_verdict

WEB = Path(__file__).resolve().parent / "web"
HOST = "host"
FLIPS_SHOWN = 24  # of a row
CLASSES_DRAWN = 40  # a larger confusion matrix is a list of its largest entries
CONFUSIONS_LISTED = 30
VEGA_LITE = "6.4"


def page(results: Results, past: History) -> str:
    """Return the report as one HTML document without any reference to the outside."""
    import jinja2

    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(WEB), autoescape=True, undefined=jinja2.StrictUndefined)
    found = pairs(results)
    advice = advise(results, found)
    scripts = [vega_code(), (WEB / "report.js").read_text(encoding="utf-8")]
    return environment.get_template("report.html").render(
        css=(WEB / "report.css").read_text(encoding="utf-8"),
        scripts=scripts,
        script_hashes=[base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in scripts],
        data=json_in_html(_data(results, found, past, [one.row["samples"]["key"] for one in advice])),
        models=_models(results.rows),
        advice=[_advice(one) for one in advice],
        rows=_table(results.rows),
        pairs=[_pair(pair, results) for pair in found],
        environments=results.environments,
        skipped=results.skipped,
        notes=[note.removeprefix("- ") for note in notes(results) if not note.startswith("- Skipped")],
        name_of=model_name,
        past=past,
    )


def vega_code() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script (0.9 MB), out of the vl-convert package."""
    import vl_convert

    code = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE))
    return code.replace("</script", "<\\/script")


def json_in_html(document: Any) -> str:
    """Return JSON that nothing in it can end the script element of, whatever the labels are."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _models(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(model_name(row) for row in rows))


def _data(results: Results, found: Sequence[Pair], past: History, first: list[str]) -> dict[str, Any]:
    """Return all that the page's script draws from; `first` names the rows that are looked into first."""
    models = _models(results.rows)
    by_model: dict[str, Any] = {}
    for model in models:
        rows = [row for row in results.rows if model_name(row) == model]
        timed = [row for row in rows if not is_emulated(row["device"])]
        by_model[model] = {
            "distributions": latency_charts.distributions(results, timed) if timed else None,
            "speed": latency_charts.speed_ups([pair for pair in found if model_name(pair.row) == model]),
            "startup": latency_charts.stacked(timed, "startup", latency_charts.STARTUP, "once per process, ms (median)"),
            "path": latency_charts.stacked(timed, "path", latency_charts.STAGES, "per picture, ms (median)"),
            "trend": trend_charts.trend(past, model),
            "rows": [row["samples"]["key"] for row in rows],
        }
    pictures: dict[str, dict[int, str]] = {}
    details = {row["samples"]["key"]: _detail(results, row, pictures) for row in results.rows}
    return {
        "schema": charts.SCHEMA,
        "overview": charts.overview(results),
        "models": by_model,
        "details": details,
        "pictures": pictures,
        "first": first,
    }


def _detail(results: Results, row: Row, pictures: dict[str, dict[int, str]]) -> dict[str, Any]:
    """Return what the page shows of one row: confusions, classes, calibration, flips."""
    where = "" if row["device"] == HOST else f" on {row['device']}"
    detail: dict[str, Any] = {"name": artifact_name(row) + where, "model": model_name(row)}
    evidence = Evidence.of(results.arrays, row)
    if evidence is None:
        why = (
            "its accuracy was not measured"
            if accuracy_of(row) is None
            else "measured before labels were kept: measure again"
        )
        return {**detail, "missing": why}
    answers = results.arrays[f"{row['samples']['key']}/predictions"]
    truth = evidence.truth[: len(answers)]
    table = confusion(truth, answers, len(evidence.names))
    scores = results.arrays.get(f"{row['samples']['key']}/top_scores")
    measured = None if scores is None or len(scores) != len(answers) else calibration(scores, answers == truth)
    return {
        **detail,
        "names": evidence.names,
        "drawn": len(evidence.names) <= CLASSES_DRAWN,
        "confusions": _entries(table),
        "classes": [
            [one.name, one.pictures, one.right, one.recall, one.recall_ci95, one.precision]
            for one in by_class(table, evidence.names)
        ],
        "calibration": None if measured is None else [measured.error, [list(vars(part).values()) for part in measured.bins]],
        "scores": _scores_note(row, scores),
        "flips": _flips(results, row, answers, evidence, pictures),
    }


def _scores_note(row: Row, scores: npt.NDArray[np.float32] | None) -> str:
    if scores is not None:
        return ""
    if row["format"] == "tflite" and row["variant"].startswith("int8"):
        return "No calibration error: the scores of a uint8 output are multiples of 1/256."
    return "No calibration error: this row's scores were not kept; measure again."


def _entries(table: npt.NDArray[np.int64]) -> list[list[int]]:
    """Return the non-zero entries (class, answer, pictures): all of a small table, the largest confusions of a large one."""
    if len(table) > CLASSES_DRAWN:
        off = table.copy()
        np.fill_diagonal(off, 0)
        flat = np.argsort(-off, axis=None, kind="stable")[:CONFUSIONS_LISTED]
        places = [divmod(int(place), len(table)) for place in flat]
        return [[i, j, int(off[i, j])] for i, j in places if off[i, j]]
    return [[int(i), int(j), int(table[i, j])] for i, j in np.argwhere(table)]


def _flips(
    results: Results, row: Row, answers: npt.NDArray[Any], evidence: Evidence, pictures: dict[str, dict[int, str]]
) -> dict[str, Any] | None:
    """Return the pictures that this row answers otherwise than its float32 row, with their thumbnails where kept."""
    baseline = baseline_of(row, results.rows)
    if baseline is None or Evidence.of(results.arrays, baseline) is None:
        return None
    before = results.arrays[f"{baseline['samples']['key']}/predictions"]
    places = flipped(before, answers)
    kept = {int(place): number for number, place in enumerate(evidence.places)}
    shown = [int(place) for place in places if int(place) in kept][:FLIPS_SHOWN]
    pool = pictures.setdefault(evidence.prefix, {})
    for place in shown:
        pool.setdefault(place, png(evidence.pixels[kept[place]]))
    return {
        "against": artifact_name(baseline),
        "count": len(places),
        "of": min(len(before), len(answers)),
        "pool": evidence.prefix,
        "shown": [[place, int(evidence.truth[place]), int(before[place]), int(answers[place])] for place in shown],
    }


def png(pixels: npt.NDArray[np.uint8]) -> str:
    """Return prepared pixels (H, W, C) as a PNG in a data URI, size as it is: the page's style enlarges it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _advice(one: Advice) -> dict[str, Any]:
    latency, accuracy = one.row["latency"], accuracy_of(one.row)
    low_ms, high_ms = latency["ci95_p50_ms"]
    figures = [("p50", f"{milliseconds(latency['p50_ms'])} ms", f"{milliseconds(low_ms)} to {milliseconds(high_ms)}")]
    if accuracy is not None:
        low, high = accuracy["ci95"]
        figures.append(("top-1", f"{100 * accuracy['top1']:.2f} %", f"{100 * low:.2f} to {100 * high:.2f}"))
    figures.append(("size", f"{one.row['artifact']['size_bytes'] / 1000:,.0f} kB", one.row["format"]))
    return {**vars(one), "artifact": artifact_name(one.row), "figures": figures, "path": one.row["artifact"]["path"]}


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


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the columns, and each row's cells as (what sorts, what is shown, what stands beneath)."""
    front = charts.on_front(rows)
    most = max((row["accuracy"]["total"] for row in rows if accuracy_of(row)), default=0)
    lines = []
    for row, is_front in zip(rows, front, strict=True):
        lines.append(
            {
                "model": model_name(row),
                "key": row["samples"]["key"],
                "front": is_front,
                "doubt": row["latency"]["why_invalid"],
                "cells": _cells(row, most),
            }
        )
    return {"columns": COLUMNS, "lines": lines}


def _cells(row: Row, most: int) -> list[tuple[Any, str, str]]:
    accuracy = accuracy_of(row)
    device = row["device"] if row["threads"] == 1 else f"{row['device']}, {row['threads']} threads"
    top1: tuple[Any, str, str] = ("", "–", "")
    if accuracy is not None:
        ends = " to ".join(f"{100 * end:.2f}" for end in accuracy["ci95"])
        of = "" if accuracy["total"] == most else f" of {accuracy['total']:,}"
        top1 = (accuracy["top1"], f"{100 * accuracy['top1']:.2f}", ends + of)
    size_kb, peak_mb = row["artifact"]["size_bytes"] / 1000, row["memory"]["peak_rss_bytes"] / 1e6
    return [
        (model_name(row), model_name(row), device),
        (f"{row['variant']}.{row['format']}", f"{row['variant']}.{row['format']}", ""),
        (runtime_name(row), runtime_name(row), row["runtime_version"]),
        (size_kb, f"{size_kb:,.0f}", ""),
        top1,
        *(_NO_TIMES if is_emulated(row["device"]) else _times(row)),
        (peak_mb, f"{peak_mb:,.0f}", ""),
        _instructions(row),
    ]


_NO_TIMES: list[tuple[Any, str, str]] = [("", "–", NOT_A_LATENCY), *[("", "–", "")] * 4]


def _times(row: Row) -> list[tuple[Any, str, str]]:
    latency, startup = row["latency"], row["startup"]
    ends_ms = " to ".join(milliseconds(end) for end in latency["ci95_p50_ms"])
    return [
        (latency["p50_ms"], milliseconds(latency["p50_ms"]), ends_ms),
        *((latency[name], milliseconds(latency[name]), "") for name in ("p90_ms", "p99_ms")),
        (startup["load_ms"], f"{startup['load_ms']:.1f}", ""),
        (startup["first_inference_ms"], milliseconds(startup["first_inference_ms"]), ""),
    ]


def _instructions(row: Row) -> tuple[Any, str, str]:
    counted = row.get("instructions")
    if counted is None:
        return ("", million_instructions(row), "")
    return (counted["steady_inference"], million_instructions(row), counted["core"])


def _pair(pair: Pair, results: Results) -> dict[str, Any]:
    """Return a row of the table of float against quantized."""
    why = why_not_faster(pair, results.environments.get(pair.row["device"]) or {})
    found, speed = pair.accuracy, pair.speed
    ends = "–" if speed.low is None or speed.high is None else f"{speed.low:.2f} to {speed.high:.2f}"
    change: tuple[Any, str, str] = ("", "–", "")
    if found is not None:
        low, high = found.interval()
        change = (-found.drop, points_of(-found.drop), f"{points_of(-high)} to {points_of(-low)}")
    return {
        "model": model_name(pair.row),
        "key": pair.row["samples"]["key"],
        "artifact": artifact_name(pair.row),
        "speed": (speed.value, f"{speed.value:.2f}×", ends),
        "smaller": (pair.times_smaller, f"{pair.times_smaller:.2f}×", ""),
        "change": change,
        "p": ("", "–") if found is None else (found.mcnemar_p, f"{found.mcnemar_p:.2g}"),
        "verdict": short_verdict(found),
        "needed": "" if found is None or found.distinguishable else needed_words(found),
        "why": why or "",
        "trusted": pair.trusted,
    }
