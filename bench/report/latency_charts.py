"""The report's charts of time: distributions, parts of a path, speed against float32."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.analysis.best_variant import SHIPPED_FORMATS
from bench.analysis.float_pairs import Pair
from bench.analysis.wording import artifact_name, runtime_name, short_name
from bench.report.overview_chart import Spec, chart
from bench.results.measurement import NS_PER_MS
from bench.results.row import ResultRow
from bench.results.store import Results, latencies_ns

RIDGE_PX = 46
BAR_PX = 26
DENSITY_POINTS = 120
DENSITY_SHARES = (0.002, 0.985)  # of the queries; slower ones would squeeze the rest, and p99 is in the table
Parts = Callable[[ResultRow], Mapping[str, float]]  # the parts of a time by name, in milliseconds, in order; none: not timed


def path_parts(row: ResultRow) -> dict[str, float]:
    """Return the parts of a whole picture's time."""
    path = row.path
    if path is None:
        return {}
    return {
        "decode": path.decode_ms,
        "prepare": path.prepare_ms,
        "invoke": path.invoke_ms,
        "post-process": path.postprocess_ms,
    }


def startup_parts(row: ResultRow) -> dict[str, float]:
    """Return the parts of a process's start."""
    startup = row.startup
    if row.browser is not None:
        return {"fetch": startup.import_ms, "compile": startup.load_ms, "first inference": startup.first_inference_ms}
    return {"import": startup.import_ms, "load": startup.load_ms, "first inference": startup.first_inference_ms}


def distributions(results: Results, rows: Sequence[ResultRow]) -> Spec:
    """Return a ridge of each row's latencies on a logarithmic axis, the fastest on top, with p50 and its interval below."""
    ordered = sorted(rows, key=lambda row: row.latency.p50.ms)
    values: list[dict[str, Any]] = []
    for place, row in enumerate(ordered):
        values += _ridge(place, row, np.concatenate(latencies_ns(results, row)) / NS_PER_MS)
    names = [short_name(row.subject) for row in ordered]
    y = _named_rows(len(names))
    x = {"type": "quantitative", "scale": {"type": "log", "nice": False}, "title": "latency of a picture, ms (log)"}
    tooltip = [{"field": name, "title": title} for name, title in (("name", "row"), ("text", "p50 / p90 / p99 ms"))]
    return chart(
        values,
        height=RIDGE_PX * len(names) + 20,
        params=[{"name": "names", "value": names}],
        layer=[_ridges(x, y, tooltip), _p50_intervals(x, y, tooltip), _p50_ticks(x, y, tooltip)],
    )


def _ridges(x: Spec, y: Spec, tooltip: list[Spec]) -> Spec:
    return {
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
    }


def _p50_intervals(x: Spec, y: Spec, tooltip: list[Spec]) -> Spec:
    return {
        "transform": [{"filter": "datum.part == 'p50'"}],
        "mark": {"type": "rule", "strokeWidth": 3, "style": "front"},
        "encoding": {
            "x": {"field": "low_ms", **x},
            "x2": {"field": "high_ms"},
            "y": {"field": "base", **y},
            "tooltip": tooltip,
        },
    }


def _p50_ticks(x: Spec, y: Spec, tooltip: list[Spec]) -> Spec:
    return {
        "transform": [{"filter": "datum.part == 'p50'"}],
        "mark": {"type": "tick", "thickness": 2, "height": 12, "style": "front_tick"},
        "encoding": {"x": {"field": "ms", **x}, "y": {"field": "base", **y}, "tooltip": tooltip},
    }


def _named_rows(count: int) -> Spec:
    """Return the axis on which name k is at position k, the first on top."""
    return {
        "type": "quantitative",
        "scale": {"domain": [-0.95, count - 0.6], "reverse": True, "nice": False, "zero": False},
        "axis": {
            "values": list(range(count)),
            "labelExpr": "names[datum.value]",
            "title": None,
            "grid": False,
            "ticks": False,
            "domain": False,
        },
    }


def _ridge(place: int, row: ResultRow, latencies_ms: Any) -> list[dict[str, Any]]:
    """Return a row's histogram over the logarithm of its latencies, whose tallest bin is nine tenths of a row high."""
    latency = row.latency
    texts = ["–" if value is None else f"{value:.4g}" for value in (latency.p50.ms, latency.p90_ms, latency.p99_ms)]
    common = {"name": artifact_name(row.subject), "text": " / ".join(texts), "base": place}
    low_ms, high_ms = np.quantile(latencies_ms, DENSITY_SHARES)
    low_ms, high_ms = max(float(low_ms), 1e-6) * 0.995, float(high_ms) * 1.005
    bins = int(np.clip(np.sqrt(len(latencies_ms)) / 2, 8, DENSITY_POINTS))
    counts, edges = np.histogram(np.log(np.maximum(latencies_ms, 1e-6)), bins, (np.log(low_ms), np.log(high_ms)))
    middles = np.exp((edges[:-1] + edges[1:]) / 2)
    share = np.concatenate([[0], counts / max(1, counts.max()), [0]])
    places_ms = np.concatenate([[low_ms], middles, [high_ms]])
    runtime = runtime_name(row.subject)
    ridge = [
        {**common, "part": "ridge", "runtime": runtime, "ms": _rounded(ms), "top": round(place - 0.9 * float(height), 3)}
        for ms, height in zip(places_ms, share, strict=True)
    ]
    low_p50, high_p50 = latency.p50.ci95
    return [*ridge, {**common, "part": "p50", "ms": latency.p50.ms, "low_ms": low_p50, "high_ms": high_p50}]


def _rounded(value: Any) -> float:
    return float(f"{float(value):.4g}")


ROW_AXIS = {"ticks": False, "domain": False}
TOP_LEGEND = {"orient": "top"}


def stacked(rows: Sequence[ResultRow], parts: Parts, title: str) -> Spec | None:
    """Return the parts of a time as one bar for each row, or None where no row has them.

    Keras is left out: it is only the reference, and its long bars would squeeze all others.
    """
    shipped = [(short_name(row.subject), parts(row)) for row in rows if row.subject.format in SHIPPED_FORMATS]
    timed = sorted(((name, times) for name, times in shipped if times), key=lambda one: sum(one[1].values()))
    if not timed:
        return None
    names = [name for name, _ in timed]
    values = [
        {"row": name, "stage": stage, "place": place, "ms": ms, "text": f"{ms:.4g} ms"}
        for name, times in timed
        for place, (stage, ms) in enumerate(times.items())
    ]
    stages = list(dict.fromkeys(stage for _, times in timed for stage in times))
    color = {"field": "stage", "type": "nominal", "sort": stages, "title": None, "legend": TOP_LEGEND}
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


def speed_ups(found: Sequence[Pair]) -> Spec | None:
    """Return the speed of each row relative to float32, with its interval, around a line at one."""
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
        "row": short_name(pair.row.subject),
        "runtime": runtime_name(pair.row.subject),
        "times": _rounded(speed.value),
        "low": _rounded(speed.value if speed.low is None else speed.low),
        "high": _rounded(speed.value if speed.high is None else speed.high),
        "speed": "shown" if speed.distinguishable else "not distinguishable from float32",
    }
