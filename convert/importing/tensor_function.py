"""A TensorFlow function over pictures made a Keras layer: constants for its variables, and one clean signature."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert.formats.frozen_graph import all_nodes, constants, rename_functions

SIGNATURE = "serving_default"


def frozen(function: Callable[[Any], Any], shape: tuple[int | None, ...]) -> Any:
    """Return the frozen concrete function of one from a float32 tensor of that shape, batch in front, to one tensor."""
    import tensorflow as tf

    return constants(tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32, name="image")))


def frozen_or_none(function: Callable[[Any], Any], shape: tuple[int | None, ...]) -> Any | None:
    """Return what `frozen` returns, or None where the function cannot be called on pictures of that shape."""
    try:
        return frozen(function, shape)
    except Exception:  # TensorFlow and the layers may raise anything
        return None


def as_layer(concrete: Any) -> Any:
    """Return a keras layer of a frozen function.

    Nothing of the object that it came from stays: no optimizer, no other signature, no state.
    """
    import keras
    import tensorflow as tf

    (image,) = concrete.inputs
    module = tf.Module()
    module.frozen = concrete
    serve = tf.function(lambda image: tf.nest.flatten(concrete(image))[0])
    signature = serve.get_concrete_function(tf.TensorSpec(image.shape, image.dtype, name="image"))
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
        tf.saved_model.save(module, str(Path(folder) / "model"), signatures={SIGNATURE: signature})
        return keras.layers.TFSMLayer(str(Path(folder) / "model"), call_endpoint=SIGNATURE, trainable=False)


def with_free_batch(concrete: Any) -> Any:
    """Return a frozen function of a fixed batch with a free one: its graph with another input.

    A graph that holds the batch in its constants answers otherwise then: compare it with the original afterwards.
    """
    (image,) = concrete.inputs
    return _from(concrete, image, (None, *image.shape[1:]))


def without_integers(concrete: Any) -> Any:
    """Return a frozen function whose pixels stay float32 where they were rounded to integers and made floats again."""
    (image,) = concrete.inputs
    tensor, floats_again = image, None
    while len(tensor.consumers()) == 1 and tensor.consumers()[0].type in ("Round", "Cast", "Identity"):
        before, tensor = tensor, tensor.consumers()[0].outputs[0]
        if before.dtype.is_integer and tensor.dtype.is_floating:
            floats_again = tensor
    if floats_again is None or floats_again.dtype != image.dtype:
        return concrete
    return _from(concrete, floats_again, tuple(image.shape))


def computes_in_half(concrete: Any) -> bool:
    """Say whether a frozen function computes in 16 bits anywhere."""
    import tensorflow as tf

    graph = concrete.graph.as_graph_def()
    types = {attribute.type for node in all_nodes(graph) for attribute in node.attr.values()}
    return not types.isdisjoint(half.as_datatype_enum for half in (tf.float16, tf.bfloat16))


def without_half(concrete: Any) -> Any:
    """Return a frozen function that computes in float32 what it computes in 16 bits: TFLite has no 16-bit convolution."""
    import tensorflow as tf

    if not computes_in_half(concrete):
        return concrete
    graph = concrete.graph.as_graph_def()
    half, whole = [kind.as_datatype_enum for kind in (tf.float16, tf.bfloat16)], tf.float32.as_datatype_enum
    for attribute in (attribute for node in all_nodes(graph) for attribute in node.attr.values()):
        if attribute.type in half:
            attribute.type = whole
        if attribute.list.type:
            attribute.list.type[:] = [whole if kind in half else kind for kind in attribute.list.type]
        if attribute.tensor.dtype in half:
            values = tf.make_ndarray(attribute.tensor).astype("float32")
            attribute.tensor.CopyFrom(tf.make_tensor_proto(values))
    for function in graph.library.function:
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            argument.type = whole if argument.type in half else argument.type
    rename_functions(graph)
    return _imported(graph, concrete.inputs[0], concrete.outputs[0], tuple(concrete.inputs[0].shape))


def _from(concrete: Any, start: Any, shape: tuple[int | None, ...]) -> Any:
    """Return a frozen function from the tensor `start` inside another on, with that shape."""
    (scores,) = concrete.outputs
    return _imported(concrete.graph.as_graph_def(), start, scores, shape)


def _imported(graph: Any, start: Any, scores: Any, shape: tuple[int | None, ...]) -> Any:
    """Return a frozen function of a graph, from the tensor `start` with that shape to the tensor `scores`."""
    import tensorflow as tf

    for node in graph.node:  # with constants for variables no order is left to keep
        data = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(data)

    def again(values: Any) -> Any:
        (found,) = tf.graph_util.import_graph_def(
            graph, input_map={start.name: values}, return_elements=[scores.name], name=""
        )
        return found

    return constants(tf.function(again).get_concrete_function(tf.TensorSpec(shape, start.dtype, name="image")))
