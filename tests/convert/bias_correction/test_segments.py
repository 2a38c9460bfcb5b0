"""Cutting a graph after each layer to correct."""

from convert.bias_correction.segments import Operation, Segment, cut

CHAIN = [Operation(("in",), ("a",)), Operation(("a",), ("b",)), Operation(("b",), ("c",)), Operation(("c",), ("out",))]
#  in -> a -> b, and a past b into a sum, as in a residual block
RESIDUAL = [
    Operation(("in",), ("a",)),
    Operation(("a",), ("b",)),
    Operation(("a", "b"), ("sum",)),
    Operation(("sum",), ("c",)),
    Operation(("sum", "c"), ("other sum",)),
    Operation(("other sum",), ("d",)),
]


def test_a_chain_runs_each_operation_once() -> None:
    assert cut(CHAIN, "in", [0, 2]) == [
        Segment(0, (0,), ("in",), ("in",)),
        Segment(2, (1, 2), ("a",), ("a",)),
    ]


def test_what_follows_the_last_layer_does_not_run() -> None:
    assert [segment.operations for segment in cut(CHAIN, "in", [1])] == [(0, 1)]


def test_a_tensor_that_a_later_layer_reads_is_kept_until_then() -> None:
    segments = cut(RESIDUAL, "in", [0, 1, 3, 5])
    assert [segment.sources for segment in segments] == [("in",), ("a",), ("a", "b"), ("a", "b", "c")]
    assert [segment.operations for segment in segments] == [(0,), (1,), (2, 3), (2, 4, 5)]
    assert [segment.done_with for segment in segments] == [("in",), (), (), ("a", "b", "c")]
