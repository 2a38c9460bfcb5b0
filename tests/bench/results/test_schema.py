"""A bench.json of another form is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.results.store import latencies_ns, load_results
from device.errors import EdgeproofError
from tests.support.results_builder import make_results, make_row, saved

Change = Callable[[dict[str, Any]], object]


class TestFilesFromElsewhere:
    @pytest.mark.parametrize(
        ("change", "found"),
        [
            (lambda d: d.update(measurements={}), "'measurements' is {}, expected a list"),
            (lambda d: d["measurements"].append(7), r"measurements\[1\] is 7, expected an object"),
            (lambda d: d["measurements"][0].pop("latency"), r"measurements\[0\].latency is None"),
            (
                lambda d: d["measurements"][0]["latency"].update(p50_ms="fast"),
                "latency.p50_ms is 'fast', expected int or float",
            ),
            (lambda d: d["measurements"][0]["latency"].update(p50_ms=0), "latency.p50_ms is 0, expected more than 0"),
            (
                lambda d: d["measurements"][0]["latency"].update(ci95_p50_ms=[1]),
                r"ci95_p50_ms is \[1\], expected two numbers",
            ),
            (lambda d: d["measurements"][0].update(threads=True), "threads is True, expected int"),
            (lambda d: d["measurements"][0]["accuracy"].update(top1=float("nan")), "NaN is no number"),
            (
                lambda d: d["measurements"].append(d["measurements"][0]),
                r"measurements\[1\] \(m/float32.tflite/litert/host/cpu/1\) is 'a second row'",
            ),
            (lambda d: d.update(skipped=[{"model": "m", "name": None}]), r"skipped\[0\].variant is missing, expected str"),
        ],
    )
    def test_a_defect_is_named_by_file_row_and_field(self, tmp_path: Path, change: Change, found: str) -> None:
        path = tmp_path / "bench.json"
        saved(path, make_results([make_row()]))
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))
        with pytest.raises(EdgeproofError, match=found) as error:
            load_results(path)
        assert str(path) in str(error.value)

    def test_samples_of_another_run_are_refused(self, tmp_path: Path) -> None:
        saved(tmp_path / "a.json", make_results([make_row()]))
        saved(tmp_path / "b.json", make_results([make_row(p50_ms=3)]))
        (tmp_path / "b.npz").replace(tmp_path / "a.npz")
        results = load_results(tmp_path / "a.json")
        with pytest.raises(EdgeproofError, match="do not belong to this row"):
            latencies_ns(results, results.rows[0])

    def test_missing_samples_are_said(self) -> None:
        results = make_results([make_row()])
        results.arrays.clear()
        with pytest.raises(EdgeproofError, match="its samples are missing"):
            latencies_ns(results, results.rows[0])

    def test_a_row_of_unknown_accuracy_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "bench.json"
        saved(path, make_results([make_row()]))
        document = json.loads(path.read_text())
        document["measurements"][0]["accuracy"] = None
        path.write_text(json.dumps(document))
        assert load_results(path).rows[0].accuracy is None
