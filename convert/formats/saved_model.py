"""Exporting a keras.Model as a SavedModel for inference: no layer is in training mode, whatever its default is."""

from pathlib import Path
from typing import Any

GRAPH = "saved_model.pb"

# The operations on lists that loops are made of (LSTM, GRU), each with the place of the input that is its elements' shape
LIST_SHAPES = {
    "EmptyTensorList": 0,
    "TensorListReserve": 0,
    "TensorListFromTensor": 1,
    "TensorListStack": 1,
    "TensorListGetItem": 2,
}


def export(model: Any, folder: Path, batch: int | None) -> None:
    """Write a keras.Model over pictures (batch, H, W, C), float32, as a SavedModel with the one function `serve`.

    It is called with training=False: keras.Model.export does not set it, and Resizing, CenterCrop and the Random* layers
    are in training mode by default, which also changes BatchNormalization behind them.
    """
    import keras

    _, *sides = model.input.shape
    signature = keras.InputSpec(shape=(batch, *sides), dtype="float32", name="image")
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda image: model(image, training=False), input_signature=[signature])
    archive.write_out(str(folder), verbose=False)
    if batch is not None:
        _fix_list_shapes(folder / GRAPH, batch)


def _fix_list_shapes(path: Path, batch: int) -> None:
    """Write a fixed batch into the shapes of lists in a SavedModel's functions.

    A function that was frozen with a free batch holds it there as a constant -1, which TensorFlow Lite's converter refuses.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(path.read_bytes())
    changed = False
    for graph in saved.meta_graphs:
        for nodes in (graph.graph_def.node, *(function.node_def for function in graph.graph_def.library.function)):
            constants = {node.name: node.attr["value"].tensor for node in nodes if node.op == "Const"}
            for node in (node for node in nodes if node.op in LIST_SHAPES):
                tensor = constants.get(node.input[LIST_SHAPES[node.op]].partition(":")[0])
                changed |= tensor is not None and _fix_batch(tensor, batch)
    if changed:
        path.write_bytes(saved.SerializeToString())


def _fix_batch(tensor: Any, batch: int) -> bool:
    """Write a fixed batch into a shape whose first side is free; say whether it was."""
    import tensorflow as tf

    shape = tf.make_ndarray(tensor)
    free = shape.ndim == 1 and len(shape) > 1 and shape[0] == -1
    if free:
        tensor.CopyFrom(tf.make_tensor_proto([batch, *shape[1:]], shape.dtype))
    return bool(free)
