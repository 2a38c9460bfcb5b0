"""The gate's sides in a browser: fresh pages of a stand-in."""

import random
from pathlib import Path

import numpy as np
import pytest

from bench.artifacts.find import find_artifacts
from bench.measure.fresh_processes import FreshProcesses, Side, SideFailed
from bench.remote.browser.sides import with_browsers
from device.errors import RuntimeMissing
from tests.support.browsers.stand_in_browser import install
from tests.support.models.model_files import READY


@pytest.fixture(autouse=True)
def _no_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)


def side_on(device: Path) -> Side:
    return Side(find_artifacts([READY])[0], "litert_web", 1, str(device))


def test_pages_are_measured_like_processes(tmp_path: Path) -> None:
    side = side_on(install(tmp_path))
    with FreshProcesses(lambda _: None) as fresh, with_browsers(fresh) as sides:
        process = sides.process(side)
        assert process.runtime_version == "1.2.3"
        assert np.median(process.latency_ns) == 250_000
        assert list(process.startup_ns) == [20_000_000, 300_000_000, 5_000_000, 9_000_000]
        found = sides.round([side, side, side], random.Random(0))
        assert found.log_ratios == pytest.approx([0, 0, 0])
        assert found.p50_ns == pytest.approx([250_000] * 3)


def test_a_page_that_refuses_the_model_is_a_side_that_failed(tmp_path: Path) -> None:
    side = side_on(install(tmp_path, "open"))
    with FreshProcesses(lambda _: None) as fresh, with_browsers(fresh) as sides, pytest.raises(SideFailed, match="refuses"):
        sides.process(side)


def test_a_browser_that_is_not_there_is_missing(tmp_path: Path) -> None:
    side = side_on(install(tmp_path))
    (tmp_path / "browser").unlink()
    with (
        FreshProcesses(lambda _: None) as fresh,
        with_browsers(fresh) as sides,
        pytest.raises(RuntimeMissing, match="make chr"),
    ):
        sides.process(side)
