"""`bench check --measure`: what is measured longer, and until when."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.artifacts.find import Artifact
from bench.budgets.check import check
from bench.budgets.remeasure import (
    artifacts_to_measure,
    is_partner,
    measure_and_check,
    measure_longer,
    undecided_rows,
    undecided_where_skipped,
)
from bench.budgets.rules import Budgets
from bench.machine.conditions import Conditions
from bench.measure.fresh_processes import Process, Side
from bench.results.row import Skipped
from bench.results.store import Results
from common.verdict import Verdict
from device.errors import EdgeproofError
from tests.conftest import run_module
from tests.support.baselines import COMMITTED, READY, changed, rules
from tests.support.budget_results import of_file, results, row

RATIO = '[[budget]]\nvariant = "int8"\nmax_ratio = {to = "float32", p50 = 1.01}\n'


class Fresh:
    """Replaces fresh processes with a fixed latency, and records which sides were requested."""

    def __init__(self, p50_ms: float = 1.0) -> None:
        self._p50_ms = p50_ms
        self.sides: list[Side] = []

    def process(self, side: Side) -> Process:
        self.sides.append(side)
        return Process(np.full(40, int(self._p50_ms * 1e6)), np.array([1_000_000, 2_500_000, 3_000_000]), "2.1")


@pytest.fixture
def undecided(artifact: Artifact) -> Results:
    """Return int8 and float32 rows with the same time, which scatters by some percent: a ratio of 1.01 gives no verdict."""
    return results(of_file(row(), str(artifact.path)), of_file(row("float32"), str(artifact.path)))


class TestMeasureLonger:
    def test_both_sides_of_an_undecided_ratio_are_doubled_until_it_is_decided(
        self, undecided: Results, artifact: Artifact, tmp_path: Path
    ) -> None:
        budgets, fresh, said = rules(tmp_path, RATIO), Fresh(), list[str]()
        before = check(undecided, budgets, 0.005)
        assert [finding.verdict for finding in before] == [Verdict.INCONCLUSIVE]
        findings = measure_longer(undecided, budgets, {str(artifact.path): artifact}, fresh, lambda: 1.0, said.append)
        assert [finding.verdict for finding in findings] == [Verdict.PASS]
        assert said[0] == "measuring 2 rows longer: 10 processes more"
        assert all(side == Side(artifact, "litert", 1) for side in fresh.sides)
        assert len(fresh.sides) % 10 == 0
        for one in undecided.rows:
            assert one.latency.processes == 5 + len(fresh.sides) // 2
            assert one.latency.queries == 4_000 + 40 * len(fresh.sides) // 2
            assert len(one.startup.processes_ms) == one.latency.processes
            assert one.startup.processes_ms[-1] == (1.0, 2.5, 3.0)

    def test_each_look_spends_its_share_of_the_error(
        self, undecided: Results, artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        errors: list[float] = []

        def remembered(found: Results, budgets: Budgets, error: float) -> list[object]:
            errors.append(error)
            return list(check(found, budgets, error))

        monkeypatch.setattr("bench.budgets.remeasure.check", remembered)
        left_s = iter([1.0] * 30 + [0.0])  # 10 processes, 20 more, and no time for the next 40
        measure_longer(
            undecided,
            rules(tmp_path, RATIO.replace("1.01", "1.0")),
            {str(artifact.path): artifact},
            Fresh(),
            lambda: next(left_s),
            lambda _: None,
        )
        assert errors == [0.005, 0.0025, 0.00125]

    def test_out_of_time_what_was_measured_is_judged(self, undecided: Results, artifact: Artifact, tmp_path: Path) -> None:
        said, fresh, left_s = list[str](), Fresh(), iter([1.0, 1.0, 1.0, 0.0])
        findings = measure_longer(
            undecided, rules(tmp_path, RATIO), {str(artifact.path): artifact}, fresh, lambda: next(left_s), said.append
        )
        assert (len(fresh.sides), said[-1]) == (3, "out of time after 3 of them")
        assert findings[0].samples in ("6 and 7 processes", "7 and 6 processes", "5 and 8 processes", "8 and 5 processes")

    def test_without_time_nothing_is_measured(self, undecided: Results, artifact: Artifact, tmp_path: Path) -> None:
        fresh = Fresh()
        paths = {str(artifact.path): artifact}
        findings = measure_longer(undecided, rules(tmp_path, RATIO), paths, fresh, lambda: 0.0, lambda _: None)
        assert (findings[0].verdict, findings[0].samples, fresh.sides) == (Verdict.INCONCLUSIVE, "5 and 5 processes", [])

    def test_the_order_depends_on_the_seed_alone(self, artifact: Artifact, tmp_path: Path) -> None:
        other = changed(artifact, tmp_path / "other")
        paths = {str(one.path): one for one in (artifact, other)}

        def order(seed: int) -> list[Path]:
            found = results(of_file(row(), str(artifact.path)), of_file(row("float32"), str(other.path)))
            fresh, left_s = Fresh(), iter([1.0] * 10 + [0.0] * 9)
            measure_longer(found, rules(tmp_path, RATIO), paths, fresh, lambda: next(left_s), lambda _: None, seed)
            return [side.found.path for side in fresh.sides][:10]

        orders = [order(seed) for seed in (1, 1, 2)]
        assert orders[0] == orders[1] != orders[2]
        assert {orders[0].count(one.path) for one in (artifact, other)} == {5}


class TestUndecided:
    def rows(self, found: Results, budgets: Budgets, artifact: Artifact) -> list[str]:
        findings = check(found, budgets)
        return [one.subject.variant for one in undecided_rows(found, findings, {str(artifact.path): artifact})]

    def test_a_row_and_what_it_is_compared_with(self, undecided: Results, artifact: Artifact, tmp_path: Path) -> None:
        assert self.rows(undecided, rules(tmp_path, RATIO), artifact) == ["int8", "float32"]

    @pytest.mark.parametrize(
        "budget",
        [
            "min_top1 = 0.993",  # more processes show nothing of accuracy
            'max_ratio = {to = "float32", p50 = 2.0}',  # decided
            'max_ratio = {to = "float16", p50 = 1.0}',  # no partner
            "max_size_kb = 1",
        ],
    )
    def test_what_more_processes_cannot_decide_is_left_alone(
        self, undecided: Results, artifact: Artifact, tmp_path: Path, budget: str
    ) -> None:
        undecided.skipped.append(Skipped(row("float16").subject, "no such op"))
        assert self.rows(undecided, rules(tmp_path, f'[[budget]]\nvariant = "int8"\n{budget}\n'), artifact) == []

    def test_a_file_that_is_not_here_is_left_alone(self, artifact: Artifact, tmp_path: Path) -> None:
        found = results(of_file(row(), str(artifact.path)), row("float32"))
        assert self.rows(found, rules(tmp_path, RATIO), artifact) == ["int8"]

    def test_a_timing_that_is_not_valid_or_of_another_device_is_left_alone(self, artifact: Artifact, tmp_path: Path) -> None:
        one = of_file(row(), str(artifact.path))
        budgets = rules(tmp_path, '[[budget]]\ndevice = "board"\nmax_p50_ms = 1.0\n')
        board = replace(one, subject=replace(one.subject, device="board"))
        disturbed = replace(board, conditions=(Conditions(waited=0.3),) * 5)
        for measurement in (board, disturbed):
            found = results(measurement)
            assert [finding.verdict for finding in check(found, budgets)] == [Verdict.INCONCLUSIVE]
            assert self.rows(found, budgets, artifact) == []


def test_results_of_another_machine_are_refused_before_anything_is_measured(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.budgets.remeasure.artifacts_to_measure", lambda _: [artifact])
    results().save(tmp_path / "bench.json")
    with pytest.raises(EdgeproofError, match="holds 1 row of host from another machine"):
        measure_and_check(tmp_path / "bench.json", rules(tmp_path, RATIO), 1, print)


def test_a_rule_about_an_unknown_device_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    budgets = rules(tmp_path, f'{RATIO}device = "p14"\n')
    with pytest.raises(EdgeproofError, match="device: found 'p14'"):
        measure_and_check(tmp_path / "bench.json", budgets, 1, print)


class TestPartners:
    @pytest.mark.parametrize(
        ("budget", "variant", "partner"),
        [
            ('max_ratio = {to = "float16", p50 = 1}', "float16", True),
            ('max_ratio = {to = "float16", p50 = 1}', "float32", False),
            ("max_top1_drop = 0.1", "float32", True),
            ("max_top1_drop = 0.1", "float16", False),
            ("min_agreement = 0.9", "float32", True),
            ("min_top1 = 0.9", "float32", False),
            ("max_regression = 0.1", "float32", False),
            ('variant = "float32"\nmin_agreement = 0.9', "float32", False),
        ],
    )
    def test_is_the_variant_that_a_budget_compares_with(
        self, artifact: Artifact, tmp_path: Path, budget: str, variant: str, partner: bool
    ) -> None:
        other = changed(artifact, tmp_path / "other", variant=variant)
        assert is_partner(other, artifact, rules(tmp_path, f"[[budget]]\n{budget}\n")) is partner

    def test_of_another_model_is_none(self, artifact: Artifact, tmp_path: Path) -> None:
        budgets = rules(tmp_path, "[[budget]]\nmin_agreement = 0.9\n")
        other = changed(artifact, tmp_path / "other", variant="float32")
        assert is_partner(other, artifact, budgets)
        assert not is_partner(replace(other, card=replace(other.card, model="other")), artifact, budgets)


class TestArtifactsToMeasure:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def test_what_the_results_name_is_measured_wherever_it_lies(self, artifact: Artifact, tmp_path: Path) -> None:
        shutil.copytree(READY, "models")
        model = Path("models") / artifact.path.name
        results(of_file(row(), model)).save(tmp_path / "bench.json")
        assert [found.path for found in artifacts_to_measure(tmp_path / "bench.json")] == [model]

    def test_those_of_build_too_unless_the_results_name_another_file_of_the_variant(
        self, artifact: Artifact, tmp_path: Path
    ) -> None:
        shutil.copytree(READY, "models")
        shutil.copytree(READY, "build/ready")
        results(of_file(row(), Path("models") / artifact.path.name)).save(tmp_path / "bench.json")
        found = [str(one.path) for one in artifacts_to_measure(tmp_path / "bench.json")]
        assert found == ["models/mnist_cnn.int8.tflite", "build/ready/mnist_cnn_crop.int8.tflite"]

    def test_none_is_refused_with_the_command_that_measures_others(self) -> None:
        with pytest.raises(EdgeproofError, match=r"names no file that is there.*`edgeproof bench run FILE"):
            artifacts_to_measure(Path("build/bench.json"))


@pytest.mark.parametrize("command", ["run", "gate"])
def test_make_is_not_advised_outside_of_edgeproofs_own_checkout(tmp_path: Path, command: str) -> None:
    (tmp_path / "edgeproof.toml").write_text(f'baseline = "{COMMITTED}"\n')
    done = run_module("bench", command, cwd=tmp_path)
    assert done.error_line == "bench: build/: holds no artifacts: name files, as model.tflite or model.onnx"


def test_a_row_that_cannot_be_measured_now_gets_no_verdict_by_its_earlier_figures(tmp_path: Path) -> None:
    found = results(row(), row("float16"))
    findings = check(found, rules(tmp_path, "[[budget]]\nmax_size_kb = 10_000\n"))
    assert [one.verdict for one in findings] == [Verdict.PASS, Verdict.PASS]
    skipped = [Skipped(row().subject.combination, "its process crashed")]
    second, first = undecided_where_skipped(findings, found, skipped)  # float16 comes before int8
    assert (first.verdict, first.reason) == (Verdict.INCONCLUSIVE, "it could not be measured now: its process crashed")
    assert second.verdict is Verdict.PASS
