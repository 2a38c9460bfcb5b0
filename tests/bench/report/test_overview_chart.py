"""The Pareto front that the first chart marks."""

from typing import Any

from bench.report import overview_chart
from tests.support.results_builder import make_results, make_row


class TestFront:
    def flags(self, *rows: Any) -> list[bool]:
        results = make_results(list(rows))
        return [on for on, _ in zip(overview_chart.on_front(results.rows), results.rows, strict=True)]

    def test_holds_what_no_other_row_beats(self) -> None:
        slow_and_wrong = make_row("a", p50_ms=2, wrong=[1], size_bytes=200)
        fast_and_wrong = make_row("b", p50_ms=1, wrong=[1], size_bytes=100)
        slow_and_right = make_row("c", p50_ms=2, size_bytes=200)
        assert self.flags(slow_and_wrong, fast_and_wrong, slow_and_right) == [False, True, True]

    def test_a_smaller_file_is_on_it_although_it_is_slower(self) -> None:
        assert self.flags(make_row("a", p50_ms=1, size_bytes=200), make_row("b", p50_ms=2, size_bytes=100)) == [True, True]

    def test_a_row_of_fewer_pictures_is_not_compared(self) -> None:
        assert self.flags(make_row("a", wrong=range(20)), make_row("b", p50_ms=9, total=100)) == [True, False]
