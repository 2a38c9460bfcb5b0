"""The gate: what rounds say, what a baseline refuses, and planted regressions."""

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bench.artifacts import Found, find_artifacts
from bench.baseline import Baseline, load, save
from bench.budget import Budgets, load_budgets
from bench.fresh import Answers, Process, Side, SideFailed
from bench.gate import Setting, count_key, gate, pairs_of
from bench.measurement import Accuracy, Artifact, Measurement, Samples, Startup, Subject
from bench.remeasure import measure_longer
from bench.results import Results
from bench.rounds import AGAIN, BASE, CANDIDATE, FIRST_LOOK, Judgement, error_of_look, judge_rounds, looks
from bench.turns import Round
from bench.verdict import Finding, Verdict
from convert.card import embed
from device.classify import CheckFailed, EdgeproofError
from tests import results_maker
from tests.conftest import ROOT, run_room
from tests.test_convert import own_bytes
from train.files import sha256_of

READY = ROOT / "data" / "ready"
COMMITTED = ROOT / "data" / "baseline"
HERE = {**results_maker.ENVIRONMENT, "host": "box", "cpu": "Celeron", "os": "Linux"}
RULES = '[[budget]]\nmodel = "mnist_cnn"\nmax_regression = 0.05\nmax_top1_regression = 0.005\n'
PICTURES = 10_000


class Processes:
    """Simulated rounds of new processes: scatter from process to process, drift of the machine, a planted slow-down."""

    def __init__(self, seed: int, scatter: float, slower: float = 0.0, drift: float = 0.0, itself: float = 0.0) -> None:
        self._random = np.random.default_rng(seed)
        self._scatter, self._drift = scatter, drift
        self._factor = {BASE: 1.0, AGAIN: 1 + itself, CANDIDATE: 1 + slower}
        self.measured = 0

    def p50(self, side: int) -> float:
        self.measured += 1
        drifted = 1 + self._drift * self.measured / 100
        return float(self._factor[side] * drifted * self._random.lognormal(0, self._scatter))

    def __call__(self) -> npt.NDArray[np.float64]:
        return np.log([self.p50(side) for side in (BASE, AGAIN, CANDIDATE)])


def last_look(processes: Processes, max_regression: float = 0.05, most: int = 200) -> Judgement:
    """Look until decided or `most` processes are measured."""
    *_, judgement = looks(processes, max_regression, lambda: float(most - processes.measured))
    return judgement


class TestRounds:
    def test_the_errors_of_all_looks_stay_within_one_percent(self) -> None:
        assert sum(error_of_look(look) for look in range(60)) <= 0.01

    @pytest.mark.parametrize("scatter", [0.022, 0.063])
    @pytest.mark.parametrize("drift", [0.0, 0.08])
    def test_an_unchanged_candidate_never_fails(self, scatter: float, drift: float) -> None:
        judged = [last_look(Processes(seed, scatter, drift=drift)) for seed in range(300)]
        assert [judgement for judgement in judged if judgement.verdict is Verdict.FAIL] == []

    @pytest.mark.parametrize(("scatter", "slower"), [(0.027, 0.10), (0.027, 0.20), (0.063, 0.20)])
    def test_a_planted_slow_down_is_found(self, scatter: float, slower: float) -> None:
        judged = [last_look(Processes(seed, scatter, slower)) for seed in range(300)]
        assert sum(judgement.verdict is Verdict.FAIL for judgement in judged) >= 0.95 * 300
        assert not any(judgement.verdict is Verdict.PASS for judgement in judged)

    def test_a_slow_down_of_just_the_budget_is_rarely_called_a_failure(self) -> None:
        judged = [last_look(Processes(seed, 0.027, 0.05)) for seed in range(300)]
        assert sum(judgement.verdict is Verdict.FAIL for judgement in judged) <= 0.02 * 300

    def test_a_drifting_machine_hits_both_sides_alike(self) -> None:
        steady, drifting = (last_look(Processes(1, 0.02, drift=drift), most=96) for drift in (0.0, 0.5))
        assert drifting.ratio.value == pytest.approx(steady.ratio.value, rel=0.03)

    def test_a_baseline_that_differs_from_itself_decides_nothing(self) -> None:
        judgement = last_look(Processes(1, 0.01, slower=0.3, itself=0.3))
        assert (judgement.verdict, "from itself" in judgement.reason) == (Verdict.INCONCLUSIVE, True)

    def test_a_regression_within_the_noise_floor_is_no_failure(self) -> None:
        rounds = np.zeros((8, 3))
        rounds[:, AGAIN] = [-0.2, 0.2] * 4  # the baseline scatters by 20 % around itself
        rounds[:, CANDIDATE] = rounds[:, AGAIN] / 2 + 0.10
        judgement = judge_rounds(rounds, 0.05, 0.01)
        assert judgement.ratio.low > 1.05
        assert judgement.floor > judgement.ratio.value
        assert judgement.verdict is Verdict.INCONCLUSIVE

    def test_measures_longer_only_while_undecided_and_in_time(self) -> None:
        decided, undecided = Processes(0, 0.001), Processes(0, 0.063, 0.05)
        assert last_look(decided).rounds == FIRST_LOOK
        assert last_look(undecided, most=24).rounds == FIRST_LOOK
        assert last_look(Processes(0, 0.063, 0.05), most=100).rounds > 2 * FIRST_LOOK


