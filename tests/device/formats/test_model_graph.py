"""What the last operations of a graph say of its output."""

import pytest

from device.formats.model_graph import Graph, Node, TensorFacts, activation_of


def graph(*nodes: tuple[str, str, str]) -> Graph:
    """Return a graph of operations, each with its inputs (space between) and its output; "scores" is the last one."""
    made = tuple(Node(operation, tuple(inputs.split()), (output,)) for operation, inputs, output in nodes)
    return Graph((TensorFacts("picture", (1, 8, 8, 3), "float32"),), (TensorFacts("scores", (1, 1), "float32"),), made, {})


Nodes = list[tuple[str, str, str]]
DENSE = ("Gemm", "picture weights", "dense")
OTHER = ("Gemm", "picture weights2", "other")
MEAN = ("ReduceMean", "both axes", "scores")
SHARE, SHARE_2 = ("Sigmoid", "dense", "share"), ("Sigmoid", "other", "share2")


@pytest.mark.parametrize(
    ("expected", "nodes"),
    [
        ("logits", [("Gemm", "picture weights", "scores")]),
        ("logits", [("MatMul", "picture weights", "product"), ("Add", "product bias", "scores")]),
        ("logits", [("Conv", "picture kernel", "map"), ("GlobalAveragePool", "map", "mean"), ("Flatten", "mean", "scores")]),
        ("logits", [DENSE, ("Div", "dense temperature", "scores")]),
        ("logits", [DENSE, OTHER, ("Add", "dense other", "scores")]),
        ("softmax", [DENSE, ("Softmax", "dense", "shares"), ("Identity", "shares", "scores")]),
        ("softmax", [DENSE, ("Softmax", "dense", "shares"), ("Concat", "shares shares", "both"), MEAN]),
        (
            "sigmoid",
            [("Conv", "picture kernel", "map"), ("Sigmoid", "map", "shares"), ("GlobalAveragePool", "shares", "scores")],
        ),
        ("sigmoid", [DENSE, OTHER, SHARE, SHARE_2, ("Concat", "share share2", "both"), MEAN]),
        (None, [DENSE, OTHER, SHARE, ("Concat", "share other", "both"), MEAN]),
        (None, [DENSE, OTHER, SHARE, SHARE_2, ("Add", "share share2", "sum"), ("Div", "sum two", "scores")]),
        (None, [DENSE, ("Softmax", "dense", "shares"), ("Mul", "shares hundred", "scores")]),
        (None, [DENSE, ("Clip", "dense zero one", "scores")]),
        (None, [DENSE, ("Relu", "dense", "scores")]),
        (None, [("Add", "a b", "scores")]),
        (None, [("Identity", "scores", "scores")]),
    ],
)
def test_the_last_operations_say_what_an_output_is_or_nothing(
    expected: str | None, nodes: list[tuple[str, str, str]]
) -> None:
    assert activation_of(graph(*nodes)) == expected


def test_a_graph_deeper_than_pythons_stack_is_followed() -> None:
    first = ("Sigmoid", "picture", "0")
    steps = [("Concat", f"{number} {number}", f"{number + 1}") for number in range(5_000)]
    assert activation_of(graph(first, *steps, ("Identity", "5000", "scores"))) == "sigmoid"
