"""Do two runs agree?"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bench.analysis import repeatability
from bench.analysis.repeatability import Repeated, Share, shares
from bench.results.samples import Samples
from bench.results.store import Results
from bench.stats.ratios import Ratio
from common.verdict import Verdict
from device.errors import EdgeproofError
from tests.support.results_builder import ENVIRONMENT, make_results, make_row, measurement, saved


class TestRepeatability:
    @staticmethod
    def write(path: Path, *factors: float) -> Path:
        """Write a run of as many rows as there are factors, each so many times as slow as a millisecond."""
        results = Results()
        for number, factor in enumerate(factors):
            samples = tuple(
                (1_000_000 * factor * np.random.default_rng((number, process)).normal(1, 0.01, 200)).astype(np.int64)
                for process in range(3)
            )
            row = measurement(samples=Samples(samples, np.zeros(100, np.uint16)))
            results.merge([replace(row, subject=replace(row.subject, model=f"m{number}"))], [], ENVIRONMENT)
        results.save(path)
        return path

    def ask(self, first: Path, second: Path) -> Any:
        return CliRunner().invoke(repeatability.main, [str(first), str(second)], standalone_mode=False)

    def test_two_alike_runs_agree_in_every_row(self, tmp_path: Path) -> None:
        result = self.ask(self.write(tmp_path / "a.json", 1, 1, 2), self.write(tmp_path / "b.json", 1, 1, 2))
        assert result.return_value == 0
        assert "rows that both runs call valid: 3 of 3, 100.0 %" in result.output
        assert "of these, rows that agree: 3 of 3, 100.0 %" in result.output

    def test_rows_that_moved_are_marked_and_break_the_promise(self, tmp_path: Path) -> None:
        result = self.ask(self.write(tmp_path / "a.json", *[1] * 6), self.write(tmp_path / "b.json", *[1.5] * 5, 1))
        assert result.return_value == 1
        assert result.output.count("!  1.5") == 5
        assert "of these, rows that agree: 1 of 6" in result.output

    def test_one_miss_among_few_rows_shows_nothing(self) -> None:
        assert Share("rows", 9, 10, 0.95).verdict is Verdict.INCONCLUSIVE
        assert Share("rows", 40, 42, 0.95).verdict is Verdict.PASS
        assert Share("rows", 30, 42, 0.95).verdict is Verdict.FAIL
        assert Share("rows", 0, 0, 0.95).verdict is Verdict.INCONCLUSIVE

    @pytest.mark.parametrize(
        ("value", "low", "high", "agrees"),
        [
            (1.05, 1.04, 1.06, True),
            (1.06, 1.05, 1.07, False),
            (1.06, 0.99, 1.13, True),
            (0.953, 0.95, 0.96, True),
            (0.94, 0.93, 0.95, False),
        ],
    )
    def test_rows_agree_within_a_twentieth_or_their_joint_interval(
        self, value: float, low: float, high: float, agrees: bool
    ) -> None:
        assert Repeated("a row", Ratio(value, low, high), None).agrees is agrees

    def test_a_row_that_one_run_calls_invalid_promises_nothing(self) -> None:
        rows = [Repeated("a", Ratio(1.0, 0.99, 1.01), None), Repeated("b", Ratio(2.0, 1.9, 2.1), "disturbed")]
        valid, agreeing = shares(rows, {})
        assert (valid.right, valid.rows, agreeing.right, agreeing.rows) == (1, 2, 1, 1)

    def test_rows_that_were_disturbed_must_be_called_invalid(self, tmp_path: Path) -> None:
        rows = [make_row(disturbed=True), make_row("int8", disturbed=True), make_row("float16")]
        saved(tmp_path / "beside.json", make_results(rows))
        paths = [self.write(tmp_path / name, 1, 1) for name in ("a.json", "b.json")]
        options = ["--disturbed", str(tmp_path / "beside.json"), "--disturbed", str(tmp_path / "quota.json")]
        result = CliRunner().invoke(repeatability.main, [*map(str, paths), *options], standalone_mode=False)
        assert "beside.json that are called invalid: 2 of 3" in result.output
        assert f"SKIPPED: {tmp_path / 'quota.json'}" in result.output
        assert result.return_value == 3

    def test_runs_without_a_row_in_common_are_refused(self, tmp_path: Path) -> None:
        Results().save(tmp_path / "a.json")
        result = self.ask(tmp_path / "a.json", tmp_path / "a.json")
        assert isinstance(result.exception, EdgeproofError)
        assert "no row is in both" in str(result.exception)
