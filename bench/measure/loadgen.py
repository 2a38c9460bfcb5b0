"""The same session under MLPerf's own LoadGen, scenario SingleStream: its logs are kept, and its figures are read from them.

LoadGen 6 (mlcommons-loadgen). It costs some microseconds a query in Python, so its figures are shown beside ours and
never replace them.
"""

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.extras import how_to_add
from device.errors import CheckFailed, RuntimeMissing

DETAIL, TRACE = "mlperf_log_detail.txt", "mlperf_log_trace.json"
PREFIX = ":::MLLOG "


@dataclass(frozen=True)
class LoadgenResult:
    """What LoadGen's detail log says of a run. `p90_ns` is its early-stopping estimate, None where queries are too few."""

    version: str
    valid: bool
    queries: int
    p50_ns: int
    p90_ns: int | None

    def to_json(self, logs: Path) -> dict[str, Any]:
        """Return the value of a row's `loadgen`."""
        milliseconds = {"p50_ms": self.p50_ns / 1e6, "p90_ms": None if self.p90_ns is None else self.p90_ns / 1e6}
        return {"version": self.version, "valid": self.valid, "queries": self.queries, **milliseconds, "logs": str(logs)}


def check_installed() -> None:
    """Raise RuntimeMissing where LoadGen is not installed."""
    if importlib.util.find_spec("mlperf_loadgen") is None:
        raise RuntimeMissing(f"LoadGen is not installed (it is for Linux on x86-64): {how_to_add('loadgen')}")


def run_loadgen(
    infer: Callable[[Any], Any],
    tensors: Sequence[Any],
    folder: Path,
    *,
    queries: int,
    duration_ns: int,
    expected_ns: int,
    trace: bool = False,
) -> LoadgenResult:
    """Run SingleStream over `tensors` with at least `queries` and `duration_ns`; LoadGen writes its logs to `folder`.

    `expected_ns` is an estimate of the latency: without it LoadGen prepares too few queries for a very fast model and
    calls the run invalid. `trace` keeps each query's times too (some hundred bytes a query).
    """
    import mlperf_loadgen as loadgen

    def issue(samples: list[Any]) -> None:
        for sample in samples:
            infer(tensors[sample.index])
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])

    settings, log = loadgen.TestSettings(), loadgen.LogSettings()
    settings.scenario, settings.mode = loadgen.TestScenario.SingleStream, loadgen.TestMode.PerformanceOnly
    settings.single_stream_expected_latency_ns = expected_ns
    settings.min_query_count, settings.min_duration_ms = queries, max(1, duration_ns // 1_000_000)
    folder.mkdir(parents=True, exist_ok=True)
    log.log_output.outdir, log.log_output.copy_summary_to_stdout, log.enable_trace = str(folder), False, trace
    system = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(len(tensors), len(tensors), lambda _: None, lambda _: None)
    try:
        loadgen.StartTestWithLogSettings(system, library, settings, log)
    finally:
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
    return read_detail(folder)


def read_detail(folder: Path) -> LoadgenResult:
    """Read LoadGen's detail log. Raises CheckFailed where it is not a log of LoadGen 6."""
    values: dict[str, Any] = {}
    try:
        for line in (folder / DETAIL).read_text().splitlines():
            if line.startswith(PREFIX):
                entry = json.loads(line.removeprefix(PREFIX))
                values[entry["key"]] = entry["value"]
        p90_ns = int(values.get("early_stopping_latency_ss", 0))
        return LoadgenResult(
            version=str(values["loadgen_version"]),
            valid=values["result_validity"] == "VALID",
            queries=int(values["result_query_count"]),
            p50_ns=int(values["result_50.00_percentile_latency_ns"]),
            p90_ns=p90_ns or None,
        )
    except (OSError, ValueError, KeyError) as error:
        raise CheckFailed(f"{folder / DETAIL}: is no log of LoadGen 6 ({error}): install mlcommons-loadgen 6.0") from error


def read_trace(folder: Path) -> npt.NDArray[np.int64]:
    """Return the latency of each query that LoadGen logged, in nanoseconds, int64 (queries,)."""
    begins = (line for line in (folder / TRACE).read_text().splitlines() if '"complete_ns"' in line)
    spans = (json.loads(line.rstrip(","))["args"] for line in begins)
    return np.array([span["complete_ns"] - span["issue_start_ns"] for span in spans], np.int64)
