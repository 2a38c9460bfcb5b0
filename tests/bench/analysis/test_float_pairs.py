"""Quantized rows beside their float rows."""

from dataclasses import replace
from typing import Any

import pytest

from bench.analysis.float_pairs import Pair, pairs
from bench.analysis.why_not_faster import why_not_faster
from bench.analysis.wording import accuracy_verdict, plain_pair_words, times
from tests.support.results_builder import ENVIRONMENT, make_results, make_row, usual


class TestPairs:
    def test_hold_each_row_against_float32_of_the_same_runtime(self) -> None:
        results = make_results([make_row(), make_row("int8", p50_ms=0.5), make_row("int8", "onnxruntime")])
        found = pairs(results)
        assert [(pair.row.subject.variant, pair.baseline.subject.variant) for pair in found] == [("int8", "float32")]
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
        assert "labels of the test pictures are not kept" in accuracy_verdict(pairs(results)[0].accuracy)
        assert plain_pair_words(pairs(results)[0]).endswith("4.00 times smaller")


class TestPartners:
    @pytest.mark.parametrize(
        "changes",
        [
            {"model": "n"},
            {"name": "other"},
            {"format": "onnx"},
            {"runtime": "tflite_runtime"},
            {"device": "pi4"},
            {"accelerator": "gpu"},
            {"threads": 2},
        ],
    )
    def test_differ_in_nothing_but_the_variant(self, changes: dict[str, Any]) -> None:
        other = make_row("int8")
        alone = make_results([make_row(), replace(other, subject=replace(other.subject, **changes))])
        assert pairs(alone) == []
        assert len(pairs(make_results([make_row(), other]))) == 1

    def test_an_emulated_row_has_none(self) -> None:
        rows = [replace(row, subject=replace(row.subject, device="emulated-pi4")) for row in (make_row(), make_row("int8"))]
        assert pairs(make_results(rows)) == []

    def test_speed_and_size_are_the_floats_over_the_rows(self) -> None:
        (pair,) = pairs(make_results([make_row(p50_ms=3.0), make_row("int8", size_bytes=50_000)]))
        assert pair.speed.value == pytest.approx(3.0, rel=0.02)
        assert pair.times_smaller == 8.0

    @pytest.mark.parametrize(("first", "second"), [(False, False), (True, False), (False, True)])
    def test_are_trusted_where_both_timings_are_valid(self, first: bool, second: bool) -> None:
        (pair,) = pairs(make_results([make_row(disturbed=first), make_row("int8", disturbed=second)]))
        assert pair.trusted is not (first or second)

    def test_the_accuracy_is_the_floats_first(self) -> None:
        (pair,) = pairs(make_results([make_row(wrong=[1, 2, 3]), make_row("int8", wrong=[3, 4])]))
        assert pair.accuracy is not None
        assert (pair.accuracy.only_first, pair.accuracy.only_second, pair.accuracy.total) == (1, 2, 2_000)


class TestWords:
    def test_a_clear_gain_and_an_unclear_loss(self) -> None:
        (pair,) = pairs(usual())
        plain = plain_pair_words(pair)
        assert plain.startswith("against float32, it is ")
        assert "times faster (1." in plain
        assert plain.endswith("4.00 times smaller, and loses at most 0.42 points of accuracy")
        words = accuracy_verdict(pair.accuracy)
        assert "accuracy not distinguishable (−0.05 points" in words
        assert "pictures would be needed" in words

    def test_a_clear_loss_has_its_interval_and_p(self) -> None:
        words = accuracy_verdict(pairs(make_results([make_row(), make_row("int8", wrong=range(40))]))[0].accuracy)
        assert "2.00 points less accurate (99 % interval −2.98 to −1.34; p = 2.5e-10)" in words

    def test_as_many_right_is_not_the_same_as_equal(self) -> None:
        words = accuracy_verdict(pairs(make_results([make_row(wrong=[1]), make_row("int8", wrong=[2])]))[0].accuracy)
        assert "as many right of 2,000; 99 % interval −0.38 to +0.38" in words

    def test_slower_is_said_as_slower(self) -> None:
        found = pairs(make_results([make_row(), make_row("int8", p50_ms=3.0)]))[0]
        assert times(found.speed).startswith("3.0")
        assert "times slower (2." in times(found.speed)
        assert plain_pair_words(found).startswith("against float32, it is 3.0")

    def test_a_speed_that_cannot_be_told_apart_is_as_fast(self) -> None:
        (pair,) = pairs(make_results([make_row(spread=0.1), make_row("float16", spread=0.1)]))
        assert plain_pair_words(pair).startswith("against float32, it is as fast and as large, and loses at most 0.")


class TestReasons:
    def reason(self, pair: Pair, flags: list[str]) -> str | None:
        return why_not_faster(pair, replace(ENVIRONMENT, cpu_flags=tuple(flags)))

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
