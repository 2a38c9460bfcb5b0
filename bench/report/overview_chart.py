"""The report's first chart as a Vega-Lite specification, which Vega draws."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.wording import artifact_name, runtime_name, short_name
from bench.results.row import Accuracy, ResultRow
from bench.results.store import Results

Spec = dict[str, Any]

WHISKER = {"type": "rule", "opacity": 0.3}
NAME_WIDTH = 1.6  # width of a point's name, as a ratio of latencies, since the axis is logarithmic

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # only a name: it is not fetched


def chart(values: Sequence[Mapping[str, Any]], **parts: Any) -> Spec:
    """Return a specification over values, as wide as its element on the page."""
    return {
        "$schema": SCHEMA,
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": list(values)},
        **parts,
    }


def on_front(rows: Sequence[ResultRow]) -> list[bool]:
    """Say which rows are on the Pareto front: none is at least as good in time, accuracy and size, and better in one.

    Point estimates are compared, on one device and over as many pictures. Rows of unknown accuracy and those of a software
    GPU or an emulated device are on no front.
    """
    most = max((row.accuracy.total for row in rows if row.accuracy), default=0)
    figures = [
        _figures(row, row.accuracy) if row.accuracy and row.accuracy.total == most and row.why_no_latency is None else None
        for row in rows
    ]
    return [own is not None and not any(other is not None and _beats(other, own) for other in figures) for own in figures]


Figures = tuple[str, float, float, int]  # the device; then p50, negative accuracy and size: less is better


def _figures(row: ResultRow, accuracy: Accuracy) -> Figures:
    return row.subject.device, row.latency.p50.ms, -accuracy.top1, row.artifact.size_bytes


def _beats(other: Figures, own: Figures) -> bool:
    as_good = all(theirs <= mine for theirs, mine in zip(other[1:], own[1:], strict=True))
    return other[0] == own[0] and other != own and as_good


def _steps(rows: Sequence[ResultRow], front: Sequence[bool]) -> list[bool]:
    """Say which rows of the front are corners of the best accuracy over latency, without regard to size."""
    best, corners = 0.0, set()
    for row in sorted((r for r, on_front in zip(rows, front, strict=True) if on_front), key=lambda r: r.latency.p50.ms):
        if row.accuracy and row.accuracy.top1 > best:
            best = row.accuracy.top1
            corners.add(id(row))
    return [id(row) in corners for row in rows]


def _named(rows: Sequence[ResultRow], steps: Sequence[bool]) -> list[bool]:
    """Say which corners are named: from the fastest on, each that is a name's width from the one before."""
    last_ms, named = 0.0, set()
    for row in sorted((r for r, corner in zip(rows, steps, strict=True) if corner), key=lambda r: r.latency.p50.ms):
        if row.latency.p50.ms >= last_ms * NAME_WIDTH:
            last_ms = row.latency.p50.ms
            named.add(id(row))
    return [id(row) in named for row in rows]


def overview(results: Results) -> Spec | None:
    """Return accuracy against latency against size, with the Pareto front marked; None where no accuracy is known."""
    rows = [row for row in results.rows if row.accuracy and row.why_no_latency is None]
    if not rows:
        return None
    points = [{**_point(row, row.accuracy), **flags} for row, flags in zip(rows, _flags(rows), strict=True) if row.accuracy]
    middle_ms = (min(point["p50"] for point in points) * max(point["p50"] for point in points)) ** 0.5
    x = {"type": "quantitative", "scale": {"type": "log", "nice": False, "padding": 24}, "title": "p50 latency, ms (log)"}
    y = {"type": "quantitative", "scale": {"zero": False, "nice": False, "padding": 16}, "title": "top-1, %"}
    color = {"field": "model", "type": "nominal", "title": "model"}
    p50, top1 = {"field": "p50", **x}, {"field": "top1", **y}
    return chart(
        points,
        height=440,
        params=[{"name": "chosen", "value": ""}],
        transform=[
            {"filter": "chosen == '' || datum.model == chosen"},
            {"calculate": "chosen == '' ? datum.front_of_all : datum.front_of_model", "as": "front"},
            {"calculate": "chosen == '' ? datum.step_of_all : datum.step_of_model", "as": "step"},
            {"calculate": "chosen == '' ? datum.named_of_all : datum.named_of_model", "as": "named"},
        ],
        layer=[
            _front_line(p50, top1),
            _latency_whiskers(x, top1, color),
            _accuracy_whiskers(p50, y, color),
            _points(p50, top1, color),
            _names(middle_ms, p50, top1),
        ],
    )


