"""Which variant to ship."""

import re
from typing import Any

import pytest

from bench.analysis.best_variant import Advice, advise
from bench.analysis.confidence import FAIRLY, MAX_DROP, OPEN, SURE, how_sure
from bench.analysis.float_pairs import pairs
from bench.results.measurement import Measurement
from tests.support.results_builder import make_results, make_row

PICTURES = 10_000
NOTHING_FASTER = "no faster row is shown to lose at most 0.2 points of accuracy"


def row(variant: str = "float32", **settings: Any) -> Measurement:
    return make_row(variant, total=PICTURES, **settings)


def advice(*rows: Measurement) -> Advice:
    results = make_results(rows)
    (one,) = advise(results, pairs(results))
    return one


class TestAdvice:
    def test_ships_the_fastest_that_is_shown_to_lose_next_to_nothing(self) -> None:
        assert MAX_DROP == 0.002
        one = advice(row(), row("int8", p50_ms=0.5, wrong=[0]), row("int8_mixed", p50_ms=0.4, wrong=range(40)))
        assert one.row.subject.variant == "int8"
        assert one.why.startswith("against float32, it is 2.0")
        assert one.why.endswith("as large, and loses at most 0.09 points of accuracy")
        assert "int8_mixed.tflite in LiteRT is 1.2" in (one.faster_but or "")
        assert "0.40 points less accurate" in (one.faster_but or "")
        assert (one.confidence.word, one.confidence.surer) == (SURE, None)
        assert "10,000 pictures show that it loses at most 0.2 points of accuracy" in one.confidence.because

    def test_what_is_not_shown_falls_back_to_float_with_the_pictures_that_would_show_it(self) -> None:
        one = advice(row(), row("int8", p50_ms=0.5, wrong=range(12)))  # 0.12 points; the whole interval is not within 0.20
        assert one.row.subject.variant == "float32"
        assert one.why == "no faster row is shown to lose at most 0.2 points of accuracy"
        assert "not shown to lose at most 0.2 points on 10,000 pictures (0.12 points lost" in (one.faster_but or "")
        assert (one.faster_but or "").endswith("pictures would show it")

    def test_few_pictures_show_nothing_even_where_no_answer_changes(self) -> None:
        results = make_results([make_row(), make_row("int8", p50_ms=0.5)])
        (one,) = advise(results, pairs(results))
        assert one.row.subject.variant == "float32"
        assert (one.faster_but or "").endswith("3,311 pictures would show it")

    def test_what_costs_over_a_hundredth_of_the_accuracy_is_not_even_named(self) -> None:
        one = advice(row(), row("int8", p50_ms=0.5, wrong=range(300)))
        assert (one.row.subject.variant, one.faster_but) == ("float32", None)

    def test_among_equally_fast_files_takes_the_clearly_smaller(self) -> None:
        one = advice(row(spread=0.05), row("float16", p50_ms=1.02, spread=0.05, size_bytes=200_000))
        assert one.row.subject.variant == "float16"

    def test_a_wide_interval_makes_nothing_fast(self) -> None:
        one = advice(row(), row("float16", p50_ms=1.5, spread=0.9, size_bytes=200_000))
        assert one.row.subject.variant == "float32"

    def test_each_quantized_variant_has_a_line_of_answers_accuracy_and_time(self) -> None:
        one = advice(row(wrong=[1]), row("int8", p50_ms=0.5, wrong=[2, 3]), row("float16"), row("dynamic_int8", p50_ms=3.0))
        dynamic, int8 = one.quantized
        assert int8.startswith("int8.tflite in LiteRT: 3 of 10,000 answered otherwise than float32; 0.01 points lost (99 % ")
        assert "times faster" in int8
        assert dynamic.startswith("dynamic_int8.tflite in LiteRT: 1 of 10,000 answered otherwise")
        assert "times slower" in dynamic
        assert dynamic.count(": ") > 1  # and why


class TestChoice:
    @pytest.mark.parametrize(("p50_ms", "chosen"), [(1.09, "float16"), (1.12, "float32")])
    def test_up_to_a_tenth_more_time_may_be_as_fast(self, p50_ms: float, chosen: str) -> None:
        one = advice(row(spread=0.3), row("float16", p50_ms=p50_ms, spread=0.3, size_bytes=100_000))
        assert one.row.subject.variant == chosen

    def test_what_is_distinguishably_slower_is_not_as_fast(self) -> None:
        one = advice(row(spread=0.001), row("float16", p50_ms=1.08, spread=0.001, size_bytes=100_000))
        assert one.row.subject.variant == "float32"

    def test_of_single_processes_the_medians_decide(self) -> None:
        slower = row("float16", p50_ms=1.05, processes=1, size_bytes=100_000)
        assert advice(row(processes=1), slower).row.subject.variant == "float32"

    @pytest.mark.parametrize(("size_bytes", "chosen"), [(440_000, "float32"), (441_000, "float16")])
    def test_of_files_that_are_as_small_the_most_accurate_is_taken(self, size_bytes: int, chosen: str) -> None:
        """float32 is a tenth larger than float16, or a little more; it misses one picture fewer."""
        rows = row(spread=0.05, size_bytes=size_bytes), row("float16", spread=0.05, wrong=[0])
        assert advice(*rows).row.subject.variant == chosen

    def test_of_as_accurate_ones_the_faster_is_taken(self) -> None:
        one = advice(row(spread=0.05), row("float16", p50_ms=1.02, spread=0.05))
        assert one.row.subject.variant == "float32"

    def test_what_is_more_accurate_than_float_is_as_good(self) -> None:
        one = advice(row(wrong=range(60)), row("int8", p50_ms=0.5, wrong=[0]))
        assert one.row.subject.variant == "int8"

    def test_without_any_that_is_as_good_all_are_looked_at(self) -> None:
        one = advice(row("int8", p50_ms=0.5), row("int8_mixed", p50_ms=0.4))
        assert one.row.subject.variant == "int8_mixed"
        assert one.why == "no float32 row of the same runtime to compare with"

    def test_float32_may_be_the_fastest(self) -> None:
        one = advice(row(), row("int8", p50_ms=2.0))
        assert (one.row.subject.variant, one.why) == ("float32", NOTHING_FASTER)

    def test_keras_is_never_shipped_and_each_model_has_its_own(self) -> None:
        results = make_results([row(runtime="keras", p50_ms=0.1), row(), row(model="n", p50_ms=3.0)])
        found = advise(results, pairs(results))
        assert [(one.model, one.device, one.row.subject.runtime) for one in found] == [
            ("m", "host", "litert"),
            ("n", "host", "litert"),
        ]


