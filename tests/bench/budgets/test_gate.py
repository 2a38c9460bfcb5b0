"""The gate: verdicts of rounds, baselines that are refused, and regressions made on purpose."""

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.artifacts.find import Artifact
from bench.budgets.baseline import Baseline, load
from bench.budgets.finding import Finding, NotJudged
from bench.budgets.gate import Setting, count_key, counts_in, gate
from bench.budgets.gate_pairs import pairs_of
from bench.budgets.rules import Budgets
from bench.measure.fresh_processes import Answers, Process, Side, SideFailed
from bench.measure.interleaving import Round
from common.files import sha256_of
from common.interval import Interval
from common.verdict import Verdict
from device.errors import RuntimeMissing
from tests.conftest import ROOT, run_module
from tests.support.baselines import COMMITTED, COUNTS, HERE, PICTURES, READY, changed, measured, rules, written
from tests.support.gate_bench import Bench
from tests.support.models.model_files import own_bytes
from tests.support.results_builder import counted


def gated(baseline: Baseline, candidate: Artifact, budgets: Budgets, bench: Bench) -> dict[str, Finding]:
    pairs = pairs_of(baseline, [candidate], budgets, HERE, all_named=True)
    findings = gate(pairs, baseline, HERE, bench, Setting(200, clock=bench.clock), lambda _: None)
    return {finding.limit.name: finding for finding in findings}