@pytest.fixture
def artifact() -> Found:
    return find_artifacts([READY / "mnist_cnn.int8.tflite"])[0]


def changed(found: Found, folder: Path, **card: Any) -> Found:
    """Write an artifact with another card: another hash, the same model."""
    return written(found, folder, own_bytes(found.path), note="changed", **card)


def written(found: Found, folder: Path, model: bytes, **card: Any) -> Found:
    folder.mkdir(exist_ok=True)
    path = folder / found.path.name
    path.write_bytes(model)
    embed(path, {**{k: v for k, v in found.card.document.items() if k != "model_sha256"}, **card})
    return find_artifacts([path])[0]


def measured(found: Found, wrong: int = 70, runtime_version: str = "2.0") -> Results:
    answers = np.zeros(PICTURES, np.uint16)
    answers[:wrong] = 1
    latency = tuple(np.full(100, 1_000_000) for _ in range(3))
    results = Results()
    row = Measurement(
        Subject("mnist_cnn", None, "int8", "tflite", "litert", "host", "cpu", 1),
        Artifact(str(found.path), sha256_of(found.path), found.path.stat().st_size),
        runtime_version,
        Accuracy(PICTURES - wrong, PICTURES, None, 0, "d" * 64),
        Startup(1.0, 2.0, 3.0),
        32,
        50_000_000,
        Samples(latency, answers),
    )
    results.merge([row], [], HERE)
    return results


def rules(tmp_path: Path, text: str = RULES) -> Budgets:
    path = tmp_path / "budgets.toml"
    path.write_text(text)
    return load_budgets(path)


@pytest.fixture
def baseline(artifact: Found, tmp_path: Path) -> Baseline:
    return save(tmp_path / "baseline", [artifact], measured(artifact), rules(tmp_path))


class Bench:
    """Stands for fresh processes: the candidate is the side that does not lie in the baseline."""

    def __init__(self, baseline: Baseline, slower: float = 0.0, wrong: int = 70, scatter: float = 0.02) -> None:
        self._folder, self._wrong = baseline.folder, wrong
        self._simulated = Processes(7, scatter, slower)
        self.processes = 0
        self.broken = False

    def _is_candidate(self, side: Side) -> bool:
        return self._folder not in side.found.path.parents

    def process(self, side: Side) -> Process:
        self.processes += 1
        if self.broken and self._is_candidate(side):
            raise SideFailed(side, "no such op")
        p50_ms = self._simulated.p50(CANDIDATE if self._is_candidate(side) else BASE)
        return Process(np.full(9, p50_ms * 1e6), np.ones(3, np.int64), "2.1")

    def round(self, sides: Sequence[Side], order: random.Random) -> Round:
        del order  # simulated p50s come in any
        p50_ns = np.array([float(np.median(self.process(side).latency_ns)) for side in sides])
        return Round(np.log(p50_ns), p50_ns)

    def answers(self, side: Side) -> Answers:
        answers = np.zeros(PICTURES, np.int64)
        answers[: self._wrong if self._is_candidate(side) else 70] = 1
        return Answers(answers, np.zeros(PICTURES, np.int64))

    def clock(self) -> float:
        return float(self.processes)


