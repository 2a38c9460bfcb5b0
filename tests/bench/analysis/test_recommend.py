"""The row that fits given budgets."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.recommend import Recommendation, excess, limits_of, per_machine, recommend
from bench.budgets.check import check
from bench.budgets.finding import Finding
from bench.budgets.rules import load_budgets
from bench.results.measurement import Measurement
from bench.results.store import Results
from common.interval import Interval
from common.verdict import Verdict
from device.errors import EdgeproofError
from tests.conftest import run_module
from tests.support.budget_results import budgets_file
from tests.support.results_builder import make_results, make_row, saved, usual

ANY: dict[str, str | None] = {"model": None, "device": None, "runtime": None}


def pick(results: Results, **limits: float) -> Recommendation:
    return recommend(results, limits_of(limits), ANY)


class TestRecommend:
    def test_picks_the_fastest_that_keeps_every_budget_and_says_why(self) -> None:
        found = pick(usual(), max_p90_ms=5, min_top1=0.98, max_size_kb=300)
        assert (found.verdict, found.chosen.row.subject.variant) == (Verdict.PASS, "int8")
        text = "\n".join(found.lines)
        assert "--max-size-kb: 100 kB" in text
        assert "the only one of 2 rows" in text
        assert "1 of 2 rows: --max-size-kb fail" in text

    @pytest.mark.parametrize("total", [20, 1_000])
    def test_float32_loses_nothing_against_itself_however_few_pictures_there_are(self, total: int) -> None:
        found = pick(make_results([make_row(total=total)]), max_top1_drop=0.0)
        assert (found.verdict, found.chosen.row.subject.variant) == (Verdict.PASS, "float32")
        assert "  --max-top1-drop: 0" in found.lines  # no interval: it is exact
        assert pick(make_results([make_row(total=total)]), min_agreement=0.999).verdict is Verdict.PASS

    @pytest.mark.parametrize("answered_otherwise", [0, 1])
    def test_float32_that_answers_each_picture_as_keras_loses_nothing_against_it(self, answered_otherwise: int) -> None:
        rows = [make_row("float32", "keras", total=100), make_row(total=100, wrong=range(answered_otherwise))]
        found = pick(make_results(rows), max_top1_drop=0.002)
        assert found.verdict is (Verdict.INCONCLUSIVE if answered_otherwise else Verdict.PASS)

    @pytest.mark.parametrize("limit", [{"max_top1_drop": 1.0}, {"min_agreement": 0.0}, {"min_top1": 0.0}])
    def test_a_share_that_allows_any_is_no_limit(self, limit: dict[str, float]) -> None:
        found = pick(make_results([make_row("int8", total=0)]), **limit)  # nothing to compare with, and no picture
        assert (found.verdict, found.chosen.row.subject.variant) == (Verdict.PASS, "int8")

    def test_names_what_is_faster_and_might_fit_too(self) -> None:
        found = pick(make_results([make_row(), make_row("int8", p50_ms=0.3, disturbed=True)]), max_p90_ms=5)
        assert (found.verdict, found.chosen.row.subject.variant) == (Verdict.PASS, "float32")
        assert any("1 row is faster but not shown to fit: m int8.tflite in LiteRT" in line for line in found.lines)

    def test_names_the_nearest_and_how_far_it_is_where_none_fits(self) -> None:
        found = pick(usual(), max_p90_ms=0.1, max_size_kb=90)
        assert (found.verdict, found.chosen.row.subject.variant) == (Verdict.FAIL, "int8")
        assert "none of 2 rows fits" in found.lines[0]
        assert any("--max-size-kb fail: 100 kB, 11 % beyond" in line for line in found.lines)

    @pytest.mark.parametrize(
        ("limit", "far"),
        [
            ({"max_size_kb": 360}, "400 kB, 11 % beyond"),
            ({"max_size_kb": 8}, "400 kB, 50 times its limit"),
            ({"min_top1": 0.999}, "10 times the error that it allows"),
            ({"min_top1": 1.0}, "]"),  # no error is allowed: the figure says all
        ],
    )
    def test_says_of_what_is_far_beyond_how_many_times_it_is(self, limit: dict[str, float], far: str) -> None:
        found = pick(make_results([make_row(wrong=range(20))]), **limit)  # 0.9900 of 2,000
        assert next(line for line in found.lines if " fail: " in line).endswith(far)

    def test_an_interval_that_straddles_the_budget_decides_nothing(self) -> None:
        results = make_results([make_row(wrong=range(20))])  # 0.9900 of 2,000
        for least, verdict in ((0.98, Verdict.PASS), (0.99, Verdict.INCONCLUSIVE), (0.995, Verdict.FAIL)):
            assert pick(results, min_top1=least).verdict is verdict
        wide = make_results([make_row(spread=0.2)])
        for limit_ms, verdict in ((0.3, Verdict.FAIL), (1.0, Verdict.INCONCLUSIVE), (5.0, Verdict.PASS)):
            assert pick(wide, max_p50_ms=limit_ms).verdict is verdict

    @pytest.mark.parametrize(
        ("key", "limit", "verdict"),
        [
            ("min_top1", 0.982, "PASS"),
            ("min_top1", 0.984, "INCONCLUSIVE"),  # PASS at 95 %
            ("min_top1", 0.994, "INCONCLUSIVE"),  # FAIL at 95 %
            ("min_top1", 0.995, "FAIL"),
            ("max_p50_ms", 0.5, "FAIL"),
            ("max_p50_ms", 0.7, "INCONCLUSIVE"),  # FAIL at 95 %
            ("max_p90_ms", 1.5, "INCONCLUSIVE"),  # PASS at 95 %
            ("max_p90_ms", 1.9, "PASS"),
            ("max_size_kb", 400, "PASS"),
            ("max_size_kb", 399, "FAIL"),
        ],
    )
    def test_a_limit_has_the_verdict_that_check_gives_it(self, tmp_path: Path, key: str, limit: float, verdict: str) -> None:
        row = make_row(wrong=range(20), spread=0.1)
        results = make_results([replace(row, subject=replace(row.subject, device="board"))])
        budgets = load_budgets(budgets_file(tmp_path, f'device = "board"\n{key} = {limit}'))
        (finding,) = check(results, budgets, devices=tmp_path)
        assert pick(results, **{key: limit}).verdict is finding.verdict is Verdict[verdict]

    def test_a_percentile_that_the_sample_cannot_carry_is_no_pass(self) -> None:
        found = pick(make_results([make_row(queries=20)]), max_p90_ms=100)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert any("not measured, a process has too few queries for its p90" in line for line in found.lines)

    def test_a_single_process_is_no_pass(self) -> None:
        found = pick(make_results([make_row(processes=1)]), max_p90_ms=100)
        assert found.verdict is Verdict.INCONCLUSIVE

    def test_a_timing_that_is_not_valid_is_no_pass_and_no_fail(self) -> None:
        for limit_ms in (100.0, 0.01):
            found = pick(make_results([make_row(disturbed=True)]), max_p90_ms=limit_ms)
            assert found.verdict is Verdict.INCONCLUSIVE
            assert any("not valid: waited" in line for line in found.lines)

    @pytest.mark.parametrize("limits", [{}, {"max_size_kb": 1_000.0}], ids=["no limit", "of the size"])
    def test_a_choice_whose_timing_is_not_valid_is_inconclusive_and_says_why(self, limits: dict[str, float]) -> None:
        """It was chosen by its time, also where no limit is of a time."""
        found = pick(make_results([make_row(disturbed=True), make_row("int8", p50_ms=3.0)]), **limits)
        assert (found.verdict, found.chosen.row.subject.variant) == (Verdict.INCONCLUSIVE, "float32")
        (line,) = [line for line in found.lines if "inconclusive" in line]
        assert line.startswith("  inconclusive: rows are ranked by their time, but its timing is not valid: waited: ")
        assert line.endswith(": measure again while nothing else runs on this machine")

    def test_a_choice_whose_timing_is_only_imprecise_is_judged_by_its_interval(self) -> None:
        found = pick(make_results([make_row(spread=0.2), make_row("int8", p50_ms=3.0)]))
        assert (found.chosen.row.latency.valid, found.chosen.row.latency.only_imprecise) == (False, True)
        assert found.verdict is Verdict.PASS

    def test_keras_ships_nowhere(self) -> None:
        with pytest.raises(EdgeproofError, match="there are none"):
            recommend(make_results([make_row(runtime="keras")]), [], ANY)

    def test_looks_only_at_what_is_asked_for(self) -> None:
        results = make_results([make_row(), make_row("int8", "onnxruntime", p50_ms=0.1)])
        assert recommend(results, [], {**ANY, "runtime": "litert"}).chosen.row.subject.runtime == "litert"
        with pytest.raises(EdgeproofError, match=r"no row of runtime 'tvm': there are litert, onnxruntime"):
            recommend(results, [], {**ANY, "runtime": "tvm"})


def row_of(device: str, variant: str = "float32", **changes: Any) -> Measurement:
    row = make_row(variant, **changes)
    return replace(row, subject=replace(row.subject, device=device))


class TestExcess:
    @pytest.mark.parametrize(
        ("key", "limit", "value", "expected"),
        [
            ("max_p50_ms", 2.0, 3.0, 0.5),
            ("max_p50_ms", 2.0, 1.5, -0.25),
            ("max_size_kb", 1e-5, 1.0, (1 - 1e-5) / 1e-4),  # what is allowed is no scale below 0.0001
            ("min_top1", 0.99, 0.98, 1.0),  # twice the errors that are allowed
            ("min_top1", 0.99, 0.995, -0.5),
            ("min_top1", 1.0, 0.99, 100.0),
        ],
    )
    def test_is_a_share_of_what_is_allowed(self, key: str, limit: float, value: float, expected: float) -> None:
        (asked,) = limits_of({key: limit, "max_p90_ms": None})
        finding = Finding(asked, "row", Verdict.FAIL, Interval.exact(value))
        assert excess(finding) == pytest.approx(expected)
        assert excess(replace(finding, measured=None)) == 0


class TestNearest:
    def test_is_the_one_that_is_least_beyond_its_worst_limit(self) -> None:
        results = make_results([make_row(size_bytes=200_000), make_row("int8", p50_ms=4.0, size_bytes=110_000)])
        found = pick(results, max_size_kb=100, max_p50_ms=3)
        assert found.chosen.row.subject.variant == "int8"
        assert found.chosen.worst_excess == pytest.approx(1 / 3, rel=0.05)
        assert [finding.limit.name for finding in found.chosen.open_findings] == ["max_size_kb", "max_p50_ms"]
        assert found.lines[:2] == (
            "none of 2 rows fits",
            f"nearest: m int8.tflite in LiteRT: {results.rows[1].artifact.path}",
        )
        assert found.lines[-2:] == ("  1 of 2 rows: --max-p50-ms fail", "  2 of 2 rows: --max-size-kb fail")

    def test_what_may_fit_comes_before_what_does_not(self) -> None:
        results = make_results([make_row(p50_ms=0.9, size_bytes=500_000), make_row("int8", p50_ms=5.0, processes=1)])
        found = pick(results, max_size_kb=450, max_p50_ms=100)
        assert (found.verdict, found.chosen.row.subject.variant) == (Verdict.INCONCLUSIVE, "int8")
        assert found.lines[0] == "none of 2 rows is shown to fit"
        assert found.lines[1].startswith("may fit: m int8.tflite in LiteRT: ")
        assert not any("beyond" in line for line in found.lines)

    def test_of_equally_near_ones_the_fastest_is_taken(self) -> None:
        found = pick(make_results([make_row(p50_ms=2.0), make_row("int8", p50_ms=1.0)]), max_size_kb=100)
        assert found.chosen.row.subject.variant == "int8"


class TestReasons:
    def test_the_fastest_is_told_with_the_next(self) -> None:
        found = pick(make_results([make_row(p50_ms=2.0), make_row("int8", p50_ms=1.0)]), max_p50_ms=100)
        assert found.lines[-1].startswith("  the fastest of the 2 that fit, p50 ")
        assert "(next: m float32.tflite in LiteRT: p50 2" in found.lines[-1]

    def test_a_smaller_one_that_is_as_fast_is_told_so(self) -> None:
        rows = [make_row(spread=0.05), make_row("float16", p50_ms=1.02, spread=0.05, size_bytes=100_000)]
        found = pick(make_results(rows), max_p50_ms=100)
        assert found.chosen.row.subject.variant == "float16"
        assert "  not distinguishable from the fastest, and smaller or more accurate of the 2 that fit" in found.lines[-1]

    def test_only_what_is_faster_and_open_is_told_beside(self) -> None:
        slow_open, fast_failing = (
            make_row("int8", p50_ms=3.0, processes=1),
            make_row("float16", p50_ms=0.5, size_bytes=900_000),
        )
        found = pick(make_results([make_row(), slow_open, fast_failing]), max_p50_ms=100, max_size_kb=800)
        assert found.chosen.row.subject.variant == "float32"
        assert not any("rows are faster" in line for line in found.lines)

    def test_of_several_the_fastest_open_one_is_named(self) -> None:
        rows = [make_row("int8", p50_ms=0.5, processes=1), make_row("float16", p50_ms=0.4, processes=1)]
        found = pick(make_results([make_row(), *rows]), max_p50_ms=100)
        (line,) = [line for line in found.lines if "rows are faster" in line]
        assert line.startswith("  2 rows are faster but not shown to fit: m float16.tflite in LiteRT: p50 0.39")
        assert line.endswith("one process does not show how processes differ")


class TestWanted:
    def test_models_devices_and_runtimes_are_chosen_by_name(self) -> None:
        results = make_results([row_of("pi4"), row_of("pi5", model="n"), row_of("pi5", variant="int8", p50_ms=0.1)])
        for wanted, count in (({}, 3), ({"device": "pi5"}, 2), ({"device": "pi5", "model": "m"}, 1), ({"model": "m"}, 2)):
            assert len(recommend(results, [], {**ANY, **wanted}).considered) == count
        with pytest.raises(EdgeproofError, match="no row of model 'x': there are m, n"):
            recommend(results, [], {**ANY, "model": "x"})

    def test_an_emulated_device_is_never_one(self) -> None:
        results = make_results([make_row(), row_of("emulated-pi4", variant="int8", p50_ms=0.1)])
        assert len(recommend(results, [], ANY).considered) == 1
        with pytest.raises(
            EdgeproofError, match="device 'emulated-pi4': emulated, not a latency: nothing can be recommended"
        ):
            recommend(results, [], {**ANY, "device": "emulated-pi4"})

    def test_json_holds_the_choice_and_all_that_was_considered(self) -> None:
        document = pick(usual(), max_size_kb=90).to_json()
        assert document["verdict"] == "fail"
        assert [entry["variant"] for entry in document["considered"]] == ["float32", "int8"]
        assert (document["chosen"]["variant"], document["chosen"]["verdict"]) == ("int8", "fail")
        (finding,) = document["chosen"]["findings"]
        assert (finding["budget"], finding["verdict"]) == ("--max-size-kb", "fail")
        assert finding["excess"] == pytest.approx(100 / 90 - 1)


class TestCommand:
    @pytest.mark.parametrize(("limit", "code"), [("5", 0), ("0.001", 1), ("0.51", 3)])
    def test_exits_0_for_a_pick_1_for_none_3_where_the_sample_cannot_tell(
        self, tmp_path: Path, limit: str, code: int
    ) -> None:
        saved(tmp_path / "build" / "bench.json", usual(spread=0.05))
        options = ["--max-p90-ms", limit, "--max-size-kb", "300", "--max-top1-drop", "0.01"]
        result = run_module("bench", "recommend", *options, "--json", cwd=tmp_path)
        assert result.code == code, result.stderr
        document = json.loads(result.stdout)
        assert document["verdict"] == {0: "pass", 1: "fail", 3: "inconclusive"}[code]
        assert document["chosen"]["variant"] == "int8"
        assert [entry["variant"] for entry in document["considered"]] == ["float32", "int8"]

    def test_without_options_it_is_float32_where_no_loss_is_shown_to_be_small_and_says_the_pictures_needed(
        self, tmp_path: Path
    ) -> None:
        """As the report does."""
        saved(tmp_path / "build" / "bench.json", usual())
        result = run_module("bench", "recommend", cwd=tmp_path)
        assert result.code == 0
        assert result.stdout.startswith("m float32.tflite in LiteRT")
        assert "1 row is faster but not shown to fit: m int8.tflite in LiteRT" in result.stdout
        assert "test on more pictures: " in result.stdout

    def test_without_a_float32_row_the_sample_cannot_tell(self, tmp_path: Path) -> None:
        saved(tmp_path / "build" / "bench.json", make_results([make_row("int8")]))
        result = run_module("bench", "recommend", cwd=tmp_path)
        assert result.code == 3
        assert "--max-top1-drop inconclusive: not measured, no float32 row" in result.stdout

    def test_a_timing_that_is_not_valid_is_code_3(self, tmp_path: Path) -> None:
        saved(tmp_path / "build" / "bench.json", make_results([make_row(disturbed=True)]))
        result = run_module("bench", "recommend", cwd=tmp_path)
        assert (result.code, "its timing is not valid: waited" in result.stdout) == (3, True)

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            (["--min-top1", "1.5"], "--min-top1"),
            (["--model", "resnet"], "no row of model 'resnet'"),
            (["x.json"], "no such file"),
        ],
    )
    def test_bad_input_is_one_line_and_code_2(self, tmp_path: Path, arguments: list[str], found: str) -> None:
        saved(tmp_path / "build" / "bench.json", usual())
        result = run_module("bench", "recommend", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line


class TestMachines:
    def test_each_machine_of_several_files_is_judged_by_itself_and_the_worst_decides(self, tmp_path: Path) -> None:
        saved(tmp_path / "pc.json", make_results([make_row(p50_ms=1.0), make_row("int8", p50_ms=0.4)]))
        saved(tmp_path / "pi.json", make_results([make_row(p50_ms=10.0), make_row("int8", p50_ms=9.0)]))
        limits = ["--max-p50-ms", "2", "--max-top1-drop", "1"]
        result = run_module("bench", "recommend", "pc.json", "pi.json", *limits, cwd=tmp_path)
        assert result.code == 1
        heads = [line for line in result.stdout.splitlines() if line.endswith(":") and "cores" in line]
        assert heads == ["pc.json: host, a cpu, 2 cores:", "pi.json: host, a cpu, 2 cores:"]
        assert "m int8.tflite in LiteRT" in result.stdout.partition("pi.json")[0]
        assert "none of 2 rows fits" in result.stdout.partition("pi.json")[2]

    def test_in_json_each_machine_has_its_verdict(self, tmp_path: Path) -> None:
        for name, p50_ms in (("pc", 1.0), ("pi", 10.0)):
            saved(tmp_path / f"{name}.json", make_results([make_row(p50_ms=p50_ms)]))
        limits = ["--max-p50-ms", "2", "--max-top1-drop", "1"]
        result = run_module("bench", "recommend", "pc.json", "pi.json", *limits, "--json", cwd=tmp_path)
        machines = json.loads(result.stdout)["machines"]
        assert [(one["file"], one["verdict"]) for one in machines] == [("pc.json", "pass"), ("pi.json", "fail")]

    def test_a_device_that_no_file_has_is_refused(self) -> None:
        with pytest.raises(EdgeproofError, match="no row of device 'pi9' in a, b"):
            per_machine({"a": make_results([make_row()]), "b": make_results([make_row()])}, [], {"device": "pi9"})
