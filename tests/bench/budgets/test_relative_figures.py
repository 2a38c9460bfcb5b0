"""The figures of a row against float32, or against the variant that a limit names."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.budgets.figures import Case, Measured, OtherVariant
from bench.budgets.relative_figures import NO_REFERENCE, agreement, latency_ratio, partner_of, top1_drop
from bench.results.measurement import AnswerCounts, Measurement
from bench.results.samples import Samples
from bench.results.store import Results
from bench.stats import intervals
from common.interval import of_share
from common.paired_accuracy import Paired
from tests.support.budget_results import ENVIRONMENT, PICTURES, results, row
from tests.support.results_builder import make_results, make_row


def of(found: Results, variant: str = "int8", error: float = 0.01, other: OtherVariant | None = None) -> Case:
    (chosen,) = [one for one in found.rows if one.subject.variant == variant]
    return Case(chosen, found, error, other)


def moved(measurement: Measurement, **changes: Any) -> Measurement:
    return replace(measurement, subject=replace(measurement.subject, **changes))


class TestAccuracy:
    @pytest.mark.parametrize("error", [0.01, 0.2])
    def test_the_drop_is_tangos_of_the_answers_that_differ(self, error: float) -> None:
        """int8 is wrong on the first 95 pictures, float32 on the first 70: 25 answers are different, all wrong."""
        measured = top1_drop(of(results(row(wrong=95), row("float32", wrong=70)), error=error))
        assert measured.interval == Paired(25, 0, PICTURES).judged_drop(error)
        assert measured.samples == "10,000 pictures, 25 answered differently"

    def test_what_both_miss_in_another_way_counts_on_both_sides(self) -> None:
        other = row(wrong=70)
        answers = other.samples.predictions.copy()
        answers[:70] = 2  # float32 answers 1
        measured = top1_drop(
            of(results(replace(other, samples=replace(other.samples, predictions=answers)), row("float32")))
        )
        assert measured.interval == Paired(35, 35, PICTURES).judged_drop(0.01)

    def test_the_agreement_is_wilsons_of_equal_answers(self) -> None:
        measured = agreement(of(results(row(wrong=95), row("float32", wrong=70)), error=0.05))
        assert measured == Measured(of_share(PICTURES - 25, PICTURES, 0.05), "10,000 pictures")

    def test_agreement_is_over_the_pictures_that_both_have_seen_and_a_drop_needs_the_same(self) -> None:
        whole = row("float32", wrong=70)
        few = replace(
            row(wrong=95),
            answers=AnswerCounts(905, 1_000, None, 0, "d" * 64),
            samples=replace(row(wrong=95).samples, predictions=row(wrong=95).samples.predictions[:1_000]),
        )
        found = results(few, whole)
        assert agreement(of(found)).interval == of_share(975, 1_000, 0.01)
        reason = "float32 answered 10,000 pictures and this row 1,000"
        assert (top1_drop(of(found)).interval, top1_drop(of(found)).reason) == (None, reason)

    def test_a_drop_is_over_the_pictures_that_both_have_answered_where_their_labels_are_kept(self) -> None:
        wrong = range(100, 1_500, 100)
        found = make_results([make_row(wrong=[7]), make_row("int8", wrong=wrong, total=1_000)])
        measured = top1_drop(of(found))
        assert measured.interval == Paired(9, 1, 1_000).judged_drop(0.01)  # nine of `wrong` are among the first 1,000
        assert measured.samples == "the 1,000 pictures that both have answered"

    @pytest.mark.parametrize("figure", [top1_drop, agreement])
    def test_without_float_or_accuracy_there_is_none(self, figure: Any) -> None:
        assert figure(of(results())) == NO_REFERENCE
        blind = replace(
            row(),
            answers=AnswerCounts(0, 0, None, 0, "d" * 64),
            samples=replace(row().samples, predictions=np.empty(0, np.uint16)),
        )
        assert figure(of(results(blind, row("float32")))).reason == "accuracy was not measured"

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({}, True),
            ({"model": "n"}, False),
            ({"name": "other"}, False),
            ({"device": "pi4"}, True),
            ({"runtime": "tflite_runtime"}, False),
            ({"runtime": "keras", "format": "keras"}, True),
            ({"threads": 4}, True),
        ],
    )
    def test_float_is_keras_or_in_the_same_runtime_of_the_same_training(self, changes: dict[str, Any], found: bool) -> None:
        measured = agreement(of(results(row(wrong=95), moved(row("float32"), **changes))))
        assert (measured.interval is not None) is found

    @pytest.mark.parametrize("figure", [top1_drop, agreement])
    def test_float_that_answered_other_pictures_is_not_said_to_be_missing(self, figure: Any) -> None:
        other = replace(row("float32"), answers=AnswerCounts(PICTURES - 70, PICTURES, None, 0, "e" * 64))
        measured = figure(of(results(row(), other)))
        assert (measured.reason, measured.advice) == ("float32 answered other pictures", "measure both in one run")

    @pytest.mark.parametrize("changes", [{"model": "n"}, {"runtime": "tflite_runtime"}])
    def test_float_that_would_be_no_reference_anyway_is_missing(self, changes: dict[str, Any]) -> None:
        other = replace(row("float32"), answers=AnswerCounts(PICTURES - 70, PICTURES, None, 0, "e" * 64))
        assert agreement(of(results(row(), moved(other, **changes)))) == NO_REFERENCE

    def test_keras_comes_before_the_runtimes_own_and_the_own_device_before_another(self) -> None:
        """Each float32 row is wrong on another number of pictures, which identifies it. int8 is wrong on none."""
        own, keras = row("float32", wrong=10), moved(row("float32", wrong=30), runtime="keras", format="keras")
        away = moved(row("float32", wrong=20), device="a-board")
        keras_away = moved(keras, device="a-board")
        away_keras = replace(keras_away, samples=row(wrong=40).samples, answers=row(wrong=40).answers)
        for floats, differing in (
            ([own], 10),
            ([away, own], 10),
            ([away], 20),
            ([own, keras], 30),
            ([away_keras, keras], 30),
        ):
            measured = agreement(of(results(row(wrong=0), *floats)))
            assert measured.interval == of_share(PICTURES - differing, PICTURES, 0.01)


class TestRatio:
    TO_FLOAT = OtherVariant("p50", "float32")

    def test_is_the_rows_time_over_the_others(self) -> None:
        measured = latency_ratio(of(results(row(p50_ms=0.5), row("float32")), error=0.05, other=self.TO_FLOAT))
        assert measured.samples == "5 and 5 processes"
        assert measured.interval is not None
        assert measured.interval.value == pytest.approx(0.5, rel=1e-3)
        factors = [0.98, 0.99, 1.0, 1.01, 1.02]
        expected = intervals.of_ratio([0.5 * factor for factor in factors], factors, 0.05)
        assert expected is not None
        assert measured.interval.low == pytest.approx(expected.low, rel=1e-3)

    def test_a_missing_partner_is_said(self) -> None:
        measured = latency_ratio(of(results(), other=self.TO_FLOAT))
        assert measured == Measured(reason="no float32 row in the same runtime", advice="measure float32 in the same run")

    def test_two_runs_are_not_compared(self) -> None:
        found = results(row())
        found.merge([row("float32")], [], ENVIRONMENT)
        measured = latency_ratio(of(found, other=self.TO_FLOAT))
        assert (measured.interval, measured.reason) == (None, "the two were not measured interleaved in one run")

    @pytest.mark.parametrize("short", ["int8", "float32"])
    def test_each_process_of_both_needs_enough_queries(self, short: str) -> None:
        rows = []
        for one in (row(), row("float32")):
            few = tuple(process[:60] for process in one.samples.latency_ns)
            is_short = one.subject.variant == short
            rows.append(replace(one, samples=Samples(few, one.samples.predictions)) if is_short else one)
        measured = latency_ratio(of(results(*rows), other=OtherVariant("p90", "float32")))
        assert (measured.interval, measured.advice) == (None, "measure with --mode normal")
        assert measured.reason == "too few queries for a p90 in each process"

    def test_single_processes_show_nothing(self) -> None:
        rows = [
            replace(one, samples=Samples(one.samples.latency_ns[:1], one.samples.predictions))
            for one in (row(), row("float32"))
        ]
        measured = latency_ratio(of(results(*rows), other=self.TO_FLOAT))
        assert measured == Measured(None, "1 and 1 processes", "one process does not show how processes differ")

    @pytest.mark.parametrize(
        "changes",
        [
            {"model": "n"},
            {"name": "x"},
            {"format": "onnx"},
            {"runtime": "keras"},
            {"device": "pi4"},
            {"accelerator": "gpu"},
            {"threads": 2},
        ],
    )
    def test_the_partner_is_alike_in_all_but_the_variant(self, changes: dict[str, Any]) -> None:
        found = results(row(), moved(row("float32"), **changes))
        assert partner_of("float32", of(found).row, found) is None
        whole = results(row(), row("float32"))
        partner = partner_of("float32", of(whole).row, whole)
        assert partner is not None
        assert partner.subject.variant == "float32"
