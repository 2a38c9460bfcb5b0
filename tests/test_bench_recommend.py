"""What to ship: pairs of float and quantized, the words for them, the choice by budgets."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.advice import advise
from bench.pairs import Pair, pairs
from bench.reasons import why_not_faster
from bench.recommend import Budgets, Verdict, recommend
from bench.results import Results
from bench.words import pair_words, times
from device.classify import EdgeproofError
from tests.conftest import run_room
from tests.results_maker import ENVIRONMENT, make_results, make_row, saved

ANY: dict[str, str | None] = {"model": None, "device": None, "runtime": None}


def usual(**changes: Any) -> Results:
    """Return float32 and an int8 of half its time and a quarter of its size, which misses one picture more."""
    return make_results(
        [
            make_row("float32", p50_ms=1.0, wrong=range(10)),
            make_row("int8", p50_ms=0.5, wrong=range(11), size_bytes=100_000, **changes),
        ]
    )


class TestPairs:
    def test_hold_each_row_against_float32_of_the_same_runtime(self) -> None:
        results = make_results([make_row(), make_row("int8", p50_ms=0.5), make_row("int8", "onnxruntime")])
        found = pairs(results)
        assert [(pair.row["variant"], pair.baseline["variant"]) for pair in found] == [("int8", "float32")]
        assert found[0].speed.value == pytest.approx(2, rel=0.02)
        assert found[0].accuracy is not None
        assert found[0].accuracy.total == 2_000

    def test_compare_on_the_pictures_that_both_have_seen(self) -> None:
        results = make_results([make_row(wrong=[1_500]), make_row("int8", wrong=[3], total=1_000)])
        found = pairs(results)[0].accuracy
        assert found is not None
        assert (found.only_first, found.only_second, found.total) == (1, 0, 1_000)

    def test_without_labels_say_so(self) -> None:
        results = usual()
        results.arrays = {name: array for name, array in results.arrays.items() if not name.startswith("pictures/")}
        assert "labels of the test pictures are not kept" in pair_words(pairs(results)[0])


class TestWords:
    def test_a_clear_gain_and_an_unclear_loss(self) -> None:
        words = pair_words(pairs(usual())[0])
        assert "times faster (1." in words
        assert "4.00 times smaller" in words
        assert "accuracy not distinguishable (−0.05 points" in words
        assert "pictures would be needed" in words

    def test_a_clear_loss_has_its_interval_and_p(self) -> None:
        words = pair_words(pairs(make_results([make_row(), make_row("int8", wrong=range(40))]))[0])
        assert "2.00 points less accurate (−2.71 to −1.47; p = 1.8e-12)" in words

    def test_as_many_right_is_not_the_same_as_equal(self) -> None:
        words = pair_words(pairs(make_results([make_row(wrong=[1]), make_row("int8", wrong=[2])]))[0])
        assert "as many right of 2,000; −0.24 to +0.24" in words

    def test_slower_is_said_as_slower(self) -> None:
        found = pairs(make_results([make_row(), make_row("int8", p50_ms=3.0)]))[0]
        assert times(found.speed).startswith("3.0")
        assert "times slower (2." in times(found.speed)


class TestReasons:
    def reason(self, pair: Pair, flags: list[str]) -> str | None:
        return why_not_faster(pair, {**ENVIRONMENT, "cpu_flags": flags})

    def slow(self, variant: str = "int8", runtime: str = "litert", float_ms: float = 1.0) -> Pair:
        return pairs(make_results([make_row("float32", runtime, float_ms), make_row(variant, runtime, 2 * float_ms)]))[0]

    def test_what_is_faster_needs_none(self) -> None:
        assert self.reason(pairs(usual())[0], []) is None

    @pytest.mark.parametrize(
        ("variant", "runtime", "float_ms", "flags", "found"),
        [
            ("int8", "litert", 1.0, ["avx2"], "no VNNI and no dot-product"),
            ("int8", "litert", 1.0, ["asimd"], "no VNNI and no dot-product"),
            ("int8", "litert", 0.05, ["asimd", "asimddp"], "the model is small"),
            ("int8", "tflite_runtime", 1.0, ["avx2", "avx512_vnni"], "plain reference code"),
            ("float16", "litert", 1.0, ["avx2"], "computes in float32"),
            ("int16x8", "litert", 1.0, ["avx512_vnni"], "16-bit activations"),
            ("int8", "litert", 1.0, ["avx512_vnni"], "profile"),
        ],
    )
    def test_are_found_in_flags_runtime_and_size(
        self, variant: str, runtime: str, float_ms: float, flags: list[str], found: str
    ) -> None:
        assert found in (self.reason(self.slow(variant, runtime, float_ms), flags) or "")

    def test_a_fault_of_one_machine_is_not_blamed_on_another(self) -> None:
        reason = self.reason(self.slow(runtime="tflite_runtime"), ["asimd", "asimddp"]) or ""
        assert "reference code" not in reason


class TestAdvice:
    def test_ships_the_fastest_that_answers_as_float_does(self) -> None:
        results = make_results(
            [
                make_row("float32", p50_ms=1.0),
                make_row("int8", p50_ms=0.5, wrong=[0]),
                make_row("int8_mixed", p50_ms=0.4, wrong=range(8)),
            ]
        )
        (one,) = advise(results, pairs(results))
        assert one.row["variant"] == "int8"
        assert one.why.startswith("against float32 in the same runtime: 2.0")
        assert "int8_mixed.tflite in LiteRT is 1.2" in (one.faster_but or "")
        assert "0.40 points less accurate" in (one.faster_but or "")
        assert one.provisional is None

    def test_what_costs_over_a_hundredth_of_the_accuracy_is_not_even_named(self) -> None:
        results = make_results([make_row(), make_row("int8", p50_ms=0.5, wrong=range(60))])
        (one,) = advise(results, pairs(results))
        assert (one.row["variant"], one.faster_but) == ("float32", None)

    def test_among_equally_fast_files_takes_the_clearly_smaller(self) -> None:
        results = make_results([make_row(spread=0.05), make_row("float16", p50_ms=1.02, spread=0.05, size_bytes=200_000)])
        assert advise(results, pairs(results))[0].row["variant"] == "float16"

    def test_a_wide_interval_makes_nothing_fast(self) -> None:
        results = make_results([make_row(), make_row("float16", p50_ms=1.5, spread=0.9, size_bytes=200_000)])
        assert advise(results, pairs(results))[0].row["variant"] == "float32"

    def test_is_provisional_where_the_timing_is_not_valid(self) -> None:
        results = usual(drifting=True)
        assert "not valid" in (advise(results, pairs(results))[0].provisional or "")


class TestRecommend:
    def test_picks_the_fastest_that_keeps_every_budget_and_says_why(self) -> None:
        found = recommend(usual(), Budgets(max_p90_ms=5, min_top1=0.98, max_size_kb=300), ANY)
        assert (found.verdict, found.chosen.row["variant"]) == (Verdict.PASS, "int8")
        text = "\n".join(found.lines)
        assert "--max-size-kb: 100 kB" in text
        assert "the only one of 2 rows" in text
        assert "1 of 2 rows: --max-size-kb fail" in text

    def test_names_what_is_faster_and_might_fit_too(self) -> None:
        found = recommend(
            make_results([make_row(), make_row("int8", p50_ms=0.3, drifting=True)]), Budgets(max_p90_ms=5), ANY
        )
        assert (found.verdict, found.chosen.row["variant"]) == (Verdict.PASS, "float32")
        assert any("1 rows are faster but not shown to fit: m int8.tflite in LiteRT" in line for line in found.lines)

    def test_names_the_nearest_and_how_far_it_is_where_none_fits(self) -> None:
        found = recommend(usual(), Budgets(max_p90_ms=0.1, max_size_kb=90), ANY)
        assert (found.verdict, found.chosen.row["variant"]) == (Verdict.FAIL, "int8")
        assert "none of 2 rows fits" in found.lines[0]
        assert any("--max-size-kb fail: 100 kB, 11 % beyond" in line for line in found.lines)

    def test_an_interval_that_straddles_the_budget_decides_nothing(self) -> None:
        results = make_results([make_row(wrong=range(20))])  # 0.9900 of 2,000
        for least, verdict in ((0.98, Verdict.PASS), (0.99, Verdict.INCONCLUSIVE), (0.995, Verdict.FAIL)):
            assert recommend(results, Budgets(min_top1=least), ANY).verdict is verdict
        wide = make_results([make_row(spread=0.2)])
        for limit_ms, verdict in ((0.3, Verdict.FAIL), (1.0, Verdict.INCONCLUSIVE), (5.0, Verdict.PASS)):
            assert recommend(wide, Budgets(max_p50_ms=limit_ms), ANY).verdict is verdict

    def test_a_percentile_that_the_sample_cannot_carry_is_no_pass(self) -> None:
        found = recommend(make_results([make_row(queries=20)]), Budgets(max_p90_ms=100), ANY)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert any("no p90: 60 queries cannot carry one" in line for line in found.lines)

    def test_a_single_process_is_no_pass(self) -> None:
        found = recommend(make_results([make_row(processes=1)]), Budgets(max_p90_ms=100), ANY)
        assert found.verdict is Verdict.INCONCLUSIVE

    def test_a_timing_that_is_not_valid_is_no_pass_and_no_fail(self) -> None:
        for limit_ms in (100.0, 0.01):
            found = recommend(make_results([make_row(drifting=True)]), Budgets(max_p90_ms=limit_ms), ANY)
            assert found.verdict is Verdict.INCONCLUSIVE
            assert any("not valid: unstable" in line for line in found.lines)

    def test_keras_ships_nowhere(self) -> None:
        with pytest.raises(EdgeproofError, match="there are none"):
            recommend(make_results([make_row(runtime="keras")]), Budgets(), ANY)

    def test_looks_only_at_what_is_asked_for(self) -> None:
        results = make_results([make_row(), make_row("int8", "onnxruntime", p50_ms=0.1)])
        assert recommend(results, Budgets(), {**ANY, "runtime": "litert"}).chosen.row["runtime"] == "litert"
        with pytest.raises(EdgeproofError, match=r"no row of runtime 'tvm': there are litert, onnxruntime"):
            recommend(results, Budgets(), {**ANY, "runtime": "tvm"})


class TestCommand:
    @pytest.mark.parametrize(("limit", "code"), [("5", 0), ("0.001", 1), ("0.51", 3)])
    def test_exits_0_for_a_pick_1_for_none_3_where_the_sample_cannot_tell(
        self, tmp_path: Path, limit: str, code: int
    ) -> None:
        saved(tmp_path / "build" / "bench.json", usual(spread=0.05))
        result = run_room("bench", "recommend", "--max-p90-ms", limit, "--max-size-kb", "300", "--json", cwd=tmp_path)
        assert result.code == code, result.stderr
        document = json.loads(result.stdout)
        assert document["verdict"] == {0: "pass", 1: "fail", 3: "inconclusive"}[code]
        assert document["chosen"]["variant"] == "int8"
        assert [entry["variant"] for entry in document["considered"]] == ["float32", "int8"]

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
        result = run_room("bench", "recommend", *arguments, cwd=tmp_path)
        assert result.code == 2
        assert found in result.error_line
