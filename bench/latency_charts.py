"""The report's charts of time: distributions, parts of a path, speed against float32."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.advice import SHIPPED_FORMATS
from bench.charts import Spec, chart
from bench.pairs import Pair
from bench.results import Results, Row, latencies_ns
from bench.words import artifact_name, runtime_name, short_name

NS_PER_MS = 1e6
RIDGE_PX = 46
BAR_PX = 26
DENSITY_POINTS = 120
DENSITY_SHARES = (0.002, 0.985)  # of the queries: what lies beyond would squeeze the rest, and stands in the table as p99
STAGES = {"decode_ms": "decode", "prepare_ms": "prepare", "invoke_ms": "invoke", "postprocess_ms": "post-process"}
STARTUP = {"import_ms": "import", "load_ms": "load", "first_inference_ms": "first inference"}


def distributions(results: Results, rows: Sequence[Row]) -> Spec:
    """Return a ridge of each row's latencies on one logarithmic axis, the fastest on top, p50 with its interval beneath."""
    ordered = sorted(rows, key=lambda row: float(row["latency"]["p50_ms"]))
    values: list[dict[str, Any]] = []
    for place, row in enumerate(ordered):
        values += _ridge(place, row, np.concatenate(latencies_ns(results, row)) / NS_PER_MS)
    names = [short_name(row) for row in ordered]
    y = {
        "type": "quantitative",
        "scale": {"domain": [-0.95, len(names) - 0.6], "reverse": True, "nice": False, "zero": False},
        "axis": {
            "values": list(range(len(names))),
            "labelExpr": "names[datum.value]",
            "title": None,
            "grid": False,
            "ticks": False,
            "domain": False,
        },
    }
    x = {"type": "quantitative", "scale": {"type": "log", "nice": False}, "title": "latency of a picture, ms (log)"}
    tooltip = [{"field": name, "title": title} for name, title in (("name", "row"), ("text", "p50 / p90 / p99 ms"))]
    return chart(
        values,
        height=RIDGE_PX * len(names) + 20,
        params=[{"name": "names", "value": names}],
        layer=[
            {
                "transform": [{"filter": "datum.part == 'ridge'"}],
                "mark": {"type": "area", "interpolate": "monotone", "opacity": 0.6, "line": {"strokeWidth": 1.2}},
                "encoding": {
                    "x": {"field": "ms", **x},
                    "y": {"field": "base", **y},
                    "y2": {"field": "top"},
                    "detail": {"field": "name"},
                    "color": {"field": "runtime", "type": "nominal", "title": "runtime"},
                    "tooltip": tooltip,
                },
            },
            {
                "transform": [{"filter": "datum.part == 'p50'"}],
                "mark": {"type": "rule", "strokeWidth": 3, "style": "front"},
                "encoding": {
                    "x": {"field": "low_ms", **x},
                    "x2": {"field": "high_ms"},
                    "y": {"field": "base", **y},
                    "tooltip": tooltip,
                },
            },
            {
                "transform": [{"filter": "datum.part == 'p50'"}],
                "mark": {"type": "tick", "thickness": 2, "height": 12, "style": "front_tick"},
                "encoding": {"x": {"field": "ms", **x}, "y": {"field": "base", **y}, "tooltip": tooltip},
            },
        ],
    )


def _ridge(place: int, row: Row, latencies_ms: Any) -> list[dict[str, Any]]:
    """Return a row's histogram over the logarithm of its latencies, its tallest bin nine tenths of a row high."""
    latency = row["latency"]
    texts = ["–" if latency[f"{name}_ms"] is None else f"{latency[f'{name}_ms']:.4g}" for name in ("p50", "p90", "p99")]
    common = {"name": artifact_name(row), "text": " / ".join(texts), "base": place}
    low_ms, high_ms = np.quantile(latencies_ms, DENSITY_SHARES)
    low_ms, high_ms = max(float(low_ms), 1e-6) * 0.995, float(high_ms) * 1.005
    bins = int(np.clip(np.sqrt(len(latencies_ms)) / 2, 8, DENSITY_POINTS))
    counts, edges = np.histogram(np.log(np.maximum(latencies_ms, 1e-6)), bins, (np.log(low_ms), np.log(high_ms)))
    middles = np.exp((edges[:-1] + edges[1:]) / 2)
    share = np.concatenate([[0], counts / max(1, counts.max()), [0]])
    places_ms = np.concatenate([[low_ms], middles, [high_ms]])
    runtime = runtime_name(row)
    ridge = [
        {**common, "part": "ridge", "runtime": runtime, "ms": _rounded(ms), "top": round(place - 0.9 * float(height), 3)}
        for ms, height in zip(places_ms, share, strict=True)
    ]
    low_p50, high_p50 = latency["ci95_p50_ms"]
    return [*ridge, {**common, "part": "p50", "ms": latency["p50_ms"], "low_ms": low_p50, "high_ms": high_p50}]


