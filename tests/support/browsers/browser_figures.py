"""What a browser measured of a small model."""

from dataclasses import replace
from typing import Any

from bench.results.browser_figures import BrowserFigures

USUAL = BrowserFigures(
    browser="Chromium 156.0", isolated=True, clock_step_us=5.0, block=4, fetch_ms=40.4, compile_ms=500.2,
    first_inference_ms=10.0, download_bytes=9_800_000, download_gzip_bytes=3_000_000, native="litert 2.3",
    compared=1_000, same_class=999,
)  # fmt: skip


def browser_figures(**changes: Any) -> BrowserFigures:
    """Return the usual figures with other values."""
    return replace(USUAL, **changes)
