"""build/report.html: one file that opens offline, with the measurements, a template and Vega's code."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.analysis.best_variant import advise
from bench.analysis.confidence import MAX_DROP
from bench.analysis.float_pairs import Pair, pairs
from bench.report import latency_charts, overview_chart, trend_charts
from bench.report.devices import CAPTION as ABOUT_DEVICES, COLUMNS as DEVICES, devices_table
from bench.report.html_tables import advice_card, pair_line, rows_table
from bench.report.markdown import notes
from bench.report.microcontroller import CAPTION, COLUMNS as NEEDS, microcontroller_table
from bench.report.picture import VEGA_LITE
from bench.report.row_details import row_detail
from bench.report.section import Section
from bench.results.history import History
from bench.results.row import ResultRow
from bench.results.store import Results

WEB = Path(__file__).resolve().parent / "web"


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
        advice=[advice_card(one) for one in advice],
        rows=rows_table(results.rows),
        pairs=[pair_line(pair, results) for pair in found],
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
    details = {row.key: row_detail(results, row, pictures) for row in results.rows}
    return {
        "schema": overview_chart.SCHEMA,
        "overview": overview_chart.overview(results),
        "models": by_model,
        "details": details,
        "pictures": pictures,
        "first": first,
    }
