"""Budgets: what a file may say, which rule counts, and what each verdict rests on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import interval
from bench.budget import KINDS, load_budgets
from bench.check import check
from bench.interval import Interval
from bench.measurement import Accuracy, Artifact, Measurement, Samples, Startup, Subject
from bench.results import Results
from bench.soundness import load_sound_results
from bench.verdict import Finding, Place, Verdict, exit_code, judge
from device.classify import EdgeproofError
from tests import results_maker
from tests.conftest import ROOT, Tiny, run_room

ENVIRONMENT = {**results_maker.ENVIRONMENT, "host": "box", "cpu": "Celeron N3350", "os": "Linux"}
PICTURES = 10_000
NO_ANSWERS = np.empty(0, np.uint16)
FACTORS = (0.98, 0.99, 1.0, 1.01, 1.02)  # of five processes


def row(variant: str = "int8", runtime: str = "litert", p50_ms: float = 1.0, wrong: int = 70, **more: Any) -> Measurement:
    random = np.random.default_rng(0)
    latency = tuple((random.normal(p50_ms * factor, p50_ms / 1e4, 800) * 1e6).astype(np.int64) for factor in FACTORS)
    answers = np.zeros(PICTURES, np.uint16)  # the label of every picture is 0
    answers[:wrong] = 1
    return Measurement(
        subject=Subject("m", more.get("name"), variant, "tflite", runtime, "host", "cpu", more.get("threads", 1)),
        artifact=Artifact(str(ROOT / "README.md"), "0" * 64, 100_000),
        runtime_version="1.0",
        accuracy=Accuracy(PICTURES - wrong, PICTURES, None, 0, "d" * 64),
        startup=Startup(1.0, 2.0, 3.0, 4.0, tuple((1.0, 2.0 * factor, 3.0 * factor) for factor in FACTORS)),
        warmup_calls=32,
        peak_rss_bytes=50_000_000,
        samples=Samples(latency, answers),
    )


def results(*rows: Measurement) -> Results:
    found = Results()
    found.merge(rows or (row(),), [], ENVIRONMENT)
    return found


def budgets_file(tmp_path: Path, *rules: str) -> Path:
    path = tmp_path / "budgets.toml"
    path.write_text("".join(f"[[budget]]\n{rule}\n" for rule in rules))
    return path


def judged(tmp_path: Path, rule: str, *rows: Measurement) -> list[Finding]:
    devices = tmp_path / "devices"
    devices.mkdir(exist_ok=True)
    (devices / "netbook.toml").write_text('[match]\ncpu = "Celeron*"\n')
    (devices / "pi4.toml").write_text('[match]\ncpu = "*Raspberry*"\n')
    return check(results(*rows), load_budgets(budgets_file(tmp_path, rule)), devices=devices)


class TestFile:
    @pytest.mark.parametrize(
        ("rule", "line", "found"),
        [
            ("max_p50 = 3", 2, "unknown key 'max_p50'"),
            ('model = "m"\nmax_sise_kb = 3', 3, "unknown key 'max_sise_kb'"),
            ('max_size_kb = "300"', 2, "found '300', expected a number"),
            ("max_size_kb = true", 2, "found True"),
            ("max_size_kb = nan", 2, "found nan"),
            ("max_size_kb = inf", 2, "found inf"),
            ("max_size_kb = -1", 2, "found -1"),
            ("max_size_kb = 0", 2, "more than 0"),
            ("\n# a comment\nmin_top1 = 99.0", 4, "at most 1"),
            ("max_ratio = 0.8", 2, 'expected {to = "float32"'),
            ("max_ratio = {to = 'float32', p42 = 1.0}", 2, "p50, p90"),
            ("max_ratio = {to = 'float32', p50 = 'half'}", 2, "max_ratio.p50"),
            ("max_size_kb = 3\nthreads = 0", 3, "whole number from 1"),
            ("max_size_kb = 3\nmodel = 7", 3, "model: found 7"),
            ('model = "m"', 1, "asks for nothing"),
            ("max_p50_ms = 3", 2, "device that is named"),
            ('device = "*"\nmax_load_ms = 3', 3, "device that is named"),
            ('device = "host"\nmax_p90_ms = 3', 3, "device that is named"),
        ],
    )
    def test_a_mistake_is_named_with_its_line(self, tmp_path: Path, rule: str, line: int, found: str) -> None:
        with pytest.raises(EdgeproofError) as error:
            load_budgets(budgets_file(tmp_path, rule))
        assert f"budgets.toml:{line}: " in str(error.value)
        assert found in str(error.value)

    def test_a_mistake_in_a_later_rule_has_that_rules_line(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match=r"budgets\.toml:5: .*unknown key 'max_rss'"):
            load_budgets(budgets_file(tmp_path, "max_size_kb = 3", 'model = "m"\nmax_rss = 1'))

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", "holds no budgets"),
            ("# nothing\n", "holds no budgets"),
            ("[[budget", "no readable TOML"),
            ("x = 1", "unknown"),
        ],
    )
    def test_a_file_without_budgets_is_refused(self, tmp_path: Path, text: str, found: str) -> None:
        path = tmp_path / "budgets.toml"
        path.write_text(text)
        with pytest.raises(EdgeproofError, match=found):
            load_budgets(path)

    def test_the_projects_own_is_sound(self) -> None:
        assert load_budgets(ROOT / "bench" / "budgets.toml").rules

    def test_every_key_is_documented(self) -> None:
        text = (ROOT / "docs" / "gate.md").read_text()
        assert [key for key in KINDS if f"`{key}`" not in text] == []


class TestRules:
    def limit_of(self, tmp_path: Path, *rules: str) -> list[float]:
        found = check(results(), load_budgets(budgets_file(tmp_path, *rules)), devices=tmp_path)
        return [finding.limit for finding in found]

    def test_the_narrowest_counts(self, tmp_path: Path) -> None:
        wide, narrower, narrow = "max_size_kb = 1", 'variant = "int*"\nmax_size_kb = 2', 'variant = "int8"\nmax_size_kb = 3'
        assert self.limit_of(tmp_path, wide, narrow, narrower) == [3]
        assert self.limit_of(tmp_path, narrower, wide) == [2]

    def test_each_key_has_its_own_narrowest(self, tmp_path: Path) -> None:
        assert self.limit_of(tmp_path, "max_size_kb = 1\nmax_peak_rss_mb = 2", 'model = "m"\nmax_size_kb = 3') == [2, 3]

    def test_two_equally_narrow_ones_are_refused_with_both_lines(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match=r"budgets\.toml:6, .*budgets\.toml:3") as error:
            self.limit_of(tmp_path, 'model = "m"\nmax_size_kb = 1', 'variant = "int8"\nmax_size_kb = 2')
        assert "equally narrow" in str(error.value)

    def test_one_that_matches_nothing_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EdgeproofError, match=r"budgets\.toml:3: matches nothing .*model resnet"):
            self.limit_of(tmp_path, "max_size_kb = 1", 'model = "resnet"\nmax_size_kb = 2')

    def test_a_named_training_is_a_model_of_its_own(self, tmp_path: Path) -> None:
        rows = results(row(), row(name="other"))
        found = check(rows, load_budgets(budgets_file(tmp_path, 'model = "m@other"\nmax_size_kb = 2')), devices=tmp_path)
        assert [finding.subject for finding in found] == ["m@other/int8.tflite/litert/host/cpu/1"]


class TestVerdict:
    @pytest.mark.parametrize(("high", "verdict"), [(1.9, Verdict.PASS), (2.5, Verdict.INCONCLUSIVE)])
    def test_passes_only_when_the_whole_interval_keeps_the_limit(self, high: float, verdict: Verdict) -> None:
        assert judge(Interval(1.5, 1.0, high), 2.0, at_most=True) is verdict
        assert judge(Interval(-1.5, -high, -1.0), -2.0, at_most=False) is verdict

    @pytest.mark.parametrize(("low", "verdict"), [(2.1, Verdict.FAIL), (1.9, Verdict.INCONCLUSIVE)])
    def test_fails_only_when_the_whole_interval_is_beyond(self, low: float, verdict: Verdict) -> None:
        assert judge(Interval(2.5, low, 3.0), 2.0, at_most=True) is verdict
        assert judge(Interval(-2.5, -3.0, -low), -2.0, at_most=False) is verdict

    @pytest.mark.parametrize(
        ("verdicts", "choice", "code"),
        [
            ("PASS", None, 0),
            ("PASS INCONCLUSIVE", None, 3),
            ("PASS INCONCLUSIVE", "pass", 0),
            ("PASS INCONCLUSIVE", "fail", 1),
            ("FAIL INCONCLUSIVE", "pass", 1),
            ("FAIL INCONCLUSIVE", None, 1),
            ("PASS NOT_HERE", None, 0),
        ],
    )
    def test_exit_codes(self, verdicts: str, choice: str | None, code: int) -> None:
        findings = [Finding("b", 1, "", Place("f", 1), "s", Verdict[name]) for name in verdicts.split()]
        assert exit_code(findings, choice) == code

    @pytest.mark.parametrize("verdicts", ["", "NOT_HERE SKIPPED"])
    def test_nothing_judged_is_never_a_pass(self, verdicts: str) -> None:
        findings = [Finding("b", 1, "", Place("f", 1), "s", Verdict[name]) for name in verdicts.split()]
        with pytest.raises(EdgeproofError, match="none was held against a measurement"):
            exit_code(findings, "pass")


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
        assert [finding.verdict for finding in judged(tmp_path, rule)] == [Verdict[verdict]]

    def test_an_interval_covers_processes_as_often_as_it_says(self) -> None:
        random = np.random.default_rng(3)
        held = 0
        for _ in range(2_000):
            found = interval.of_processes(np.exp(random.normal(0, 0.06, 5)).tolist())
            assert found is not None
            held += found.low <= 1 <= found.high
        assert 0.983 <= held / 2_000 <= 0.997  # 99 % give or take three standard errors

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
        drifting = tuple((np.linspace(1, 2, 800) * 1e6).astype(np.int64) for _ in range(5))
        found = Measurement(**{**vars(row()), "samples": Samples(drifting, row().samples.predictions)})
        finding = judged(tmp_path, 'device = "netbook"\nmax_p50_ms = 100', found)[0]
        assert finding.verdict is Verdict.INCONCLUSIVE
        assert "unstable" in finding.reason

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
        assert {f.budget: f.verdict for f in judged(tmp_path, rule, *unlike)} == {
            "min_top1": Verdict.PASS,
            "max_ratio p50 to float32": Verdict.SKIPPED,
        }

    def test_a_row_without_pictures_has_no_accuracy(self, tmp_path: Path) -> None:
        bare = replace(row(), accuracy=Accuracy(0, 0, None, 0, None), samples=replace(row().samples, predictions=NO_ANSWERS))
        findings = judged(tmp_path, "min_top1 = 0.9\nmax_top1_drop = 0.1\nmin_agreement = 0.9", bare)
        assert {(f.verdict, f.reason) for f in findings} == {(Verdict.INCONCLUSIVE, "accuracy was not measured")}

    def test_a_missing_runtime_leaves_its_budgets_undecided_and_no_others(self, tmp_path: Path) -> None:
        from bench.measurement import ANY, Skipped

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
        found.rows[0]["device"] = "emulated-pi4"
        budgets = load_budgets(budgets_file(tmp_path, f'device = "emulated-pi4"\n{rule}'))
        finding = check(found, budgets, devices=tmp_path)[0]
        assert (finding.verdict, finding.reason) == (Verdict.SKIPPED, "emulated, not a latency")

    @pytest.mark.parametrize(("limit", "verdict"), [(1.6, "PASS"), (1.5, "FAIL")])
    def test_a_count_of_instructions_is_exact(self, tmp_path: Path, limit: float, verdict: str) -> None:
        found = results()
        found.rows[0]["instructions"] = {"steady_inference": 1_600_000, "core": "cortex-a72"}
        budgets = load_budgets(budgets_file(tmp_path, f"max_instructions_m = {limit}"))
        assert check(found, budgets, devices=tmp_path)[0].verdict is Verdict[verdict]

    def test_a_skipped_row_is_not_passed(self, tmp_path: Path) -> None:
        from bench.measurement import Skipped

        found = results()
        found.merge([], [Skipped(row("float16").subject, "no such op")], ENVIRONMENT)
        budgets = load_budgets(budgets_file(tmp_path, 'variant = "float16"\nmax_size_kb = 900'))
        finding = check(found, budgets, devices=tmp_path)[0]
        assert (finding.verdict, "no such op" in finding.reason) == (Verdict.INCONCLUSIVE, True)


class TestCommand:
    def check(self, tmp_path: Path, rule: str, *options: str | Path, rows: Results | None = None) -> Any:
        (rows or results()).save(tmp_path / "bench.json")
        path = budgets_file(tmp_path, rule)
        return run_room("bench", "check", tmp_path / "bench.json", "--budgets", path, *options, cwd=tmp_path)

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
            ('device = "pi9"\nmax_p50_ms = 1', "none was held"),
            ('model = "x"\nmax_size_kb = 1', "nothing"),
        ],
    )
    def test_nothing_to_judge_is_code_2(self, tmp_path: Path, rule: str, found: str) -> None:
        results().save(tmp_path / "bench.json")
        path = budgets_file(tmp_path, *([rule] if rule else []))
        result = run_room("bench", "check", tmp_path / "bench.json", "--budgets", path, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line

    @pytest.mark.slow
    def test_measures_first_with_what_the_budgets_compare_with(self, tiny: Tiny, tmp_path: Path) -> None:
        shutil.copytree(tiny.folder, tmp_path / "build" / tiny.folder.name)
        rule = 'variant = "int8_mixed"\nruntime = "litert"\nmax_ratio = {to = "float16", p50 = 100}\nmin_agreement = 0.5'
        options: list[str | Path] = ["--measure", "--max-time", "1", "--budgets", budgets_file(tmp_path, rule)]
        result = run_room("bench", "check", *options, cwd=tmp_path)
        assert result.code == 0, result.stdout + result.stderr
        assert "2 PASS, 0 FAIL, 0 INCONCLUSIVE" in result.stdout
        rows = load_sound_results(tmp_path / "build" / "bench.json").rows
        assert {row["variant"] for row in rows} == {"int8_mixed", "float16", "float32"}
        assert {row["format"] for row in rows} == {"tflite"}

    def test_results_without_a_row_are_code_2(self, tmp_path: Path) -> None:
        result = self.check(tmp_path, "max_size_kb = 2", rows=Results())
        assert (result.code, "holds no measurement" in result.error_line) == (2, True)

    def test_writes_what_was_asked_for(self, tmp_path: Path) -> None:
        names = {"--junit": "j.xml", "--markdown": "c.md", "--bmf": "b.json", "--json": "f.json"}
        options = [part for option, name in names.items() for part in (option, tmp_path / name)]
        assert self.check(tmp_path, "max_size_kb = 20", *options).code == 1
        assert {path.name for path in tmp_path.iterdir()} >= set(names.values())
        assert json.loads((tmp_path / "f.json").read_text())[0]["verdict"] == "FAIL"
