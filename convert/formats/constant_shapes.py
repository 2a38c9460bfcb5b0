"""Constant shapes in an ONNX model that tf2onnx wrote.

The sides for a Reshape may be computed from the picture: where a Flatten follows a convolution, or by chance, since the
order of tf2onnx's work depends on the addresses of its objects. It cost mnist_cnn_crop 7 to 10 % of its time.
"""

from typing import Any

from convert.formats.onnx_tensors import graphs, nodes, remove_unused_constants, subgraphs


def make_shapes_constant(model: Any) -> None:
    """Write the sides into each Reshape of an onnx.ModelProto whose result has at most one unknown side, in place."""
    import numpy as np
    import onnx

    sides_of = _known_sides(onnx.shape_inference.infer_shapes(model, data_prop=True).graph)
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Reshape" or node.input[1] in constants:
            continue
        sides = sides_of.get(node.output[0])
        if sides is not None and sides.count(-1) <= 1 and 0 not in sides:
            name = f"{node.output[0]}/sides"
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(sides, np.int64), name))
            node.input[1] = name
    _remove_unread(model.graph)


def _known_sides(graph: Any) -> dict[str, list[int]]:
    """Return the sides of each tensor of a graph that has a known number of them, by its name; -1: not known."""
    found: dict[str, list[int]] = {}
    for value in (*graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            found[value.name] = [side.dim_value if side.HasField("dim_value") else -1 for side in tensor.shape.dim]
    return found


def _remove_unread(graph: Any) -> None:
    """Remove nodes that nothing reads, and then constants, in place."""
    read = {end.name for end in graph.output}
    for place in reversed(range(len(graph.node))):  # each stands before those that read it
        node = graph.node[place]
        if read.isdisjoint(node.output):
            del graph.node[place]
        else:
            read.update(*(one.input for one in nodes([node])))
            read.update(end.name for outer in subgraphs(node) for part in graphs(outer) for end in part.output)
    remove_unused_constants(graph)