class TestFasterBut:
    """int8 is the choice; int8_mixed is faster and misses more."""

    @pytest.mark.parametrize(
        ("p50_ms", "missed", "named"),
        [
            (0.4, 40, True),
            (0.4, 12, True),  # not shown to be within
            (0.4, 90, False),  # its interval reaches beyond a hundredth of float's accuracy: 100 of 10,000 pictures
            (0.499, 40, False),  # not distinguishably faster
            (0.6, 40, False),
        ],
    )
    def test_is_named_where_it_is_faster_and_keeps_99_percent(self, p50_ms: float, missed: int, named: bool) -> None:
        one = advice(row(), row("int8", p50_ms=0.5), row("int8_mixed", p50_ms=p50_ms, wrong=range(missed)))
        assert one.row.subject.variant == "int8"
        assert (one.faster_but is not None) is named

    def test_of_several_the_fastest_is_named(self) -> None:
        rows = [row("int8_mixed", p50_ms=0.4, wrong=range(40)), row("dynamic_int8", p50_ms=0.3, wrong=range(40))]
        one = advice(row(), row("int8", p50_ms=0.5), *rows)
        assert (one.faster_but or "").startswith("dynamic_int8.tflite in LiteRT is 1.")


class TestConfidence:
    def test_a_choice_that_was_disturbed_is_not_sure_and_says_what_to_do(self) -> None:
        found = advice(row(disturbed=True)).confidence
        assert (found.word, found.because) == (OPEN, "other programs kept it waiting for 30 % of its time")
        assert found.surer == "measure again while nothing else runs on this machine"

    def test_all_reasons_are_named_with_what_would_help_against_each(self) -> None:
        found = advice(row("int8", disturbed=True, spread=0.3)).confidence
        assert found.word == OPEN
        time, disturbed, accuracy = found.because.split("; ")
        assert re.fullmatch(r"its time is known only within \d+ %", time)
        assert disturbed == "other programs kept it waiting for 30 % of its time"
        assert accuracy == "there is no float32 to compare it with"
        assert found.surer == (
            "measure again while nothing else runs on this machine; measure the float32 file of the same runtime too"
        )

    def test_accuracy_that_is_not_shown_is_named_beside_a_time_that_is_not_known_well(self) -> None:
        results = make_results([make_row("int8", spread=0.3), make_row(spread=0.3)])
        few = how_sure(results, results.row(pairs(results)[0].row.key), [], pairs(results)[0])
        assert few.word == OPEN
        assert few.because.startswith("its time is known only within ")
        assert few.because.endswith("; the test pictures do not show that it is as accurate as float32")
        assert few.surer == "measure longer: `--mode quick` or `--mode normal`; test on more pictures"

    def test_only_a_choice_that_is_known_is_told_to_be_shipped(self) -> None:
        assert advice(row()).heading == "Ship float32.tflite in LiteRT"
        assert advice(row(spread=0.05)).heading == "Ship float32.tflite in LiteRT"  # fairly sure
        assert advice(row(disturbed=True)).heading == "Best so far: float32.tflite in LiteRT"
        assert advice(row("int8")).heading == "Best so far: int8.tflite in LiteRT"

    def test_a_rival_whose_time_is_not_known_matters_where_it_may_be_faster(self) -> None:
        rival = row("int8", p50_ms=1.02, disturbed=True)
        found = advice(row(size_bytes=100_000), rival).confidence
        assert found.word == FAIRLY
        assert "one other file, as accurate, may be faster" in found.because
        assert "--mode normal" in (found.surer or "")

    def test_a_rival_that_is_far_slower_changes_nothing_although_it_was_disturbed(self) -> None:
        found = advice(row(), row("int8", p50_ms=5.0, disturbed=True)).confidence
        assert (found.word, found.surer) == (SURE, None)

    def test_a_wide_interval_of_the_choice_asks_for_a_longer_measurement(self) -> None:
        found = advice(row(spread=0.05)).confidence
        assert found.word == FAIRLY
        assert found.because.startswith("its time is known within 1")
        assert found.surer == "measure longer: `--mode quick` or `--mode normal`"

    def test_a_variant_without_float32_is_compared_with_nothing(self) -> None:
        found = advice(row("int8")).confidence
        assert (found.word, found.because) == (OPEN, "there is no float32 to compare it with")
