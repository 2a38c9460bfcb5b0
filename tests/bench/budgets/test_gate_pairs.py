"""The pairs of the gate: which rows and limits are compared, and what is refused before anything is measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.artifacts.find import Artifact
from bench.budgets.baseline import Baseline
from bench.budgets.gate_pairs import pairs_of
from bench.measure.fresh_processes import Side
from device.errors import EdgeproofError
from tests.support.baselines import COUNTS, HERE, RULES, changed, rules
from tests.support.browsers.browser_figures import browser_figures


class TestLimits:
    def test_a_row_of_a_browser_is_measured_here_too_and_one_of_a_board_is_not(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path
    ) -> None:
        candidate, row = changed(artifact, tmp_path / "new"), baseline.results.rows[0]
        in_browser = replace(row, subject=replace(row.subject, device="chromium"), browser=browser_figures())
        baseline.results.rows[:] = [in_browser]
        (pair,) = pairs_of(baseline, [candidate], rules(tmp_path), HERE, all_named=True)
        assert (pair.base.device, pair.candidate.device) == ("chromium", "chromium")
        assert len(pair.limits) == 2
        baseline.results.rows[:] = [replace(in_browser, browser=None)]
        with pytest.raises(EdgeproofError, match="must not pass without a measurement"):
            pairs_of(baseline, [candidate], rules(tmp_path), HERE, all_named=True)

    @pytest.mark.parametrize(("device", "kept"), [("pi4", ["max_instruction_regression"]), ("host", None)])
    def test_elsewhere_only_counts_are_compared(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path, device: str, kept: list[str] | None
    ) -> None:
        row = baseline.results.rows[0]
        moved = replace(row, subject=replace(row.subject, device=device))
        other = replace(baseline, results=replace(baseline.results, rows=[moved]))
        budgets = rules(tmp_path, COUNTS + "max_regression = 0.05\nmax_top1_regression = 0.1\n")
        (pair,) = pairs_of(other, [artifact], budgets, HERE, all_named=True)
        names = [limit.name for limit in pair.limits]
        assert names == (kept or ["max_instruction_regression", "max_regression", "max_top1_regression"])

    def test_times_that_mean_nothing_are_not_compared(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        row = baseline.results.rows[0]
        moved = replace(row, subject=replace(row.subject, accelerator="gpu-software"))
        other = replace(baseline, results=replace(baseline.results, rows=[moved]))
        (pair,) = pairs_of(other, [artifact], rules(tmp_path), HERE, all_named=True)
        assert [limit.name for limit in pair.limits] == ["max_top1_regression"]

    def test_sides_are_measured_as_the_row_was(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        candidate = changed(artifact, tmp_path / "new")
        for all_named in (True, False):
            (pair,) = pairs_of(baseline, [candidate], rules(tmp_path), HERE, all_named=all_named)
            assert pair.base == Side(baseline.artifacts[0], "litert", 1)
            assert pair.candidate == Side(candidate, "litert", 1)
            assert not pair.unchanged


class TestRefused:
    def test_a_rule_that_matches_nothing_in_the_baseline_is_refused(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path
    ) -> None:
        budgets = rules(tmp_path, RULES + '[[budget]]\nmodel = "resnet"\nmax_regression = 0.1\n')
        with pytest.raises(EdgeproofError, match=r"budgets\.toml:5: matches nothing in the baseline"):
            pairs_of(baseline, [artifact], budgets, HERE, all_named=False)

    @pytest.mark.parametrize("all_named", [True, False])
    def test_a_rule_about_an_unknown_device_is_refused(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path, all_named: bool
    ) -> None:
        budgets = rules(tmp_path, RULES + '[[budget]]\ndevice = "p14"\nmax_regression = 0.1\n')
        with pytest.raises(EdgeproofError, match=r"budgets\.toml:5: device: found 'p14', expected one of .*pi4"):
            pairs_of(baseline, [artifact], budgets, HERE, all_named=all_named)

    def test_no_budget_for_what_is_compared_is_refused(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match="must not pass without a measurement"):
            pairs_of(baseline, [artifact], rules(tmp_path, "[[budget]]\nmax_size_kb = 1\n"), HERE, all_named=True)

    def test_two_files_that_are_the_same_artifact_are_refused(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path
    ) -> None:
        other = changed(artifact, tmp_path / "new")
        with pytest.raises(EdgeproofError, match=r"both are mnist_cnn int8\.tflite"):
            pairs_of(baseline, [artifact, other], rules(tmp_path), HERE, all_named=False)

    def test_a_missing_counterpart_is_refused(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        other = changed(artifact, tmp_path / "new", variant="float16")
        with pytest.raises(EdgeproofError, match=r"has none of mnist_cnn float16\.tflite"):
            pairs_of(baseline, [other], rules(tmp_path), HERE, all_named=True)
        with pytest.raises(EdgeproofError, match=r"mnist_cnn int8\.tflite has no counterpart"):
            pairs_of(baseline, [other], rules(tmp_path), HERE, all_named=False)
