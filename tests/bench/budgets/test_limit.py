"""A limit and its place."""

from bench.budgets.figures import OtherVariant
from bench.budgets.kinds import KINDS
from bench.budgets.limit import Limit, Place
from tests.support.budget_results import limit


def test_a_place_is_a_line_of_a_file_or_an_option() -> None:
    assert str(Place("budgets.toml", 7)) == "budgets.toml:7"
    assert str(Place("--max-p50-ms")) == "--max-p50-ms"


def test_a_relative_limit_is_named_by_its_percentile_and_variant() -> None:
    relative = Limit(KINDS["max_ratio"], 0.8, Place("f", 1), OtherVariant("p90", "float16"))
    assert (relative.name, relative.compared_variant) == ("max_ratio p90 to float16", "float16")


def test_a_limit_of_accuracy_is_compared_with_float32_and_others_with_nothing() -> None:
    assert (limit("max_top1_drop").name, limit("max_top1_drop").compared_variant) == ("max_top1_drop", "float32")
    assert limit("max_size_kb").compared_variant is None