def gated(baseline: Baseline, candidate: Found, budgets: Budgets, bench: Bench) -> dict[str, Finding]:
    pairs = pairs_of(baseline, [candidate], budgets, HERE, all_named=True)
    findings = gate(pairs, baseline, HERE, bench, Setting(200, clock=bench.clock), lambda _: None)
    return {finding.budget: finding for finding in findings}


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
        self, baseline: Baseline, artifact: Found, tmp_path: Path, slower: float, wrong: int, latency: str, accuracy: str
    ) -> None:
        candidate = changed(artifact, tmp_path / "new")
        found = gated(baseline, candidate, rules(tmp_path), Bench(baseline, slower, wrong))
        assert found["max_regression"].verdict is Verdict[latency]
        assert found["max_top1_regression"].verdict is Verdict[accuracy]

    def test_an_unchanged_file_passes_unmeasured(self, baseline: Baseline, artifact: Found, tmp_path: Path) -> None:
        bench = Bench(baseline, slower=5.0, wrong=PICTURES)
        found = gated(baseline, artifact, rules(tmp_path), bench)
        assert {finding.verdict for finding in found.values()} == {Verdict.PASS}
        assert bench.processes == 0

    def test_another_runtime_version_and_machine_are_named(
        self, baseline: Baseline, artifact: Found, tmp_path: Path
    ) -> None:
        candidate, bench = changed(artifact, tmp_path / "new"), Bench(baseline)
        pairs = pairs_of(baseline, [candidate], rules(tmp_path), HERE, all_named=True)
        elsewhere = {**HERE, "cpu": "Pentium"}
        finding = gate(pairs, baseline, elsewhere, bench, Setting(200, clock=bench.clock), lambda _: None)[0]
        assert "saved with litert 2.0, here 2.1" in finding.reason
        assert "saved on Celeron, here Pentium" in finding.reason

    def test_a_candidate_that_does_not_run_fails(self, baseline: Baseline, artifact: Found, tmp_path: Path) -> None:
        bench = Bench(baseline)
        bench.broken = True
        found = gated(baseline, changed(artifact, tmp_path / "new"), rules(tmp_path), bench)
        assert found["max_regression"].verdict is Verdict.FAIL
        assert "no such op" in found["max_regression"].reason

    def test_a_count_of_instructions_is_compared_where_both_have_one(
        self, baseline: Baseline, artifact: Found, tmp_path: Path
    ) -> None:
        candidate = changed(artifact, tmp_path / "new")
        budgets = rules(tmp_path, '[[budget]]\nmodel = "mnist_cnn"\nmax_instruction_regression = 0.01\n')
        bench = Bench(baseline)
        assert gated(baseline, candidate, budgets, bench)["max_instruction_regression"].verdict is Verdict.SKIPPED
        how = {"core": "cortex-a72", "counter": "QEMU 7.2", "user_space_sha256": "0"}
        row = baseline.results.rows[0]
        row["instructions"] = {"steady_inference": 1_600_000, **how}
        pairs = pairs_of(baseline, [candidate], budgets, HERE, all_named=True)
        for count, verdict in ((1_610_000, Verdict.PASS), (1_620_000, Verdict.FAIL)):
            counts = {count_key(row, sha256_of(candidate.path)): float(count)}
            assert gate(pairs, baseline, HERE, bench, Setting(counts=counts), lambda _: None)[0].verdict is verdict
        row["instructions"]["core"] = "cortex-a76"
        assert gate(pairs, baseline, HERE, bench, Setting(counts=counts), lambda _: None)[0].verdict is Verdict.SKIPPED
        assert bench.processes == 0

    def test_a_rule_that_matches_nothing_in_the_baseline_is_refused(
        self, baseline: Baseline, artifact: Found, tmp_path: Path
    ) -> None:
        budgets = rules(tmp_path, RULES + '[[budget]]\nmodel = "resnet"\nmax_regression = 0.1\n')
        with pytest.raises(EdgeproofError, match=r"budgets\.toml:5: matches nothing in the baseline"):
            pairs_of(baseline, [artifact], budgets, HERE, all_named=False)

    def test_no_budget_for_what_is_compared_is_refused(self, baseline: Baseline, artifact: Found, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match="never passes on nothing"):
            pairs_of(baseline, [artifact], rules(tmp_path, "[[budget]]\nmax_size_kb = 1\n"), HERE, all_named=True)

    def test_two_files_that_are_the_same_artifact_are_refused(
        self, baseline: Baseline, artifact: Found, tmp_path: Path
    ) -> None:
        other = changed(artifact, tmp_path / "new")
        with pytest.raises(EdgeproofError, match=r"both are mnist_cnn int8\.tflite"):
            pairs_of(baseline, [artifact, other], rules(tmp_path), HERE, all_named=False)

    def test_a_missing_counterpart_is_refused(self, baseline: Baseline, artifact: Found, tmp_path: Path) -> None:
        other = changed(artifact, tmp_path / "new", variant="float16")
        with pytest.raises(EdgeproofError, match=r"has none of mnist_cnn float16\.tflite"):
            pairs_of(baseline, [other], rules(tmp_path), HERE, all_named=True)
        with pytest.raises(EdgeproofError, match=r"mnist_cnn int8\.tflite has no counterpart"):
            pairs_of(baseline, [other], rules(tmp_path), HERE, all_named=False)