def _flags(rows: Sequence[ResultRow]) -> list[dict[str, bool]]:
    """Say for each row whether it is on the front, and a corner of it, among all models and within its own model."""
    flags: list[dict[str, bool]] = [{} for _ in rows]
    groups = [("all", list(range(len(rows))))]
    names = [row.subject.model_name for row in rows]
    groups += [("model", [place for place, name in enumerate(names) if name == model]) for model in dict.fromkeys(names)]
    for scope, places in groups:
        own = [rows[place] for place in places]
        front = on_front(own)
        steps = _steps(own, front)
        for place, on, step, named in zip(places, front, steps, _named(own, steps), strict=True):
            flags[place] |= {f"front_of_{scope}": on, f"step_of_{scope}": step, f"named_of_{scope}": named}
    return flags


def _front_line(p50: Spec, top1: Spec) -> Spec:
    mark = {"type": "line", "interpolate": "step-after", "strokeDash": [4, 3], "opacity": 0.6, "style": "front"}
    return {"transform": [{"filter": "datum.step"}], "mark": mark, "encoding": {"x": p50, "y": top1}}


def _latency_whiskers(x: Spec, top1: Spec, color: Spec) -> Spec:
    ends = {"x": {"field": "low_ms", **x}, "x2": {"field": "high_ms"}}
    return {"mark": WHISKER, "encoding": {**ends, "y": top1, "color": color}}


def _accuracy_whiskers(p50: Spec, y: Spec, color: Spec) -> Spec:
    ends = {"y": {"field": "low_top1", **y}, "y2": {"field": "high_top1"}}
    return {"mark": WHISKER, "encoding": {"x": p50, **ends, "color": color}}


def _points(p50: Spec, top1: Spec, color: Spec) -> Spec:
    titles = {
        "model": "model",
        "artifact": "variant",
        "p50_text": "p50 ms [95 %]",
        "top1_text": "top-1 % [95 %]",
        "kb_text": "size kB",
        "note": "timing",
    }
    return {
        "params": [{"name": "pick_model", "select": {"type": "point", "fields": ["model"]}, "bind": "legend"}],
        "mark": {"type": "point", "filled": True, "strokeWidth": 2, "cursor": "pointer"},
        "encoding": {
            "x": p50,
            "y": top1,
            "color": color,
            "shape": {"field": "runtime", "type": "nominal", "title": "runtime"},
            "size": {
                "field": "kb",
                "type": "quantitative",
                "title": "size, kB",
                "scale": {"type": "sqrt", "range": [60, 700]},
                "legend": {"values": [100, 1_000, 10_000], "symbolType": "circle"},
            },
            "fillOpacity": {"condition": {"test": "datum.front", "value": 0.95}, "value": 0.22},
            "opacity": {"condition": {"param": "pick_model", "value": 1}, "value": 0.08},
            "tooltip": [{"field": name, "title": title} for name, title in titles.items()],
        },
    }


def _names(middle_ms: float, p50: Spec, top1: Spec) -> Spec:
    """Return the names of the front's corners, each on the side with free space.

    One layer over all points, most without a text: a layer without points makes Vega warn of an axis without an extent.
    """
    left = f"datum.p50 <= {middle_ms}"
    mark = {
        "type": "text",
        "align": {"expr": f"{left} ? 'left' : 'right'"},
        "dx": {"expr": f"{left} ? 12 : -12"},
        "dy": -10,
        "fontSize": 11,
        "clip": True,
    }
    text = {"condition": {"test": "datum.named", "field": "short"}, "value": ""}
    return {"mark": mark, "encoding": {"x": p50, "y": top1, "text": text}}


def _point(row: ResultRow, accuracy: Accuracy) -> dict[str, Any]:
    latency = row.latency
    (low_ms, high_ms), (low, high) = latency.p50.ci95, accuracy.ci95
    return {
        "model": row.subject.model_name,
        "artifact": artifact_name(row.subject),
        "short": short_name(row.subject),
        "runtime": runtime_name(row.subject),
        "p50": latency.p50.ms,
        "low_ms": low_ms,
        "high_ms": high_ms,
        "top1": 100 * accuracy.top1,
        "low_top1": 100 * low,
        "high_top1": 100 * high,
        "kb": row.artifact.size_bytes / 1000,
        "p50_text": f"{latency.p50.ms:.4g} [{low_ms:.4g}, {high_ms:.4g}]",
        "top1_text": f"{100 * accuracy.top1:.2f} [{100 * low:.2f}, {100 * high:.2f}]",
        "kb_text": f"{row.artifact.size_bytes / 1000:,.0f}",
        "note": "valid" if latency.valid else f"not valid: {latency.why_invalid}",
    }
