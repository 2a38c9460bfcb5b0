"""The table of budgets: a new kind is one row of it, and everything else follows."""

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from bench.artifacts.find import Artifact
from bench.budgets.baseline import Baseline
from bench.budgets.check import check
from bench.budgets.export.bencher import bencher
from bench.budgets.export.github import annotations
from bench.budgets.export.json_text import plain
from bench.budgets.export.junit import junit
from bench.budgets.export.lines import lines
from bench.budgets.export.markdown import markdown
from bench.budgets.figures import Case, Measured
from bench.budgets.finding import Finding
from bench.budgets.gate import Measures, Setting, count_key, gate
from bench.budgets.gate_pairs import pairs_of
from bench.budgets.kinds import KINDS, Comparison, Kind
from bench.budgets.remeasure import is_partner, undecided_rows
from bench.budgets.rules import load_budgets
from bench.commands.report import recommend
from common.files import sha256_of
from common.interval import Interval
from common.verdict import Verdict
from device.errors import EdgeproofError
from tests.support.baselines import HERE, changed, rules
from tests.support.budget_results import budgets_file, results
from tests.support.results_builder import counted, saved, usual

ENERGY = "max_energy_mj"


def energy(case: Case) -> Measured:
    """Return a made-up energy: that of a small file is 2 mJ, within 1.8 to 2.3."""
    return Measured(Interval(2.0, 1.8, 2.3), f"at an error of {case.error:g}")


@pytest.fixture
def new_kind(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """Add a row to the table: a figure that more processes can decide, compared with float16."""
    kind = Kind(ENERGY, "mJ", energy, timed=True, reference="float16", help="Energy of one inference.")
    monkeypatch.setitem(KINDS, ENERGY, kind)
    return kind


@pytest.mark.usefixtures("new_kind")
class TestNewKind:
    def held(self, tmp_path: Path, limit: float) -> Finding:
        (finding,) = check(results(), load_budgets(budgets_file(tmp_path, f"{ENERGY} = {limit}")), devices=tmp_path)
        return finding

    @pytest.mark.parametrize(("limit", "verdict"), [(2.4, "PASS"), (2.0, "INCONCLUSIVE"), (1.7, "FAIL")])
    def test_check_judges_it_at_99_percent(self, tmp_path: Path, limit: float, verdict: str) -> None:
        finding = self.held(tmp_path, limit)
        assert (finding.verdict, finding.samples) == (Verdict[verdict], "at an error of 0.01")

    @pytest.mark.parametrize("value", ["0", "-1", '"2"', "nan"])
    def test_its_value_is_checked_as_any_other(self, tmp_path: Path, value: str) -> None:
        with pytest.raises(EdgeproofError, match=rf"budgets\.toml:2: {ENERGY}: found .* expected a number, more than 0"):
            load_budgets(budgets_file(tmp_path, f"{ENERGY} = {value}"))

    @pytest.mark.parametrize(("limit", "code"), [("2.4", 0), ("2", 3), ("1.7", 1)])
    def test_recommend_has_its_option(self, tmp_path: Path, limit: str, code: int) -> None:
        saved(tmp_path / "bench.json", usual())
        arguments = [str(tmp_path / "bench.json"), "--max-energy-mj", limit, "--max-top1-drop", "1"]
        result = CliRunner().invoke(recommend, arguments, standalone_mode=False)
        assert result.return_value == code, result.output
        assert "--max-energy-mj" in result.output
        assert "2 mJ [1.8, 2.3]" in result.output

    def test_the_help_of_recommend_lists_it(self) -> None:
        assert "Energy of one inference." in CliRunner().invoke(recommend, ["--help"]).output

    def test_measuring_longer_takes_up_itsundecided_rows(self, tmp_path: Path, artifact: Artifact) -> None:
        found = results()
        budgets = load_budgets(budgets_file(tmp_path, f"{ENERGY} = 2"))
        undecided = check(found, budgets, devices=tmp_path)
        assert undecided_rows(found, undecided, {found.rows[0].artifact.path: artifact}) == found.rows

    def test_measuring_includes_the_variant_that_it_is_compared_with(self, tmp_path: Path, artifact: Artifact) -> None:
        budgets = load_budgets(budgets_file(tmp_path, f"{ENERGY} = 2"))
        for variant, compared in (("float16", True), ("float32", False)):
            other = replace(artifact, card=replace(artifact.card, variant=variant))
            assert is_partner(other, artifact, budgets) is compared

    def test_each_export_names_it_with_its_unit(self, tmp_path: Path) -> None:
        finding = self.held(tmp_path, 1.7)
        named = {
            "terminal": "\n".join(lines([finding])),
            "Markdown": markdown([finding], "title"),
            "JUnit": junit([finding]),
            "GitHub": "\n".join(annotations([finding], {"GITHUB_ACTIONS": "true"})),
        }
        assert [name for name, text in named.items() if ENERGY not in text or "1.7 mJ" not in text] == []
        (entry,) = json.loads(plain([finding]))
        assert (entry["budget"], entry["limit"], entry["unit"]) == (ENERGY, 1.7, "mJ")
        assert json.loads(bencher([finding]))[finding.subject]["energy-mj"]["value"] == 2.0


@pytest.mark.parametrize(("limit", "verdict"), [(0.011, Verdict.PASS), (0.009, Verdict.FAIL)])
def test_a_new_kind_of_the_gate_needs_a_row_alone(
    baseline: Baseline, artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float, verdict: Verdict
) -> None:
    monkeypatch.setitem(KINDS, "max_growth", Kind("max_growth", "", comparison=Comparison.COUNTS))
    candidate = changed(artifact, tmp_path / "new")
    row, before = baseline.results.rows[0], counted(1_000_000)
    baseline.results.put(replace(row, instructions=before))
    counts = {count_key(row, before, sha256_of(candidate.path)): 1_010_000.0}
    pairs = pairs_of(baseline, [candidate], rules(tmp_path, f"[[budget]]\nmax_growth = {limit}\n"), HERE, all_named=True)
    (finding,) = gate(pairs, baseline, HERE, cast("Measures", None), Setting(counts=counts), lambda _: None)
    assert (finding.limit.name, finding.verdict) == ("max_growth", verdict)


def test_every_kind_is_a_figure_or_a_comparison_of_the_gate() -> None:
    assert {key for key, kind in KINDS.items() if (kind.figure is None) == (kind.comparison is None)} == set()


def test_only_times_are_bound_to_a_device_and_all_milliseconds_are() -> None:
    bound = {key for key, kind in KINDS.items() if kind.device_bound}
    assert (
        bound == {key for key, kind in KINDS.items() if kind.unit == "ms"} == {key for key in KINDS if key.endswith("_ms")}
    )
    assert all(KINDS[key].timed for key in bound)


def test_a_key_says_which_side_of_the_limit_is_allowed() -> None:
    assert {key[:4] for key in KINDS} == {"max_", "min_"}
    assert {key for key, kind in KINDS.items() if not kind.at_most} == {"min_top1", "min_agreement"}
