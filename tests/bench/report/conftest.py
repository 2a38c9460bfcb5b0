"""The report that the tests of its page open."""

from pathlib import Path

import pytest

from bench.report.html import page
from tests.support.report_pages import searched, trend, usual


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    results = usual()
    path.write_text(page(results, trend(results), [searched()]), encoding="utf-8")
    return path
