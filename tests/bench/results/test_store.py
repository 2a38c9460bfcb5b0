"""Results on disk: merging, and files of other schemas."""

from pathlib import Path

import numpy as np
import pytest

from bench.report.markdown import COLUMNS, markdown, table
from bench.results.row import Skipped
from bench.results.samples import Samples
from bench.results.store import Results, load_results
from device.errors import EdgeproofError
from tests.support.results_builder import ENVIRONMENT, measurement, steady


class TestResults:
    def test_a_new_row_replaces_the_one_with_the_same_key(self, tmp_path: Path) -> None:
        results = Results()
        results.merge([measurement("litert"), measurement("tflite_runtime")], [], ENVIRONMENT)
        newer = measurement("litert", samples=Samples((steady(70),), np.ones(100, np.uint16)))
        results.merge([newer], [], ENVIRONMENT)
        results.save(tmp_path / "bench.json")
        again = load_results(tmp_path / "bench.json")
        assert [row.samples.count for row in again.rows] == [70, 110]
        for row in again.rows:
            assert Samples.from_arrays(again.arrays, row.key).sha256 == row.samples.sha256

    def test_a_row_that_is_measured_is_no_longer_skipped(self) -> None:
        results = Results()
        results.merge([], [Skipped(measurement().subject, "not there")], ENVIRONMENT)
        assert len(results.skipped) == 1
        results.merge([measurement()], [], ENVIRONMENT)
        assert (len(results.rows), len(results.skipped)) == (1, 0)

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", "no readable JSON"),
            ('{"schema": 1, "measurem', "no readable JSON"),
            ("[]", "schema is None"),
            ('{"schema": 99}', "schema is 99"),
            ('{"schema": 1}', "damaged"),
        ],
    )
    def test_a_damaged_file_is_named(self, tmp_path: Path, text: str, found: str) -> None:
        path = tmp_path / "bench.json"
        path.write_text(text)
        with pytest.raises(EdgeproofError, match=found) as error:
            load_results(path)
        assert "bench.json" in str(error.value)

    def test_the_report_has_a_line_a_row_and_the_reason_of_each_skip(self) -> None:
        results = Results()
        skipped = Skipped(measurement("litert").subject, "no such op")
        results.merge([measurement("tflite_runtime")], [skipped], ENVIRONMENT)
        text = markdown(results)
        assert "tflite_runtime 1.0" in text
        assert "no such op" in text
        assert [len(cells) for cells in table(results.rows)] == [len(COLUMNS)]
