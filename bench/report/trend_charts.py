"""The report's charts over commits: p50, accuracy and size of each row."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.wording import runtime_name, short_name
from bench.report.overview_chart import Spec, chart
from bench.results.history import History, HistoryLine


def trend(past: History, model: str) -> list[Spec]:
    """Return p50, top-1 and size of a model's rows over its runs, one chart each; none for fewer than two runs."""
    lines = [line for line in past.lines if line.subject.model_name == model]
    times = sorted({line.time for line in lines})
    if len(times) < 2:
        return []
    runs = {time: f"{number + 1}: {_commit(lines, time)}" for number, time in enumerate(times)}
    values = [_trend_point(line, runs) for line in lines]
    names = list(runs.values())
    known = [value for value in values if value["top1"] is not None]
    charts = [_trend(values, names, "p50", ("low_ms", "high_ms"), "p50, ms (log)")]
    if known:
        charts.append(_trend(known, names, "top1", ("low", "high"), "top-1, %"))
    return [*charts, _trend(values, names, "kb", None, "size, kB (log)")]


def _commit(lines: Sequence[HistoryLine], time: str) -> str:
    commit = next(line.commit for line in lines if line.time == time)
    return str(commit)[:7] if commit else time[:10]


def _trend_point(line: HistoryLine, runs: Mapping[str, str]) -> dict[str, Any]:
    low_ms, high_ms = line.p50.ci95
    low, high = line.ci95_top1 or (None, None)
    name = short_name(line.subject)
    return {
        "run": runs[line.time],
        "time": line.time,
        "variant": f"{line.subject.variant}.{line.subject.format}",
        "runtime": runtime_name(line.subject),
        "series": f"{name} on {line.host}, {line.cpu}",  # another machine is another line
        "p50": line.p50.ms,
        "low_ms": low_ms,
        "high_ms": high_ms,
        "top1": None if line.top1 is None else 100 * line.top1,
        "low": None if low is None else 100 * low,
        "high": None if high is None else 100 * high,
        "kb": line.size_bytes / 1000,
        "timing": "valid" if line.valid else "not valid",
    }


def _trend(values: list[dict[str, Any]], runs: list[str], field: str, ends: tuple[str, str] | None, title: str) -> Spec:
    x = {"field": "run", "type": "ordinal", "sort": runs, "title": None, "axis": {"labelAngle": -40, "labelOverlap": True}}
    scale = {"type": "log"} if title.endswith("(log)") else {"zero": False}
    y = {"type": "quantitative", "title": title, "scale": scale}
    color = {"field": "variant", "type": "nominal", "title": "variant"}
    dash = {"field": "runtime", "type": "nominal", "title": "runtime"}
    picked = {"condition": {"param": "pick", "value": 1}, "value": 0.1}
    tooltip = [{"field": name} for name in ("series", "run", "time", field, "timing")]
    lines: Spec = {
        "params": [{"name": "pick", "select": {"type": "point", "fields": ["variant"]}, "bind": "legend"}],
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": x,
            "y": {"field": field, **y},
            "color": color,
            "strokeDash": dash,
            "detail": {"field": "series"},
            "opacity": picked,
            "tooltip": tooltip,
        },
    }
    if ends is None:
        return chart(values, height=260, layer=[lines])
    between = {"x": x, "y": {"field": ends[0], **y}, "y2": {"field": ends[1]}, "color": color, "opacity": picked}
    return chart(values, height=260, layer=[lines, {"mark": {"type": "rule", "opacity": 0.5}, "encoding": between}])
