"""Reports for tests: results with rows of each kind, their trend, a search, and what stands in a page."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bench.report.section import Section
from bench.results import history
from bench.results.history import History
from bench.results.row import Skipped
from bench.results.store import Results
from bench.search.budget_line import broken
from bench.search.result import Limit
from bench.search.shown.section import section_of
from bench.search.winner import concluded
from tests.support.results_builder import CLASSES, ENVIRONMENT, make_results, make_row
from tests.support.searching.searches import paired, search, trial, unfinished


def usual(classes: tuple[str, ...] = CLASSES) -> Results:
    rows = [
        make_row("float32", "keras", 20.0, size_bytes=1_500_000),
        make_row("float32", p50_ms=1.0, wrong=range(10)),
        make_row("int8", p50_ms=0.5, wrong=range(5, 17), size_bytes=100_000),
        make_row("float32", "tflite_runtime", p50_ms=1.1, wrong=range(10)),
        make_row("int8", "tflite_runtime", p50_ms=3.0, wrong=range(5, 17), size_bytes=100_000),
        make_row("float32", p50_ms=4.0, wrong=range(4), model="big", size_bytes=9_000_000),
        make_row("int8", p50_ms=2.5, wrong=range(4), model="big", size_bytes=2_000_000, disturbed=True),
    ]
    results = make_results(rows, classes)
    refused = Skipped(replace(rows[2].subject, runtime="tvm"), "tvm is not installed: pip install <tvm>")
    results.merge([], [refused], ENVIRONMENT)
    return results


def trend(results: Results) -> History:
    entries: list[history.HistoryLine] = []
    for day in (1, 2, 3):
        environment = replace(ENVIRONMENT, git_commit=f"{day}" * 40)
        entries += history.lines_of(results.rows, environment, datetime(2026, 1, day, tzinfo=UTC))
    return History(tuple(entries), 1)


def searched(text: str = "m") -> Section:
    """Return the section of a search with some trials of each kind; `text` stands in its name, settings and reasons."""
    failed = replace(unfinished(6, "failed", text), settings={text: text})
    trials = [trial(number, 4850 + 20 * number, 9_000 + 4_000 * number, settings={text: text}) for number in range(6)]
    limits = (Limit("top1", least=0.975), Limit("size_bytes", most=25_000))
    trials = [replace(one, keeps_budget=not broken(one, limits)) for one in trials]
    found = concluded(search(*trials, failed, limits=limits, model=text), paired)
    return section_of(found, f"Search: {text}", "search-m", ["m@search/search.md"], None)


def data_of(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))
