"""A figure is shown in the unit that its name ends with."""

import pytest

from bench.search.formatting import figure_name, figure_text, figure_title, limit_words
from bench.search.result import Limit


@pytest.mark.parametrize(
    ("name", "value", "shown", "title"),
    [
        ("size_bytes", 19_300, "19.3 kB", "size, kB"),
        ("latency_ms", 0.1234, "0.123 ms", "latency, ms"),
        ("latency_ratio", 0.4567, "0.457 of the reference", "latency, times the reference"),
        ("instructions", 1_234_567, "1.235 million instructions", "instructions, million"),
        ("peak_rss_mb", 58.77, "58.8 MB", "peak memory, MB"),
        ("arena_bytes", 9_999, "10.0 kB", "arena, kB"),
        ("top1", 0.992, "99.20 %", "accuracy"),
        ("parameters", 988, "988.0", "parameters"),
    ],
)
def test_a_figure_is_shown_with_its_unit(name: str, value: float, shown: str, title: str) -> None:
    assert figure_text(name, value) == shown
    assert figure_title(name) == title


def test_a_limit_says_which_side_it_is_on() -> None:
    assert limit_words(Limit("top1", least=0.992)) == "accuracy at least 99.20 %"
    assert limit_words(Limit("arena_bytes", most=10_000)) == "arena at most 10.0 kB"
    assert limit_words(Limit("instructions", most=200_000)) == "at most 0.200 million instructions"
    assert figure_name("dot_products") == "dot products"
