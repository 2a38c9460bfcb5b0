"""The TensorFlow graph of a keras.Model in inference: with constants for its variables, and all functions inlined."""

from collections.abc import Iterator
from typing import Any

# Keras marks grouped convolutions for XLA, since TensorFlow has no CPU kernels for them; marked functions are not inlined
COMPILED = ("_XlaMustCompile", "_XlaHasReferenceVars")


def frozen_graph(model: Any, input_name: str) -> Any:
    """Return the frozen concrete function of a keras.Model over pictures (N, H, W, C), float32.

    It is called with training=False, which tf2onnx's from_keras leaves open.
    """
    import tensorflow as tf

    signature = tf.TensorSpec((None, *model.input.shape[1:]), tf.float32, name=input_name)
    concrete = tf.function(lambda image: model(image, training=False)).get_concrete_function(signature)
    frozen = constants(concrete)
    graph = frozen.graph.as_graph_def()
    if not _unmark(graph):
        return frozen
    rename_functions(graph)
    inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs))
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    return constants(wrapped.prune([wrapped.graph.get_tensor_by_name(name) for name in inputs], outputs))


def constants(concrete: Any) -> Any:
    """Return a concrete function with its variables as constants and its functions inlined."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(concrete, lower_control_flow=False, aggressive_inlining=True)


def _unmark(graph: Any) -> bool:
    """Remove the marks that keep functions from being inlined; say whether there were any."""
    marked = [node for node in all_nodes(graph) if COMPILED[0] in node.attr]
    marked += [function for function in graph.library.function if COMPILED[0] in function.attr]
    for one in marked:
        for mark in COMPILED:
            one.attr.pop(mark, None)
    return bool(marked)


def all_nodes(graph: Any) -> Iterator[Any]:
    """Yield the operations of a GraphDef and of the functions in it."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def rename_functions(graph: Any) -> None:
    """Give a GraphDef's functions other names, in place: TensorFlow may already have other functions of theirs."""
    new = {function.signature.name: f"{function.signature.name}_unmarked" for function in graph.library.function}
    for function in graph.library.function:
        function.signature.name = new[function.signature.name]
    for node in all_nodes(graph):
        node.op = new.get(node.op, node.op)
        for value in node.attr.values():
            for called in [value.func, *value.list.func]:
                if called.name in new:
                    called.name = new[called.name]
