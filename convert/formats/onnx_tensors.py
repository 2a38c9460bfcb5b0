"""Walking an ONNX graph: its nodes and constants, those of graphs inside it too."""

from collections.abc import Iterable, Iterator
from typing import Any


def subgraphs(node: Any) -> Iterator[Any]:
    """Yield the GraphProtos in a node's attributes (the branches of If, the body of Loop)."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def nodes(entries: Iterable[Any]) -> Iterator[Any]:
    """Yield nodes and those of the graphs inside them."""
    for node in entries:
        yield node
        for graph in subgraphs(node):
            yield from nodes(graph.node)


def graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and those inside it."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from graphs(inner)


def tensors(model: Any) -> Iterator[Any]:
    """Yield every TensorProto of an onnx.ModelProto: constants of its graphs and functions, and in attributes."""
    for graph in graphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    functions = [node for function in model.functions for node in nodes(function.node)]
    for node in (*nodes(model.graph.node), *functions):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def constants(graph: Any) -> dict[str, Any]:
    """Return the TensorProtos of a graph's constants by name: initializers, and Constant nodes that hold a tensor."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            found[node.output[0]] = node.attribute[0].t
    return found


def readers(graph: Any) -> dict[str, list[Any]]:
    """Return the nodes that read each tensor."""
    found: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def makers(graph: Any) -> dict[str, Any]:
    """Return the node that makes each tensor."""
    return {output: node for node in graph.node for output in node.output}


def remove_unused_constants(graph: Any) -> None:
    """Remove constants of a graph that no node reads any more, in place: onnxruntime warns of them."""
    used = {name for node in nodes(graph.node) for name in node.input} | {end.name for end in graph.output}
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in used:
            del graph.initializer[place]
