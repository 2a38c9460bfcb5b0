"""Thread advice, sustained loads, profiles, and the whole path on real artifacts."""

from dataclasses import replace

import pytest

from bench.analysis.thread_count import advice, best
from bench.results.row import IMPRECISE, Estimate, ResultRow
from tests.support.results_builder import make_row


def row(threads: int, p50_ms: float, reach: float = 0.02, valid: bool = True, runtime: str = "litert") -> ResultRow:
    made = make_row("int8", runtime, threads=threads).row
    p50 = Estimate(p50_ms, (p50_ms * (1 - reach), p50_ms * (1 + reach)))
    return replace(made, latency=replace(made.latency, p50=p50, valid=valid))


class TestThreadAdvice:
    def test_more_threads_are_advised_where_their_whole_interval_is_lower(self) -> None:
        (sentence,) = advice([row(2, 1.2), row(1, 2.0)])
        assert "Use 2" in sentence
        assert "1.67 times as fast, at least 1.60" in sentence
        assert "1.2 times the CPU time" in sentence

    def test_one_thread_is_advised_where_the_intervals_touch(self) -> None:
        (sentence,) = advice([row(1, 2.0, 0.1), row(2, 1.7, 0.1)])
        assert "Use 1: more are not distinguishably faster" in sentence

    def test_a_row_that_is_not_valid_is_not_chosen(self) -> None:
        assert best([row(1, 2.0), row(2, 1.0, valid=False), row(4, 1.5)]).subject.threads == 4

    @pytest.mark.parametrize("disturbed", [1, 2])
    def test_a_sweep_with_a_row_that_is_not_valid_advises_nothing(self, disturbed: int) -> None:
        (sentence,) = advice([row(1, 2.0, valid=disturbed != 1), row(2, 1.0, valid=disturbed != 2)])
        assert sentence.endswith(". Not known how many to use: measure again on a quiet machine.")

    def test_a_row_that_is_only_imprecise_is_compared_by_its_interval(self) -> None:
        imprecise = row(2, 1.0, reach=0.1, valid=False)
        imprecise = replace(imprecise, latency=replace(imprecise.latency, flags=(IMPRECISE,)))
        (sentence,) = advice([row(1, 2.0), imprecise])
        assert ". Use 2 where a core is free: " in sentence

    def test_without_a_sweep_nothing_is_advised(self) -> None:
        assert advice([row(1, 2.0), row(2, 1.0, runtime="onnxruntime")]) == []