def _rounded(value: Any) -> float:
    return float(f"{float(value):.4g}")


ROW_AXIS = {"ticks": False, "domain": False}
TOP_LEGEND = {"orient": "top"}


def stacked(rows: Sequence[Row], part: str, stages: Mapping[str, str], title: str) -> Spec | None:
    """Return the parts of a time as one bar a row, or None where no row has them.

    Keras, which is measured as the reference and ships nowhere, would squeeze all others.
    """
    shipped = [row for row in rows if row["format"] in SHIPPED_FORMATS and row.get(part)]
    timed = [row for row in shipped if all(isinstance(row[part].get(stage), int | float) for stage in stages)]
    if not timed:
        return None
    ordered = sorted(timed, key=lambda row: float(sum(row[part][stage] for stage in stages)))
    names = [short_name(row) for row in ordered]
    values = [
        {"row": short_name(row), "stage": name, "place": place, "ms": row[part][stage], "text": _text_ms(row[part][stage])}
        for row in ordered
        for place, (stage, name) in enumerate(stages.items())
    ]
    color = {"field": "stage", "type": "nominal", "sort": list(stages.values()), "title": None, "legend": TOP_LEGEND}
    return chart(
        values,
        height=BAR_PX * len(names),
        mark={"type": "bar", "height": {"band": 0.72}},
        encoding={
            "y": {"field": "row", "type": "nominal", "sort": names, "title": None, "axis": ROW_AXIS},
            "x": {"field": "ms", "type": "quantitative", "title": title},
            "color": color,
            "order": {"field": "place"},
            "tooltip": [{"field": "row"}, {"field": "stage"}, {"field": "text", "title": "median"}],
        },
    )


def _text_ms(value: float) -> str:
    return f"{value:.4g} ms"


def speed_ups(found: Sequence[Pair]) -> Spec | None:
    """Return how many times as fast as float32 each row is, with its interval, around the line at one."""
    if not found:
        return None
    values = [_speed_up(pair) for pair in sorted(found, key=lambda pair: -pair.speed.value)]
    y = {"field": "row", "type": "nominal", "sort": [value["row"] for value in values], "title": None, "axis": ROW_AXIS}
    scale = {"type": "log", "nice": False, "padding": 16}
    x = {"type": "quantitative", "scale": scale, "title": "times as fast as float32 (log)"}
    color = {"field": "runtime", "type": "nominal", "title": None, "legend": TOP_LEGEND}
    tooltip = [{"field": name} for name in ("row", "times", "low", "high", "speed")]
    filled = {"condition": {"test": "datum.speed == 'shown'", "value": 1}, "value": 0.15}
    times = {"field": "times", **x}
    return chart(
        values,
        height=BAR_PX * len(values),
        layer=[
            {
                "data": {"values": [{"one": 1}]},
                "mark": {"type": "rule", "strokeDash": [4, 3], "style": "front"},
                "encoding": {"x": {"field": "one", **x}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {
                    "y": y,
                    "x": {"field": "low", **x},
                    "x2": {"field": "high"},
                    "color": color,
                    "tooltip": tooltip,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 80, "strokeWidth": 2},
                "encoding": {"y": y, "x": times, "color": color, "tooltip": tooltip, "fillOpacity": filled},
            },
        ],
    )


def _speed_up(pair: Pair) -> dict[str, Any]:
    speed = pair.speed
    return {
        "row": short_name(pair.row),
        "runtime": runtime_name(pair.row),
        "times": _rounded(speed.value),
        "low": _rounded(speed.value if speed.low is None else speed.low),
        "high": _rounded(speed.value if speed.high is None else speed.high),
        "speed": "shown" if speed.distinguishable else "not distinguishable from float32",
    }