def spoiled(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each way in which a baseline's folder can be damaged, one at a time, with what must be said."""
    index, model = folder / "baseline.json", next(folder.glob("*/*.tflite"))
    whole = {path: path.read_bytes() for path in (index, model, folder / "bench.json", folder / "bench.npz")}
    document = json.loads(whole[index])
    for path, data, found in (
        (index, b"{", "no readable JSON"),
        (index, b"[]", "schema is None"),
        (index, whole[index].replace(b'"schema": 1', b'"schema": 7'), "schema is 7"),
        (index, json.dumps({"schema": 1, "sha256": {}}).encode(), "names no files"),
        (index, json.dumps({"schema": 1, "sha256": {**document["sha256"], "../x": "0"}}).encode(), "outside"),
        (index, json.dumps({"schema": 1, "sha256": {**document["sha256"], "gone": "0"}}).encode(), "no such file"),
        (model, whole[model][:-1], "is not what was saved"),
        (folder / "bench.json", whole[folder / "bench.json"].replace(b"0.99", b"0.98"), "is not what was saved"),
        (folder / "bench.npz", whole[folder / "bench.npz"] + b"x", "is not what was saved"),
    ):
        path.write_bytes(data)
        yield found, str(path.name)
        path.write_bytes(whole[path])


class TestBaseline:
    def test_is_read_as_it_was_saved(self, baseline: Baseline, artifact: Found) -> None:
        again = load(baseline.folder)
        assert [sha256_of(found.path) for found in again.artifacts] == [sha256_of(artifact.path)]
        assert again.rows_of(again.artifacts[0])[0]["accuracy"]["correct"] == PICTURES - 70

    def test_a_damaged_one_is_refused(self, baseline: Baseline) -> None:
        for found, name in spoiled(baseline.folder):
            with pytest.raises(EdgeproofError, match=found):
                load(baseline.folder)
            assert name
        assert load(baseline.folder).artifacts

    def test_a_failing_one_is_refused_and_nothing_is_written(self, artifact: Found, tmp_path: Path) -> None:
        with pytest.raises(CheckFailed, match="breaks min_top1"):
            save(tmp_path / "b", [artifact], measured(artifact, wrong=500), rules(tmp_path, "[[budget]]\nmin_top1 = 0.98\n"))
        assert not (tmp_path / "b").exists()

    def test_one_that_was_not_measured_is_refused(self, artifact: Found, tmp_path: Path) -> None:
        other = changed(artifact, tmp_path / "new")
        with pytest.raises(EdgeproofError, match="was not measured as it is now"):
            save(tmp_path / "b", [other], measured(artifact), rules(tmp_path))

    def test_replaces_an_older_one_but_no_other_folder(self, baseline: Baseline, artifact: Found, tmp_path: Path) -> None:
        (baseline.folder / "stale").write_text("x")
        save(baseline.folder, [artifact], measured(artifact), rules(tmp_path))
        assert not (baseline.folder / "stale").exists()
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").write_text("x")
        with pytest.raises(EdgeproofError, match="no baseline"):
            save(tmp_path / "mine", [artifact], measured(artifact), rules(tmp_path))
        assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"

    def test_the_committed_one_holds_the_ready_artifacts(self) -> None:
        committed = load(COMMITTED)
        ready = {sha256_of(path) for path in READY.glob("*.tflite")}
        assert {sha256_of(found.path) for found in committed.artifacts} == ready


class TestMeasureLonger:
    def test_an_undecided_row_is_measured_until_it_is_decided(self, artifact: Found, tmp_path: Path) -> None:
        budgets = rules(tmp_path, '[[budget]]\nmax_ratio = {to = "int8", p50 = 1.1}\n')
        results = measured(artifact)
        key = results.rows[0]["samples"]["key"]
        results.arrays[f"{key}/latency_ns"] = np.repeat([900_000, 1_000_000, 1_060_000], 100)
        bench = Bench(load(COMMITTED))  # whose processes take a millisecond
        paths = {str(artifact.path): artifact}
        findings = measure_longer(results, budgets, paths, bench, lambda: 1.0, lambda _: None)
        assert [finding.verdict for finding in findings] == [Verdict.PASS]
        assert bench.processes >= 3

    def test_without_time_it_stays_undecided(self, artifact: Found, tmp_path: Path) -> None:
        results = measured(artifact)
        key = results.rows[0]["samples"]["key"]
        results.arrays[f"{key}/latency_ns"] = np.repeat([900_000, 1_000_000, 1_060_000], 100)
        budgets = rules(tmp_path, '[[budget]]\nmax_ratio = {to = "int8", p50 = 1.1}\n')
        bench = Bench(load(COMMITTED))
        findings = measure_longer(results, budgets, {str(artifact.path): artifact}, bench, lambda: 0.0, lambda _: None)
        assert (findings[0].verdict, bench.processes) == (Verdict.INCONCLUSIVE, 0)


class TestCommand:
    def test_an_unchanged_build_passes_and_a_change_of_documentation_changes_nothing(self, tmp_path: Path) -> None:
        for found in load(COMMITTED).artifacts:
            target = tmp_path / "build" / found.card.model / found.path.name
            target.parent.mkdir(parents=True)
            shutil.copyfile(found.path, target)
        (tmp_path / "README.md").write_text("changed")
        options: list[str | Path] = ["--baseline", COMMITTED, "--budgets", ROOT / "bench" / "budgets.toml"]
        result = run_room("bench", "gate", *options, cwd=tmp_path)
        assert result.code == 0, result.stderr
        assert "4 PASS, 0 FAIL, 0 INCONCLUSIVE" in result.stdout

    def test_a_planted_point_of_accuracy_turns_it_red(self, artifact: Found, tmp_path: Path) -> None:
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
        result = run_room("bench", "gate", candidate.path, *options, cwd=tmp_path)
        assert result.code == 1, result.stdout + result.stderr
        finding = json.loads((tmp_path / "f.json").read_text())[0]
        assert 0.008 < finding["measured"]["value"] < 0.013

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["gate", "--baseline", "nowhere"], "no such file"),
            (["gate"], "Missing option '--baseline'"),
            (["baseline", "save", "b", "nowhere.tflite"], "nowhere.tflite: no such file"),
        ],
    )
    def test_bad_input_is_one_line_and_code_2(self, tmp_path: Path, arguments: list[str], found: str) -> None:
        (tmp_path / "bench").mkdir()
        shutil.copyfile(ROOT / "bench" / "budgets.toml", tmp_path / "bench" / "budgets.toml")
        result = run_room("bench", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line


def worse(found: Found, folder: Path) -> Found:
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
