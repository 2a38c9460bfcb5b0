"""The same ONNX model from each conversion: what tf2onnx does depends on the addresses of its objects.

Two conversions of one network have other numbers in the names of tensors. And about one in a hundred, the shape of a
Reshape is still computed from the picture when tf2onnx's optimizers end: seen with a Flatten, 7 to 10 % slower.
"""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

NUMBER = re.compile(r"__(\d+)")  # tf2onnx makes a name unique by appending a number


def settled(model: Any) -> Any:
    """Return an onnx.ModelProto as each conversion makes it: shapes are constants where they can be, names are in order."""
    optimized = optimized_again(model) if _computes_shapes(model) else model
    renumber(optimized.graph)
    return optimized


def _computes_shapes(model: Any) -> bool:
    return any(node.op_type == "Shape" for node in model.graph.node)


def optimized_again(model: Any) -> Any:
    """Return the model after tf2onnx's optimizers had another turn, or as it is where that makes it no smaller."""
    from tf2onnx.graph import GraphUtil

    again = GraphUtil.optimize_model_proto(model)
    return again if len(again.graph.node) < len(model.graph.node) else model


def renumber(graph: Any) -> None:
    """Give the names in an onnx.GraphProto new numbers, in their order and in place; its inputs and outputs keep theirs."""
    kept = {number for end in (*graph.input, *graph.output) for number in NUMBER.findall(end.name)}
    free = (str(number) for number in count(1) if str(number) not in kept)
    new = {number: number for number in kept}

    def number_of(found: re.Match[str]) -> str:
        if found[1] not in new:
            new[found[1]] = next(free)
        return f"__{new[found[1]]}"

    def renamed(name: str) -> str:
        return NUMBER.sub(number_of, name)

    for part in _parts(graph):
        for node in part.node:
            node.input[:], node.output[:] = map(renamed, node.input), map(renamed, node.output)
            node.name = renamed(node.name)
        for tensor in (*part.initializer, *part.value_info):
            tensor.name = renamed(tensor.name)
        if part is not graph:
            for end in (*part.input, *part.output):
                end.name = renamed(end.name)


def _parts(graph: Any) -> Iterator[Any]:
    """Yield a graph and those inside its nodes: the bodies of loops and branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _parts(inner)
