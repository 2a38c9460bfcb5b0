"""What an ONNX graph takes and gives: one picture and the scores of its classes; others are refused, with what they take."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.formats.onnx_tensors import readers
from convert.importing.picture_tensors import check_batch_axis
from convert.importing.understood import ACTIVATIONS, Activation, Layout, Shape, shape_text
from device.errors import EdgeproofError
from device.formats.model_graph import Graph, Node, TensorFacts, activation_of

DTYPES = {1: "float32", 2: "uint8", 10: "float16"}  # of onnx.TensorProto.DataType: what a picture's input may have
CHANNELS = (1, 3)
PASSING = ("Cast", "Identity", "Sub", "Add", "Mul", "Div", "Clip", "Pad")  # before the one that shows the layout
CHANNELS_FIRST = ("Conv", "BatchNormalization", "MaxPool", "AveragePool", "InstanceNormalization", "LRN")
TO_CHANNELS_FIRST, TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


@dataclass(frozen=True)
class Interface:
    """The picture that a graph takes and the scores that it gives."""

    input_name: str
    shape: Shape  # as in the file, with the batch first
    dtype: str
    layout: Layout
    layout_from: str
    output_name: str
    output_shape: Shape
    activation: Activation | None

    @property
    def batch(self) -> int | None:
        """Return the batch if it is fixed, None if it is free."""
        return self.shape[0]


def interface_of(path: Path, model: Any, stated: Layout | None = None) -> Interface:
    """Describe an onnx.ModelProto. Raises EdgeproofError for one that does not take one picture and give scores.

    `stated` is the layout of a picture whose sides and operators do not show it.
    """
    graph = model.graph
    constant = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in constant]
    told = ", ".join(_described(entry) for entry in inputs) or "nothing"
    if len(inputs) != 1:
        raise EdgeproofError(f"{path}: takes {told}: expected one picture: export only the classifier")
    entry = inputs[0]
    shape, kind = _shape(entry), entry.type.tensor_type.elem_type
    if len(shape) in (3, 4) and kind not in DTYPES:
        raise EdgeproofError(
            f"{path}: takes {told}: expected values of type {', '.join(DTYPES.values())}: export it with one of these"
        )
    if len(shape) not in (3, 4):
        raise EdgeproofError(
            f"{path}: takes {told}: expected a picture, (batch, 3, height, width) or (batch, height, width, 3)"
        )
    layout, learnt_from = _layout(path, graph, entry.name, shape, told, stated)
    shape = _with_known_channels(graph, shape, layout)
    output_name, output_shape = _output(path, graph)
    check_batch_axis(path, shape, output_shape)
    return Interface(
        entry.name, shape, DTYPES[kind], layout, learnt_from, output_name, output_shape, _activation(graph, output_name)
    )


def _described(entry: Any) -> str:
    """Return "input_ids (?, 128) int64"."""
    import onnx

    if not entry.type.HasField("tensor_type"):
        return f"{entry.name}, which is no tensor"
    kind = onnx.TensorProto.DataType.Name(entry.type.tensor_type.elem_type).lower()
    return f"{entry.name} {shape_text(_shape(entry))} {'float32' if kind == 'float' else kind}"


def _shape(entry: Any) -> Shape:
    sides = entry.type.tensor_type.shape.dim
    return tuple(side.dim_value if side.HasField("dim_value") and side.dim_value > 0 else None for side in sides)


# ---- the picture ----------------------------------------------------------------------------------------------------


def _layout(path: Path, graph: Any, name: str, shape: Shape, told: str, stated: Layout | None) -> tuple[Layout, str]:
    """Return the layout and where it was learnt: from the first operator that shows it, the sides, else as stated."""
    shown = _shown_layout(graph, name) if len(shape) == 4 else None
    first, last = shape[1] in CHANNELS, shape[-1] in CHANNELS
    if len(shape) == 3:
        return "NHW", "its sides"
    fits = {"NCHW": first or shape[1] is None, "NHWC": last or shape[3] is None}
    if shown is not None and fits[shown[0]]:
        return shown
    if first != last:
        return ("NCHW" if first else "NHWC"), "its sides"
    if stated is not None and fits[stated]:
        return stated, "--preprocess"
    if all(fits.values()):
        raise EdgeproofError(
            f"{path}: takes {told}, which may be channels first or last: say it in a file for --preprocess, as "
            '{"input": {"layout": "NCHW"}}, or "NHWC"'
        )
    raise EdgeproofError(f"{path}: takes {told}: expected a picture of 1 or 3 channels")


def _shown_layout(graph: Any, name: str) -> tuple[Layout, str] | None:
    read = readers(graph)
    for _ in range(len(graph.node)):
        following = read.get(name, [])
        kinds = {node.op_type for node in following}
        if kinds & set(CHANNELS_FIRST):
            return "NCHW", f"its first {next(node.op_type for node in following if node.op_type in CHANNELS_FIRST)}"
        turned = [list(node.attribute[0].ints) for node in following if node.op_type == "Transpose" and node.attribute]
        if TO_CHANNELS_FIRST in turned:
            return "NHWC", "its first Transpose"
        if TO_CHANNELS_LAST in turned:
            return "NCHW", "its first Transpose"
        if len(following) != 1 or following[0].op_type not in PASSING:
            return None
        name = following[0].output[0]
    return None


def _with_known_channels(graph: Any, shape: Shape, layout: Layout) -> Shape:
    """Put in the number of channels where the file leaves it free (Optimum does): the first convolution's."""
    place = layout.find("C")
    if place < 0 or shape[place] is not None:
        return shape
    sizes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    kernel = next((sizes.get(node.input[1]) for node in graph.node if node.op_type == "Conv"), None)
    return (*shape[:place], kernel[1] if kernel and kernel[1] in CHANNELS else 3, *shape[place + 1 :])


# ---- the scores -----------------------------------------------------------------------------------------------------


def _output(path: Path, graph: Any) -> tuple[str, Shape]:
    if len(graph.output) != 1:
        named = ", ".join(_described(entry) for entry in graph.output) or "nothing"
        raise EdgeproofError(f"{path}: gives {named}: expected only the scores of its classes: export it with that output")
    return graph.output[0].name, _shape(graph.output[0])


def _activation(graph: Any, name: str) -> Activation | None:
    """Return what the last operators before the scores say that these are."""
    nodes = tuple(Node(node.op_type, tuple(node.input), tuple(node.output)) for node in graph.node)
    return ACTIVATIONS.get(activation_of(Graph((), (TensorFacts(name, (), "float32"),), nodes, {})))
