"""A chart of the report as a picture of its own, in the colours that the page's style sheet has for light."""

import re
import textwrap
from pathlib import Path
from typing import Any

from bench.report.overview_chart import Spec
from common.files import replacing_together

STYLE_SHEET = Path(__file__).resolve().parent / "web" / "report.css"
VEGA_LITE = "6.4"
WIDTH_PX = 760
TITLE_COLUMNS = 80  # of its letters that fit beside each other
TIMES = 2.0  # pixels of the PNG for one of the chart: it is also looked at on fine screens
FONT = "DejaVu Sans, Helvetica, Arial, sans-serif"


def write_pictures(spec: Spec, title: str, path: Path) -> tuple[Path, Path]:
    """Write a chart with its title as `path` with the endings .png and .svg, both or none. Return the two paths."""
    import vl_convert

    whole = {
        **spec,
        "width": WIDTH_PX,
        "autosize": "pad",
        "title": {"text": textwrap.wrap(title, TITLE_COLUMNS)},
        "config": config(),
    }
    with replacing_together(path.with_suffix(".png"), path.with_suffix(".svg")) as (png, svg):
        png.write_bytes(vl_convert.vegalite_to_png(whole, vl_version=VEGA_LITE, scale=TIMES))
        svg.write_text(vl_convert.vegalite_to_svg(whole, vl_version=VEGA_LITE), encoding="utf-8")
    return path.with_suffix(".png"), path.with_suffix(".svg")


def config() -> dict[str, Any]:
    """Return Vega's settings: the same looks as report.js gives a chart on the page."""
    color = _colors()
    ink, soft, line = color["ink"], color["soft"], color["line"]
    return {
        "background": color["paper"],
        "padding": 14,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {"labelColor": soft, "titleColor": soft, "gridColor": line, "domainColor": line, "tickColor": line}
        | {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500, "labelSeparation": 6},
        "legend": {"labelColor": ink, "titleColor": soft, "labelFontSize": 12, "orient": "bottom", "symbolOpacity": 1},
        "text": {"color": ink},
        "rule": {"color": soft},
        "title": {"color": ink, "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 12},
        "style": {
            "front": {"color": ink, "stroke": ink, "strokeOpacity": 0.75},
            "halo": {"color": color["paper"], "fill": color["paper"], "stroke": color["paper"], "strokeWidth": 5},
            "cell": {"stroke": None},
        },
        "range": {"category": [color[f"c{number}"] for number in range(1, 9)]},
    }


def _colors() -> dict[str, str]:
    """Return the colours of the style sheet's first block, by name."""
    first = STYLE_SHEET.read_text(encoding="utf-8").partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", first))
