"""The limits of a file's own figures in `bench gate`: judged where the figure is known, named where it is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.artifacts.find import Artifact
from bench.budgets.baseline import Baseline
from bench.budgets.finding import Finding
from bench.budgets.gate import Setting, gate, unjudged
from bench.budgets.gate_pairs import pairs_of
from bench.budgets.present_limits import not_judged, results_if_there
from bench.results.store import Results
from common.verdict import Verdict
from tests.support.baselines import HERE, RULES, changed, measured, rules
from tests.support.gate_bench import Bench

OWN = '[[budget]]\nmodel = "mnist_cnn"\nmax_regression = 0.05\n'


def found(
    baseline: Baseline, candidate: Artifact, tmp_path: Path, text: str, results: Results | None = None
) -> tuple[dict[str, Finding], str]:
    """Return the findings by their limits, and the line of what was not judged."""
    budgets = rules(tmp_path, text)
    bench = Bench(baseline)
    pairs = pairs_of(baseline, [candidate], budgets, HERE, all_named=True)
    findings = gate(pairs, baseline, HERE, bench, Setting(200, clock=bench.clock, measured=results), lambda _: None)
    left = not_judged(budgets, [pair.row.subject for pair in pairs], unjudged(pairs, findings), "measure")
    return {finding.limit.name: finding for finding in findings}, left


class TestAnUnchangedFile:
    @pytest.mark.parametrize(("key", "kept", "broken"), [("max_size_kb", 115, 10), ("min_top1", 0.98, 0.999)])
    def test_is_held_to_limits_that_are_stricter_than_when_it_was_saved(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path, key: str, kept: float, broken: float
    ) -> None:
        for value, verdict in ((kept, Verdict.PASS), (broken, Verdict.FAIL)):
            findings, left = found(baseline, artifact, tmp_path, f"{RULES}{key} = {value}\n")
            assert (findings[key].verdict, left) == (verdict, "")
            assert findings["max_regression"].verdict is Verdict.PASS

    def test_its_saved_times_of_another_machine_show_nothing_here(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path
    ) -> None:
        (tmp_path / "here.toml").write_text('[match]\ncpu = "Celeron*"\n')
        text = OWN + '[[budget]]\ndevice = "here"\nmax_p50_ms = 100\n'
        pairs = pairs_of(baseline, [artifact], rules(tmp_path, text), HERE, all_named=True, devices=tmp_path)
        findings = gate(pairs, baseline, HERE, Bench(baseline), Setting(), lambda _: None)
        assert [limit.name for limit in unjudged(pairs, findings)] == ["max_p50_ms"]


class TestAChangedFile:
    def test_its_size_is_that_of_the_present_file(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        candidate = changed(artifact, tmp_path / "new", padding="x" * 50_000)
        findings, _ = found(baseline, candidate, tmp_path, OWN + "max_size_kb = 150\n")
        size = findings["max_size_kb"]
        assert (size.verdict, size.samples) == (Verdict.FAIL, "the file")
        assert size.measured is not None
        assert size.measured.value == candidate.path.stat().st_size / 1000

    @pytest.mark.parametrize(("least", "verdict"), [(0.98, Verdict.PASS), (0.999, Verdict.FAIL)])
    def test_its_top1_is_judged_by_the_pictures_that_the_gate_had_it_answer(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path, least: float, verdict: Verdict
    ) -> None:
        findings, _ = found(baseline, changed(artifact, tmp_path / "new"), tmp_path, f"{RULES}min_top1 = {least}\n")
        top1 = findings["min_top1"]
        assert (top1.verdict, top1.samples) == (verdict, "10,000 pictures")
        assert top1.measured is not None
        assert top1.measured.value == 0.993

    def test_what_results_hold_of_this_very_file_is_judged(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path
    ) -> None:
        candidate = changed(artifact, tmp_path / "new")
        text = OWN + "max_peak_rss_mb = 49\nmin_top1 = 0.9\n"
        findings, left = found(baseline, candidate, tmp_path, text, measured(candidate))
        assert (findings["max_peak_rss_mb"].verdict, findings["min_top1"].verdict) == (Verdict.FAIL, Verdict.PASS)
        assert left == ""
        findings, left = found(baseline, candidate, tmp_path, text, measured(artifact))  # of the file before it changed
        assert set(findings) == {"max_regression"}
        assert left == f"not judged: max_peak_rss_mb, min_top1 ({tmp_path / 'budgets.toml'}:4, 5): measure"


def test_a_rule_about_a_model_that_is_not_compared_is_named(baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
    text = OWN + '[[budget]]\nmodel = "other"\nmax_size_kb = 1\n'
    assert found(baseline, artifact, tmp_path, text)[1].startswith("not judged: max_size_kb (")


def test_a_file_without_a_budget_against_the_baseline_is_still_held_to_its_size(
    baseline: Baseline, artifact: Artifact, tmp_path: Path
) -> None:
    row = baseline.results.rows[0]
    baseline.results.rows.append(replace(row, subject=replace(row.subject, runtime="tflite_runtime")))
    text = OWN + 'runtime = "litert"\n[[budget]]\nmodel = "mnist_cnn"\nmax_size_kb = 1\n'
    pairs = pairs_of(baseline, [artifact], rules(tmp_path, text), HERE, all_named=True)
    findings = gate(pairs, baseline, HERE, Bench(baseline), Setting(), lambda _: None)
    assert [finding.verdict for finding in findings] == [Verdict.PASS, Verdict.FAIL, Verdict.FAIL]


def test_results_that_are_not_there_are_none(tmp_path: Path) -> None:
    assert results_if_there(tmp_path / "bench.json") is None
