"""The same ONNX model from each conversion, with constant shapes: what tf2onnx does depends on the addresses of its objects.

Two conversions of one network have other numbers in the names of tensors, and of several equal constants they keep another
one. And the sides for a Reshape may be computed from the picture: where a Flatten follows a convolution, or by chance. It
costs mnist_cnn_crop 7 to 10 % of its time.
"""

import re
from itertools import count
from typing import Any

from convert.formats.onnx_tensors import graphs, nodes, subgraphs

NUMBER = re.compile(r"__(\d+)")  # tf2onnx makes a name unique by appending a number


def settled(model: Any) -> Any:
    """Change an onnx.ModelProto into what each conversion makes: constant shapes where they can be, names in order."""
    make_shapes_constant(model)
    name_in_order(model.graph)
    return model


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
    """Remove nodes and constants that nothing reads, in place."""
    read = {end.name for end in graph.output}
    for place in reversed(range(len(graph.node))):  # each stands before those that read it
        node = graph.node[place]
        if read.isdisjoint(node.output):
            del graph.node[place]
        else:
            read.update(*(one.input for one in nodes([node])))
            read.update(end.name for outer in subgraphs(node) for part in graphs(outer) for end in part.output)
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in read:
            del graph.initializer[place]


def name_in_order(graph: Any) -> None:
    """Give the tensors of an onnx.GraphProto numbers in their order, in place; its inputs and outputs keep their names.

    A constant of at most one side, such as one of several equal ones, has nothing but its number.
    """
    parts = list(graphs(graph))
    merged = {tensor.name for part in parts for tensor in part.initializer if len(tensor.dims) <= 1}
    ends = {end.name for end in (*graph.input, *graph.output)}
    names = _Names(merged - ends, ends)
    for part in parts:
        for node in part.node:
            node.input[:], node.output[:] = map(names.new, node.input), map(names.new, node.output)
            node.name = names.new(node.name)
    for part in parts:
        for tensor in (*part.initializer, *part.value_info):
            tensor.name = names.new(tensor.name)
        for end in (*part.input, *part.output):
            end.name = names.new(end.name)
            for side in end.type.tensor_type.shape.dim:
                if side.HasField("dim_param"):
                    side.dim_param = names.new(side.dim_param)
        part.initializer.sort(key=lambda tensor: names.place(tensor.name))


class _Names:
    """New names in the order in which the old ones are asked for."""

    def __init__(self, merged: set[str], kept: set[str]) -> None:
        taken = {number for name in kept for number in NUMBER.findall(name)}
        self._free = (str(number) for number in count(1) if str(number) not in taken)
        self._numbers: dict[str, str] = {}
        self._merged = merged
        self._names = {name: name for name in kept}
        self._places: dict[str, int] = {}

    def new(self, name: str) -> str:
        if name not in self._names:
            renamed = f"constant__{next(self._free)}" if name in self._merged else NUMBER.sub(self._numbered, name)
            self._places[renamed] = len(self._places)
            self._names[name] = renamed
        return self._names[name]

    def place(self, renamed: str) -> int:
        """Return where a new name was first asked for."""
        return self._places.get(renamed, -1)

    def _numbered(self, found: re.Match[str]) -> str:
        if found[1] not in self._numbers:
            self._numbers[found[1]] = next(self._free)
        return f"__{self._numbers[found[1]]}"
