"""The command `bench check`."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.budgets.check import check
from bench.budgets.finding import Finding, NotJudged
from bench.budgets.rules import load_budgets
from bench.machine.conditions import Conditions
from bench.results.integrity import load_sound_results
from bench.results.measurement import AnswerCounts, Measurement
from bench.results.row import Subject
from bench.results.samples import Samples
from bench.results.store import Results
from bench.stats import intervals
from common.interval import ERROR
from common.verdict import Verdict
from device.errors import EdgeproofError
from tests.conftest import Tiny, run_module
from tests.support.budget_results import ENVIRONMENT, PICTURES, budgets_file, results, row
from tests.support.results_builder import counted

OUTCOMES: dict[str, Verdict | NotJudged] = {**Verdict.__members__, **NotJudged.__members__}
NO_ANSWERS = np.empty(0, np.uint16)


def judged(tmp_path: Path, rule: str, *rows: Measurement) -> list[Finding]:
    devices = tmp_path / "devices"
    devices.mkdir(exist_ok=True)
    (devices / "netbook.toml").write_text('[match]\ncpu = "Celeron*"\n')
    (devices / "pi4.toml").write_text('[match]\ncpu = "*Raspberry*"\n')
    return check(results(*rows), load_budgets(budgets_file(tmp_path, rule)), devices=devices)


class TestFigures:
    @pytest.mark.parametrize(
        ("rule", "verdict"),
        [
            ("max_size_kb = 100", "PASS"),
            ("max_size_kb = 99.9", "FAIL"),
            ("max_peak_rss_mb = 50", "PASS"),
            ("max_peak_rss_mb = 49", "FAIL"),
            ("min_top1 = 0.99", "PASS"),
            ("min_top1 = 0.993", "INCONCLUSIVE"),
            ("min_top1 = 0.997", "FAIL"),
            ('device = "netbook"\nmax_p50_ms = 1.1', "PASS"),
            ('device = "netbook"\nmax_p50_ms = 1.0', "INCONCLUSIVE"),
            ('device = "netbook"\nmax_p50_ms = 0.9', "FAIL"),
            ('device = "netbook"\nmax_p90_ms = 1.1', "PASS"),
            ('device = "netbook"\nmax_p99_ms = 0.9', "FAIL"),
            ('device = "netbook"\nmax_load_ms = 2.2', "PASS"),
            ('device = "netbook"\nmax_first_inference_ms = 2.7', "FAIL"),
            ('device = "pi4"\nmax_p50_ms = 100', "NOT_HERE"),
            ("max_instructions_m = 2", "SKIPPED"),
        ],
    )
    def test_are_held_against_their_budget(self, tmp_path: Path, rule: str, verdict: str) -> None:
        assert [finding.verdict for finding in judged(tmp_path, rule)] == [OUTCOMES[verdict]]

    def test_an_interval_covers_processes_as_often_as_it_says(self) -> None:
        random = np.random.default_rng(3)
        held = 0
        for _ in range(2_000):
            found = intervals.of_processes(np.exp(random.normal(0, 0.06, 5)).tolist())
            assert found is not None
            held += found.low <= 1 <= found.high
        assert 0.983 <= held / 2_000 <= 0.997  # 99 % give or take three standard errors

    def test_only_times_share_the_error_of_repeated_looks(self, tmp_path: Path) -> None:
        (tmp_path / "netbook.toml").write_text('[match]\ncpu = "Celeron*"\n')
        rule = 'device = "netbook"\nmax_p50_ms = 1.1\nmin_top1 = 0.99\nmax_size_kb = 100'
        budgets = load_budgets(budgets_file(tmp_path, rule))
        whole, half = (check(results(), budgets, error, devices=tmp_path) for error in (ERROR, ERROR / 2))
        wider = [a.limit.name for a, b in zip(whole, half, strict=True) if a.measured != b.measured]
        assert wider == ["max_p50_ms"]

    def test_one_process_decides_nothing(self, tmp_path: Path) -> None:
        single = row()
        single = Measurement(
            **{**vars(single), "samples": Samples(single.samples.latency_ns[:1], single.samples.predictions)}
        )
        finding = judged(tmp_path, 'device = "netbook"\nmax_p50_ms = 100', single)[0]
        assert (finding.verdict, finding.measured) == (Verdict.INCONCLUSIVE, None)
        assert "one process" in finding.reason

    def test_a_percentile_that_the_sample_cannot_carry_decides_nothing(self, tmp_path: Path) -> None:
        short = row()
        few = Samples(tuple(process[:100] for process in short.samples.latency_ns), short.samples.predictions)
        finding = judged(tmp_path, 'device = "netbook"\nmax_p99_ms = 100', Measurement(**{**vars(short), "samples": few}))[0]
        assert finding.verdict is Verdict.INCONCLUSIVE
        assert "too few queries" in finding.reason

    def test_an_invalid_latency_decides_no_absolute_budget(self, tmp_path: Path) -> None:
        found = Measurement(**{**vars(row()), "conditions": (Conditions(waited=0.3),) * 5})
        finding = judged(tmp_path, 'device = "netbook"\nmax_p50_ms = 100', found)[0]
        assert finding.verdict is Verdict.INCONCLUSIVE
        assert "waited" in finding.reason

    @pytest.mark.parametrize(("wrong", "verdict"), [(72, "PASS"), (95, "INCONCLUSIVE"), (170, "FAIL")])
    def test_a_drop_is_paired_with_float(self, tmp_path: Path, wrong: int, verdict: str) -> None:
        rule = 'variant = "int8"\nmax_top1_drop = 0.003'
        finding = judged(tmp_path, rule, row(wrong=wrong), row("float32", wrong=70))[0]
        assert finding.verdict is Verdict[verdict]
        assert finding.measured is not None
        assert finding.measured.value == pytest.approx((wrong - 70) / PICTURES)

    def test_a_drop_without_float_decides_nothing(self, tmp_path: Path) -> None:
        finding = judged(tmp_path, "max_top1_drop = 0.003")[0]
        assert (finding.verdict, "no float32 row" in finding.reason) == (Verdict.INCONCLUSIVE, True)

    @pytest.mark.parametrize(("limit", "verdict"), [(0.9, "PASS"), (0.999, "FAIL")])
    def test_agreement_is_with_float(self, tmp_path: Path, limit: float, verdict: str) -> None:
        rule = f'variant = "int8"\nmin_agreement = {limit}'
        assert judged(tmp_path, rule, row(wrong=170), row("float32", wrong=70))[0].verdict is Verdict[verdict]

    @pytest.mark.parametrize(("p50_ms", "verdict"), [(0.5, "PASS"), (0.8, "INCONCLUSIVE"), (1.0, "FAIL")])
    def test_a_ratio_is_of_rows_of_one_run(self, tmp_path: Path, p50_ms: float, verdict: str) -> None:
        rule = 'variant = "int8"\nmax_ratio = {to = "float32", p50 = 0.8}'
        assert judged(tmp_path, rule, row(p50_ms=p50_ms), row("float32"))[0].verdict is Verdict[verdict]

    def test_a_ratio_of_two_runs_decides_nothing(self, tmp_path: Path) -> None:
        found = results(row(p50_ms=0.1))
        found.merge([row("float32")], [], ENVIRONMENT)
        rule = 'variant = "int8"\nmax_ratio = {to = "float32", p50 = 0.8}'
        finding = check(found, load_budgets(budgets_file(tmp_path, rule)), devices=tmp_path)[0]
        assert (finding.verdict, "interleaved" in finding.reason) == (Verdict.INCONCLUSIVE, True)

    @pytest.mark.parametrize(("device", "accelerator"), [("emulated-pi4", "cpu"), ("host", "gpu-software")])
    def test_a_time_that_is_no_latency_is_never_judged(self, tmp_path: Path, device: str, accelerator: str) -> None:
        unlike = [
            replace(found, subject=replace(found.subject, device=device, accelerator=accelerator))
            for found in (row(p50_ms=5.0), row("float32"))
        ]
        rule = 'variant = "int8"\nmin_top1 = 0.99\nmax_ratio = {to = "float32", p50 = 0.8}'
        assert {f.limit.name: f.verdict for f in judged(tmp_path, rule, *unlike)} == {
            "min_top1": Verdict.PASS,
            "max_ratio p50 to float32": NotJudged.SKIPPED,
        }

    def test_a_row_without_pictures_has_no_accuracy(self, tmp_path: Path) -> None:
        bare = replace(row(), answers=AnswerCounts(0, 0), samples=replace(row().samples, predictions=NO_ANSWERS))
        findings = judged(tmp_path, "min_top1 = 0.9\nmax_top1_drop = 0.1\nmin_agreement = 0.9", bare)
        assert {(f.verdict, f.reason) for f in findings} == {(Verdict.INCONCLUSIVE, "accuracy was not measured")}

    def test_a_missing_runtime_leaves_its_budgets_undecided_and_no_others(self, tmp_path: Path) -> None:
        from bench.results.row import ANY, Skipped

        gpu = Subject(ANY, None, ANY, "tflite", "litert_gpu", "host", "gpu", 1)
        found = results()
        found.merge([], [Skipped(gpu, "no GPU")], ENVIRONMENT)
        budgets = load_budgets(budgets_file(tmp_path, 'runtime = "litert_gpu"\nmodel = "m"\nmin_top1 = 0.9'))
        assert [f.reason for f in check(found, budgets, devices=tmp_path)] == ["its row was skipped: no GPU"]
        with pytest.raises(EdgeproofError, match="matches nothing"):
            check(found, load_budgets(budgets_file(tmp_path, 'model = "resnet"\nmin_top1 = 0.9')), devices=tmp_path)

    @pytest.mark.parametrize("rule", ["max_p50_ms = 900", "max_load_ms = 900", 'max_ratio = {to = "int8", p50 = 9.0}'])
    def test_an_emulated_time_enters_no_budget(self, tmp_path: Path, rule: str) -> None:
        found = results()
        found.put(replace(found.rows[0], subject=replace(found.rows[0].subject, device="emulated-pi4")))
        budgets = load_budgets(budgets_file(tmp_path, f'device = "emulated-pi4"\n{rule}'))
        finding = check(found, budgets, devices=tmp_path)[0]
        assert (finding.verdict, finding.reason) == (NotJudged.SKIPPED, "emulated, not a latency")

    @pytest.mark.parametrize(("limit", "verdict"), [(1.6, "PASS"), (1.5, "FAIL")])
    def test_a_count_of_instructions_is_exact(self, tmp_path: Path, limit: float, verdict: str) -> None:
        found = results()
        found.put(replace(found.rows[0], instructions=counted(1_600_000)))
        budgets = load_budgets(budgets_file(tmp_path, f"max_instructions_m = {limit}"))
        assert check(found, budgets, devices=tmp_path)[0].verdict is Verdict[verdict]

    def test_a_skipped_row_is_not_passed(self, tmp_path: Path) -> None:
        from bench.results.row import Skipped

        found = results()
        found.merge([], [Skipped(row("float16").subject, "no such op")], ENVIRONMENT)
        budgets = load_budgets(budgets_file(tmp_path, 'variant = "float16"\nmax_size_kb = 900'))
        finding = check(found, budgets, devices=tmp_path)[0]
        assert (finding.verdict, "no such op" in finding.reason) == (Verdict.INCONCLUSIVE, True)


class TestCommand:
    def check(self, tmp_path: Path, rule: str, *options: str | Path, rows: Results | None = None) -> Any:
        (rows or results()).save(tmp_path / "bench.json")
        path = budgets_file(tmp_path, rule)
        return run_module("bench", "check", tmp_path / "bench.json", "--budgets", path, *options, cwd=tmp_path)

    @pytest.mark.parametrize(
        ("rule", "options", "code"),
        [
            ("max_size_kb = 200", [], 0),
            ("max_size_kb = 20", [], 1),
            ("min_top1 = 0.993", [], 3),
            ("min_top1 = 0.993", ["--inconclusive", "pass"], 0),
            ("min_top1 = 0.993", ["--inconclusive", "fail"], 1),
        ],
    )
    def test_the_exit_code_is_the_verdict(self, tmp_path: Path, rule: str, options: list[str], code: int) -> None:
        result = self.check(tmp_path, rule, *options)
        assert result.code == code, result.stderr
        assert "budgets.toml:2" in result.stdout

    @pytest.mark.parametrize(
        ("spoil", "found"),
        [
            (lambda text: text[: len(text) // 2], "no readable JSON"),
            (lambda text: text.replace('"schema": 1', '"schema": 99'), "schema is 99"),
            (
                lambda text: text.replace('"count"', '"cuont"').replace('"queries": 4000', '"queries": 1'),
                "latency.queries is 1",
            ),
            (lambda text: text.replace('"load_ms": 2.0', '"load_ms": 1.0'), "startup.load_ms is 1.0"),
            (lambda text: text.replace('"top1": 0.993', '"top1": 1.0'), "accuracy.top1 is 1.0"),
            (lambda text: text.replace('"threads": 1', '"threads": 2'), "samples.key"),
            (lambda text: text.replace('"artifact"', '"artefact"'), "measurements[0].artifact is"),
        ],
    )
    def test_edited_or_damaged_results_are_refused_with_the_place(self, tmp_path: Path, spoil: Any, found: str) -> None:
        path = tmp_path / "bench.json"
        results().save(path)
        whole = path.read_text()
        path.write_text(spoil(whole))
        assert path.read_text() != whole
        with pytest.raises(EdgeproofError) as error:
            load_sound_results(path)
        assert "bench.json" in str(error.value)
        assert found in str(error.value)

    def test_samples_of_another_run_are_refused(self, tmp_path: Path) -> None:
        results().save(tmp_path / "bench.json")
        results(row(p50_ms=0.5)).save(tmp_path / "other.json")
        (tmp_path / "other.npz").replace(tmp_path / "bench.npz")
        with pytest.raises(EdgeproofError, match=r"samples\.sha256"):
            load_sound_results(tmp_path / "bench.json")

    @pytest.mark.parametrize(
        ("rule", "found"),
        [
            ("", "holds no budgets"),
            ('device = "pi5"\nmax_p50_ms = 1', "none was compared"),
            ('device = "pi9"\nmax_p50_ms = 1', "device: found 'pi9', expected one of chromium, "),
            ('model = "x"\nmax_size_kb = 1', "nothing"),
            (
                'max_ratio = {to = "flaot32", p50 = 1}',
                "no row of the results is of variant 'flaot32', expected",
            ),
            ("max_regression = 0.1", "holds only max_regression, against a baseline: `edgeproof bench gate` judges it"),
        ],
    )
    def test_nothing_to_judge_is_code_2(self, tmp_path: Path, rule: str, found: str) -> None:
        results().save(tmp_path / "bench.json")
        path = budgets_file(tmp_path, *([rule] if rule else []))
        result = run_module("bench", "check", tmp_path / "bench.json", "--budgets", path, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line

    @pytest.mark.slow
    def test_measures_first_with_what_the_budgets_compare_with(self, tiny: Tiny, tmp_path: Path) -> None:
        shutil.copytree(tiny.folder, tmp_path / "build" / tiny.folder.name)
        rule = 'variant = "int8_mixed"\nruntime = "litert"\nmax_ratio = {to = "float16", p50 = 100}\nmin_agreement = 0.5'
        options: list[str | Path] = ["--measure", "--max-time", "1", "--budgets", budgets_file(tmp_path, rule)]
        result = run_module("bench", "check", *options, cwd=tmp_path)
        assert result.code == 0, result.stdout + result.stderr
        assert "2 PASS, 0 FAIL, 0 INCONCLUSIVE" in result.stdout
        rows = load_sound_results(tmp_path / "build" / "bench.json").rows
        assert {row.subject.variant for row in rows} == {"int8_mixed", "float16", "float32"}
        assert {row.subject.format for row in rows} == {"tflite"}

    def test_results_without_a_row_are_code_2(self, tmp_path: Path) -> None:
        result = self.check(tmp_path, "max_size_kb = 2", rows=Results())
        assert (result.code, "holds no measurement" in result.error_line) == (2, True)

    def test_writes_what_was_asked_for(self, tmp_path: Path) -> None:
        names = {"--junit": "j.xml", "--markdown": "c.md", "--bmf": "b.json", "--json": "f.json"}
        options = [part for option, name in names.items() for part in (option, tmp_path / name)]
        assert self.check(tmp_path, "max_size_kb = 20", *options).code == 1
        assert {path.name for path in tmp_path.iterdir()} >= set(names.values())
        assert json.loads((tmp_path / "f.json").read_text())[0]["verdict"] == "FAIL"
