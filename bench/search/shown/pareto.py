"""The plot of a search: accuracy against the minimized figure, every measured trial a point, front and budget as lines."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.overview_chart import Spec, chart
from bench.search.budget_line import TOP1
from bench.search.formatting import figure_name, figure_text, figure_title, limit_words, percent, shown_value
from bench.search.front import figure, interval, top1
from bench.search.result import Limit, SearchResult, Trial
from bench.search.shown.sentences import settings_words
from device.scoring import wilson_interval

HEIGHT_PX = 420
LOG_FROM = 8.0  # of the largest figure to the smallest: below it, a logarithmic axis has too few marks
HALF = 0.5  # pictures wrong, where none is: a logarithmic axis has no zero
ERRORS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 30, 50, 90)  # %, with a mark on the axis
KINDS = ("keeps the budget", "breaks the budget", "stopped early")


def pareto(search: SearchResult) -> Spec | None:
    """Return the plot; None where no trial was measured.

    The axis of accuracy is logarithmic in the share of errors, so that 99.0 and 99.5 % are as far apart as 90 and 95 %.
    """
    trials = [trial for trial in search.trials if trial.correct is not None and search.minimize in (trial.figures or {})]
    if not trials:
        return None
    points = [_point(search, trial) for trial in trials]
    x, y = _x(search, points), _y(search, points)
    return chart(
        points,
        height=HEIGHT_PX,
        layer=[*_budget(search, x, y), _front(x, y), *_whiskers(x, y), _points(search, x, y), _winner(points, x, y)],
    )


def _point(search: SearchResult, trial: Trial) -> dict[str, Any]:
    assert trial.correct is not None
    assert trial.total is not None
    low, high = wilson_interval(trial.correct, trial.total)
    value, ends = figure(trial, search.minimize), interval(trial, search.minimize)
    kind = KINDS[0] if trial.keeps_budget else KINDS[1]
    return {
        "trial": trial.number,
        "kind": KINDS[2] if trial.state != "done" else kind,
        "front": trial.number in search.front,
        "winner": trial.number == search.winner,
        "x": shown_value(search.minimize, value),
        "x_low": shown_value(search.minimize, ends[0]),
        "x_high": shown_value(search.minimize, ends[1]),
        "wrong": 100 * max(trial.total - trial.correct, HALF) / trial.total,
        "wrong_low": 100 * max(1 - high, HALF / trial.total),
        "wrong_high": 100 * (1 - low),
        "figure": figure_text(search.minimize, value),
        "accuracy": f"{percent(top1(trial))} [{100 * low:.2f}, {100 * high:.2f}]",
        "settings": settings_words(trial),
        "name": f"trial {trial.number}: {figure_text(search.minimize, value)}, {percent(top1(trial))}",
    }


def _x(search: SearchResult, points: Sequence[Mapping[str, Any]]) -> Spec:
    values = [point["x"] for point in points] + [
        shown_value(limit.figure, limit.most) for limit in search.limits if limit.figure == search.minimize and limit.most
    ]
    is_log = min(values) > 0 and max(values) / min(values) >= LOG_FROM
    scale = {"type": "log" if is_log else "linear", "zero": False, "nice": False, "padding": 28}
    return {"type": "quantitative", "scale": scale, "title": figure_title(search.minimize) + (" (log)" if is_log else "")}


def _y(search: SearchResult, points: Sequence[Mapping[str, Any]]) -> Spec:
    asked = [100 * (1 - limit.least) for limit in search.limits if limit.figure == TOP1 and limit.least and limit.least < 1]
    low = min([*(point["wrong_low"] for point in points), *asked])
    high = max([*(point["wrong_high"] for point in points), *asked])
    scale = {"type": "log", "reverse": True, "nice": False, "domain": [low / 1.1, min(high * 1.1, 100)]}
    axis = {"values": list(ERRORS), "labelExpr": "format(100 - datum.value, '.4~g')"}
    return {"type": "quantitative", "scale": scale, "axis": axis, "title": "validation pictures right, %"}


def _budget(search: SearchResult, x: Spec, y: Spec) -> list[Spec]:
    """Return a line with its name for each limit that is on one of the axes."""
    lines: list[Spec] = []
    for limit in search.limits:
        if limit.figure == TOP1 and limit.least is not None and limit.least < 1:
            lines += _limit(limit, {"y": {"field": "at", **y}}, 100 * (1 - limit.least), x="width", dy=-7, align="right")
        elif limit.figure == search.minimize and limit.most is not None:
            at = shown_value(limit.figure, limit.most)
            lines += _limit(limit, {"x": {"field": "at", **x}}, at, y=12, dx=-6, align="right")
    return lines


def _limit(limit: Limit, place: Spec, at: float, **text: Any) -> list[Spec]:
    data = {"values": [{"at": at, "name": limit_words(limit)}]}
    where = {"x": {"value": text.pop("x")}} if "x" in text else {"y": {"value": text.pop("y")}}
    name = {"type": "text", "fontSize": 11, **text}
    return [
        {"data": data, "mark": {"type": "rule", "strokeWidth": 1.5, "strokeDash": [2, 3]}, "encoding": place},
        {"data": data, "mark": name, "encoding": {**place, **where, "text": {"field": "name"}}},
    ]


def _front(x: Spec, y: Spec) -> Spec:
    return {
        "transform": [{"filter": "datum.front"}],
        "mark": {"type": "line", "interpolate": "step-after", "opacity": 0.6, "style": "front"},
        "encoding": {"x": {"field": "x", **x}, "y": {"field": "wrong", **y}, "order": {"field": "x"}},
    }


def _whiskers(x: Spec, y: Spec) -> list[Spec]:
    """Return the 95 % intervals of both figures."""
    rule = {"mark": {"type": "rule", "opacity": 0.22}}
    at_x, at_y, color = {"field": "x", **x}, {"field": "wrong", **y}, _color()
    upright = {"x": at_x, "y": {"field": "wrong_low", **y}, "y2": {"field": "wrong_high"}, "color": color}
    level = {"x": {"field": "x_low", **x}, "x2": {"field": "x_high"}, "y": at_y, "color": color}
    return [{**rule, "encoding": upright}, {**rule, "encoding": level}]


def _color() -> Spec:
    return {"field": "kind", "type": "nominal", "scale": {"domain": list(KINDS)}, "title": None}


def _points(search: SearchResult, x: Spec, y: Spec) -> Spec:
    titles = {
        "trial": "trial",
        "accuracy": "right, % [95 %]",
        "figure": figure_name(search.minimize),
        "kind": "budget",
        "settings": "settings",
    }
    return {
        "mark": {"type": "point", "filled": True, "size": 75, "strokeWidth": 1.5},
        "encoding": {
            "x": {"field": "x", **x},
            "y": {"field": "wrong", **y},
            "color": _color(),
            "shape": {"field": "kind", "type": "nominal", "scale": {"domain": list(KINDS)}, "title": None},
            "fillOpacity": {"condition": {"test": "datum.front", "value": 0.95}, "value": 0.5},
            "tooltip": [{"field": name, "title": title} for name, title in titles.items()],
        },
    }


def _winner(points: Sequence[Mapping[str, Any]], x: Spec, y: Spec) -> Spec:
    """Return the winner's ring and name, on the side with free space; all points, the others without a text.

    A layer without points makes Vega warn of an axis without an extent.
    """
    middle = (min(point["x"] for point in points) + max(point["x"] for point in points)) / 2
    left = f"datum.x <= {middle}"
    side = {"align": {"expr": f"{left} ? 'left' : 'right'"}, "dx": {"expr": f"{left} ? 12 : -12"}, "dy": -16}
    place = {"x": {"field": "x", **x}, "y": {"field": "wrong", **y}}
    ring = {"condition": {"test": "datum.winner", "value": 1}, "value": 0}
    name = {"condition": {"test": "datum.winner", "field": "name"}, "value": ""}
    text = {"type": "text", "fontSize": 12, "fontWeight": 600, **side}
    return {
        "layer": [
            {
                "mark": {"type": "point", "filled": False, "size": 260, "strokeWidth": 2, "style": "front"},
                "encoding": {**place, "strokeOpacity": ring},
            },
            {"mark": {**text, "style": "halo"}, "encoding": {**place, "text": name}},
            {"mark": text, "encoding": {**place, "text": name}},
        ]
    }