class TestGate:
    @pytest.mark.parametrize(
        ("slower", "wrong", "latency", "accuracy"),
        [
            (0.0, 70, "PASS", "PASS"),
            (0.2, 70, "FAIL", "PASS"),
            (0.0, 170, "PASS", "FAIL"),
            (0.05, 115, "INCONCLUSIVE", "INCONCLUSIVE"),
            (-0.3, 20, "PASS", "PASS"),
        ],
    )
    def test_judges_latency_and_accuracy(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path, slower: float, wrong: int, latency: str, accuracy: str
    ) -> None:
        candidate = changed(artifact, tmp_path / "new")
        found = gated(baseline, candidate, rules(tmp_path), Bench(baseline, slower, wrong))
        assert found["max_regression"].verdict is Verdict[latency]
        assert found["max_top1_regression"].verdict is Verdict[accuracy]

    def test_an_unchanged_file_passes_unmeasured(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        bench = Bench(baseline, slower=5.0, wrong=PICTURES)
        found = gated(baseline, artifact, rules(tmp_path), bench)
        assert {finding.verdict for finding in found.values()} == {Verdict.PASS}
        assert bench.processes == 0

    def test_another_runtime_version_and_machine_are_named(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path
    ) -> None:
        candidate, bench = changed(artifact, tmp_path / "new"), Bench(baseline)
        pairs = pairs_of(baseline, [candidate], rules(tmp_path), HERE, all_named=True)
        elsewhere = replace(HERE, cpu="Pentium")
        finding = gate(pairs, baseline, elsewhere, bench, Setting(200, clock=bench.clock), lambda _: None)[0]
        assert "saved with litert 2.0, here 2.1" in finding.reason
        assert "saved on Celeron, here Pentium" in finding.reason

    def test_a_candidate_that_does_not_run_fails(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        bench = Bench(baseline)
        bench.broken = True
        found = gated(baseline, changed(artifact, tmp_path / "new"), rules(tmp_path), bench)
        assert found["max_regression"].verdict is Verdict.FAIL
        assert "no such op" in found["max_regression"].reason

    def test_a_count_of_instructions_is_compared_where_both_have_one(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path
    ) -> None:
        candidate = changed(artifact, tmp_path / "new")
        budgets = rules(tmp_path, COUNTS)
        bench = Bench(baseline)
        assert gated(baseline, candidate, budgets, bench)["max_instruction_regression"].verdict is NotJudged.SKIPPED
        row, before = baseline.results.rows[0], counted(1_600_000)
        baseline.results.put(replace(row, instructions=before))
        pairs = pairs_of(baseline, [candidate], budgets, HERE, all_named=True)
        for count, verdict in ((1_610_000, Verdict.PASS), (1_620_000, Verdict.FAIL)):
            counts = {count_key(row, before, sha256_of(candidate.path)): float(count)}
            assert gate(pairs, baseline, HERE, bench, Setting(counts=counts), lambda _: None)[0].verdict is verdict
        baseline.results.put(replace(row, instructions=counted(1_600_000, core="cortex-a76")))
        pairs = pairs_of(baseline, [candidate], budgets, HERE, all_named=True)
        assert gate(pairs, baseline, HERE, bench, Setting(counts=counts), lambda _: None)[0].verdict is NotJudged.SKIPPED
        assert bench.processes == 0


class Odd(Bench):
    """Faults that only the gate has."""

    def __init__(self, baseline: Baseline, process: Exception | None = None, labels: int = 0) -> None:
        super().__init__(baseline)
        self._process, self._labels = process, labels

    def process(self, side: Side) -> Process:
        if self._process is not None:
            raise self._process
        return super().process(side)

    def answers(self, side: Side) -> Answers:
        found = super().answers(side)
        return Answers(found.predictions, found.labels + self._labels * self._is_candidate(side))


class TestFindings:
    """What a finding of the gate holds besides its verdict."""

    def test_a_latency_is_a_change_with_its_interval_rounds_and_advice(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path
    ) -> None:
        candidate, said = changed(artifact, tmp_path / "new"), list[str]()
        bench = Bench(baseline, slower=0.2, wrong=170, scatter=0.001)
        pairs = pairs_of(baseline, [candidate], rules(tmp_path), HERE, all_named=True)
        latency, accuracy = gate(pairs, baseline, HERE, bench, Setting(200, clock=bench.clock), said.append)
        assert latency.measured is not None
        assert latency.measured.value == pytest.approx(0.2, abs=0.005)
        assert latency.measured.low < latency.measured.value < latency.measured.high
        assert latency.samples.startswith("8 rounds of 3 processes, noise floor 0.00")
        assert latency.advice.startswith("find the cause with")
        assert latency.reason == "baseline saved with litert 2.0, here 2.1; both were measured here"
        assert latency.subject == baseline.results.rows[0].key
        assert said[0] == f"{latency.subject}: {candidate.path} against {baseline.artifacts[0].path}"
        assert said[1].startswith("  8 rounds: latency 1.20")
        assert said[1].endswith(", FAIL")
        assert (accuracy.measured is not None and accuracy.measured.value) == pytest.approx(0.01)
        assert accuracy.samples == "10,000 pictures, 100 right only before, 0 right only now"
        assert accuracy.advice.startswith("see `edgeproof convert doctor`")
        assert (latency.limit.value, accuracy.limit.value) == (0.05, 0.005)

    def test_what_is_undecided_says_what_to_do(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        found = gated(baseline, changed(artifact, tmp_path / "new"), rules(tmp_path), Bench(baseline, 0.05, 115))
        assert found["max_regression"].advice == "give it more time (--max-time), or use a quieter machine"
        assert found["max_top1_regression"].advice == "test on more pictures, or set a wider limit"
        same = gated(baseline, changed(artifact, tmp_path / "new"), rules(tmp_path), Bench(baseline, -0.3))
        assert {finding.advice for finding in same.values()} == {""}

    def test_an_unchanged_file_has_changed_by_nothing(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        for finding in gated(baseline, artifact, rules(tmp_path), Bench(baseline)).values():
            assert (finding.measured, finding.samples) == (Interval.exact(0.0), "the same file, not measured")

    def test_the_same_version_and_machine_need_no_note(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        baseline.results.put(replace(baseline.results.rows[0], runtime_version="2.1"))
        found = gated(baseline, changed(artifact, tmp_path / "new"), rules(tmp_path), Bench(baseline))
        assert {finding.reason for finding in found.values()} == {""}

    def test_a_runtime_that_is_missing_decides_nothing(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        bench = Odd(baseline, process=RuntimeMissing("litert is not installed"))
        found = gated(baseline, changed(artifact, tmp_path / "new"), rules(tmp_path), bench)
        assert {(finding.verdict, finding.reason) for finding in found.values()} == {
            (Verdict.INCONCLUSIVE, "cannot be measured here: litert is not installed")
        }

    def test_a_baseline_that_does_not_run_is_an_error(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        candidate = changed(artifact, tmp_path / "new")
        (pair,) = pairs_of(baseline, [candidate], rules(tmp_path), HERE, all_named=True)

        class Broken(Bench):
            def round(self, sides: Sequence[Side], order: random.Random) -> Round:
                raise SideFailed(pair.base, f"no such op in {len(sides)} sides, {order is not None}")

        with pytest.raises(SideFailed, match="no such op in 3 sides"):
            gate([pair], baseline, HERE, Broken(baseline), Setting(200), lambda _: None)

    def test_other_test_pictures_decide_nothing(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        found = gated(baseline, changed(artifact, tmp_path / "new"), rules(tmp_path), Odd(baseline, labels=1))
        finding = found["max_top1_regression"]
        assert (finding.verdict, finding.measured) == (Verdict.INCONCLUSIVE, None)
        assert finding.reason == "the two have different test parts"
        assert finding.advice == "save a new baseline of this data set, or test both on one folder: --data FOLDER"

    def test_the_pictures_that_were_given_are_named(self, baseline: Baseline, artifact: Artifact, tmp_path: Path) -> None:
        bench = Bench(baseline)
        pairs = pairs_of(baseline, [changed(artifact, tmp_path / "new")], rules(tmp_path), HERE, all_named=True)
        setting = Setting(200, clock=bench.clock, data=Path("pictures/test"))
        samples = gate(pairs, baseline, HERE, bench, setting, lambda _: None)[1].samples
        assert samples == "10,000 pictures of pictures/test, 0 right only before, 0 right only now"

    def test_a_count_is_exact_and_measures_nothing_else(
        self, baseline: Baseline, artifact: Artifact, tmp_path: Path
    ) -> None:
        count = counted(1_600_000)
        baseline.results.put(replace(baseline.results.rows[0], instructions=count))
        candidate = changed(artifact, tmp_path / "new")
        key = count_key(baseline.results.rows[0], count, sha256_of(candidate.path))
        for budgets in (rules(tmp_path, COUNTS), rules(tmp_path, COUNTS + "max_regression = 0.05\n")):
            pairs = pairs_of(baseline, [candidate], budgets, HERE, all_named=True)
            bench = Bench(baseline)
            setting = Setting(200, clock=bench.clock, counts={key: 1_680_000.0})
            findings = {f.limit.name: f for f in gate(pairs, baseline, HERE, bench, setting, lambda _: None)}
            found = findings["max_instruction_regression"]
            assert (found.verdict, found.samples) == (Verdict.FAIL, "a count")
            assert (found.measured is not None and found.measured.value) == pytest.approx(0.05)
            assert (bench.processes == 0) == (len(findings) == 1)

    def test_counts_are_read_from_results(self, baseline: Baseline) -> None:
        assert counts_in(None) == {}
        row = baseline.results.rows[0]
        results = measured(baseline.artifacts[0])
        assert counts_in(results) == {}
        count = counted(1_600_000)
        results.put(replace(results.rows[0], instructions=count))
        assert counts_in(results) == {count_key(row, count, row.artifact.sha256): 1_600_000}


class TestCommand:
    def test_an_unchanged_build_passes_and_a_change_of_documentation_changes_nothing(self, tmp_path: Path) -> None:
        for found in load(COMMITTED).artifacts:
            target = tmp_path / "build" / found.card.model / found.path.name
            target.parent.mkdir(parents=True)
            shutil.copyfile(found.path, target)
        (tmp_path / "README.md").write_text("changed")
        options: list[str | Path] = ["--baseline", COMMITTED, "--budgets", ROOT / "bench" / "budgets" / "budgets.toml"]
        result = run_module("bench", "gate", *options, cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert "10 PASS, 0 FAIL, 0 INCONCLUSIVE" in result.stdout  # of each two comparisons, size, memory, top-1

    def test_the_files_of_the_baseline_that_were_not_named_are(self, tmp_path: Path) -> None:
        model = READY / "mnist_cnn_crop.int8.tflite"
        result = run_module("bench", "gate", model, "--baseline", COMMITTED, cwd=tmp_path)
        assert result.code == 0, result.stderr
        lines = [line for line in result.stdout.splitlines() if line.startswith("not compared")]
        assert lines == [f"not compared: mnist_cnn int8.tflite, which {COMMITTED} holds too"]

    @pytest.mark.slow
    def test_a_planted_point_of_accuracy_turns_it_red(self, artifact: Artifact, tmp_path: Path) -> None:
        candidate = worse(artifact, tmp_path / "new")
        (tmp_path / "b.toml").write_text('[[budget]]\nmodel = "mnist_cnn"\nmax_top1_regression = 0.005\n')
        options: list[str | Path] = [
            "--baseline",
            COMMITTED,
            "--budgets",
            tmp_path / "b.toml",
            "--json",
            tmp_path / "f.json",
        ]
        result = run_module("bench", "gate", candidate.path, *options, cwd=tmp_path)
        assert result.code == 1, result.stdout + result.stderr
        finding = json.loads((tmp_path / "f.json").read_text())[0]
        assert 0.008 < finding["measured"]["value"] < 0.013

    @pytest.mark.slow
    def test_the_answers_are_those_to_the_pictures_that_were_given(self, artifact: Artifact, tmp_path: Path) -> None:
        candidate = changed(artifact, tmp_path / "new")
        for label in "07":
            (tmp_path / "test" / label).mkdir(parents=True)
            shutil.copy(next((ROOT / "data" / "ready").glob(f"*/{label}/*")), tmp_path / "test" / label)
        (tmp_path / "b.toml").write_text('[[budget]]\nmodel = "mnist_cnn"\nmax_top1_regression = 0.005\n')
        options: list[str | Path] = ["--baseline", COMMITTED, "--budgets", tmp_path / "b.toml", "--data", "test"]
        result = run_module("bench", "gate", candidate.path, *options, cwd=tmp_path)
        assert result.code == 3, result.stdout + result.stderr  # of two pictures
        assert "2 pictures of test, 0 right only before, 0 right only now" in result.stdout

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["gate", "--baseline", "nowhere"], "no such file"),
            (["gate"], "give --baseline DIR"),
            (["baseline", "save", "b", "nowhere.tflite"], "nowhere.tflite: no such file"),
        ],
    )
    def test_bad_input_is_one_line_and_code_2(self, tmp_path: Path, arguments: list[str], found: str) -> None:
        (tmp_path / "bench" / "budgets").mkdir(parents=True)
        shutil.copy(ROOT / "bench" / "budgets" / "budgets.toml", tmp_path / "bench" / "budgets")
        result = run_module("bench", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line


def worse(found: Artifact, folder: Path) -> Artifact:
    """Write the artifact with the bias of its class 8 raised: 99.32 % right becomes about 98.3 %."""
    from ai_edge_litert import schema_py_generated as schema

    model = own_bytes(found.path)
    graph = schema.ModelT.InitFromPackedBuf(model, 0)
    (dense,) = (tensor for tensor in graph.subgraphs[0].tensors if list(tensor.shape) == [10] and tensor.buffer)
    bias = bytes(graph.buffers[dense.buffer].data)
    assert model.count(bias) == 1
    raised = np.frombuffer(bias, "<i4").copy()
    raised[8] += 44_000
    return written(found, folder, model.replace(bias, raised.tobytes()))
