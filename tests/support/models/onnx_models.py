"""ONNX files as exporters write them, of a small network that answers with a picture's colour; its weights are set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.models.imported_models import COLOURS, SIDE

FEATURES = 8


@dataclass(frozen=True)
class Export:
    """How a file is exported; the defaults are those of torch.onnx.export."""

    opset: int = 17
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    batch: int | str = 1
    sides: int | str = SIDE
    input_name: str = "input.1"
    output_name: str = "output"
    ends_in: Literal["logits", "softmax", "sigmoid", "logit"] = "logits"  # sigmoid, logit: one output, red or not
    half: bool = False
    takes: Literal["float", "uint8"] = "float"
    pooled_by: Literal["GlobalAveragePool", "ReduceMean", "view", "token"] = "GlobalAveragePool"
    gain: float = 6.0
    ir_version: int = 8
    outputs: tuple[str, ...] = ()  # more of them

    @property
    def classes(self) -> int:
        return 1 if self.ends_in in ("sigmoid", "logit") else len(COLOURS)


TORCH, TORCH_DYNAMO = Export(), Export(opset=18, batch="s0", input_name="x", pooled_by="ReduceMean", ir_version=10)
TIMM = Export(opset=18, batch="batch", input_name="input0", output_name="output0", pooled_by="ReduceMean")
HUGGING_FACE = Export(
    opset=14, batch="batch_size", sides="height", input_name="pixel_values", output_name="logits", pooled_by="ReduceMean"
)
KERAS = Export(opset=17, layout="NHWC", batch="unk__1", input_name="photo", ends_in="softmax")
OLD = Export(opset=9, ir_version=3)
NEW = Export(opset=21, ir_version=10, batch="N", pooled_by="ReduceMean")


def colour_graph(export: Export) -> onnx.ModelProto:
    """Return a network over values -1..1."""
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, values: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(operation: str, *inputs: str, output: str, **attributes: Any) -> str:
        name = f"/{output}/{operation}" if export.opset > 9 else ""  # old exporters name no node
        nodes.append(helper.make_node(operation, list(inputs), [output], name=name, **attributes))
        return output

    real = np.float16 if export.half else np.float32
    kernel = np.random.default_rng(0).normal(0, 0.02, (FEATURES, 3, 3, 3))
    kernel[:3, :, 1, 1] += np.eye(3)
    value = export.input_name
    if export.takes == "uint8":
        value = add("Cast", value, output="real", to=TensorProto.FLOAT)
        value = add("Div", value, constant("half", np.float32(127.5)), output="scaled")
        value = add("Sub", value, constant("one", np.float32(1.0)), output="centred")
    if export.layout == "NHWC":
        value = add("Transpose", value, output="turned", perm=[0, 3, 1, 2])
    value = add("Conv", value, constant("look.weight", kernel.astype(real)), output="look", pads=[1, 1, 1, 1])
    norm = [constant(f"norm.{name}", np.full(FEATURES, fill, real)) for name, fill in NORM.items()]
    value = add("BatchNormalization", value, *norm, output="norm", epsilon=1e-5)
    value = add("Relu", value, output="seen")
    value = _pooled(export, value, constant, add)
    weight = np.zeros((3, FEATURES), real)
    weight[:, :3] = np.eye(3) * export.gain
    weight = weight[:1] if export.classes == 1 else weight
    last = "scores" if export.ends_in in ("softmax", "sigmoid") else export.output_name
    bias = constant("colour.bias", np.full(export.classes, -3.0 if export.classes == 1 else 0.0, real))
    value = add("Gemm", value, constant("colour.weight", weight), bias, output=last, transB=1)
    if export.ends_in == "softmax":
        add("Softmax", value, output=export.output_name, axis=1)
    if export.ends_in == "sigmoid":
        add("Sigmoid", value, output=export.output_name)
    return _model(export, nodes, constants)


NORM = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}


def _pooled(export: Export, value: str, constant: Any, add: Any) -> str:
    """Take the mean over a picture: as a layer, as a mean, or with the batch in constant shapes, as traced code has it."""
    if export.pooled_by == "GlobalAveragePool":
        return str(add("Flatten", add("GlobalAveragePool", value, output="pool"), output="flat", axis=1))
    if export.pooled_by == "ReduceMean":
        if export.opset < 18:
            return str(add("ReduceMean", value, output="mean", axes=[2, 3], keepdims=0))
        return str(add("ReduceMean", value, constant("axes", np.array([2, 3])), output="mean", keepdims=0))
    pooled = add("GlobalAveragePool", value, output="pool")
    if export.pooled_by == "view":
        return str(add("Reshape", pooled, constant("shape", np.array([export.batch, FEATURES])), output="flat"))
    flat = add("Flatten", pooled, output="one", axis=1)
    token = constant("cls_token", np.zeros((1, FEATURES), np.float32))  # of a transformer, folded for one picture
    both = add("Concat", flat, token, output="both", axis=0)
    return str(add("Gather", both, constant("first", np.array([0])), output="flat", axis=0))


def _model(export: Export, nodes: list[Any], constants: list[Any]) -> onnx.ModelProto:
    kind = TensorProto.FLOAT16 if export.half else TensorProto.UINT8 if export.takes == "uint8" else TensorProto.FLOAT
    sides = [export.sides, export.sides if isinstance(export.sides, int) else "width"]
    channels: int | str = "num_channels" if isinstance(export.sides, str) else 3
    shape = [export.batch, channels, *sides] if export.layout == "NCHW" else [export.batch, *sides, channels]
    scores = TensorProto.FLOAT16 if export.half else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(export.input_name, kind, shape)]
    if export.ir_version < 4:  # constants were inputs too
        inputs += [helper.make_tensor_value_info(one.name, one.data_type, list(one.dims)) for one in constants]
    outputs = [helper.make_tensor_value_info(export.output_name, scores, [export.batch, export.classes])]
    outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in export.outputs]
    graph = helper.make_graph(nodes, "main_graph", inputs, outputs, constants)
    model = helper.make_model(
        graph,
        producer_name="pytorch",
        producer_version="2.9.0",
        opset_imports=[helper.make_opsetid("", export.opset)],
        ir_version=export.ir_version,
    )
    onnx.checker.check_model(model)
    return model


def save_onnx(export: Export, folder: Path, name: str = "paint", external: bool = False) -> Path:
    """Write a file; `external` puts its weights into NAME.onnx.data, as torch's exporter does by default since 2.9."""
    path = folder / f"{name}.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(colour_graph(export), path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path


TRANSFORMER = """
<ir_version: 10, opset_import: ["" : 20], producer_name: "pytorch", producer_version: "2.13.0">
main_graph (float[batch, 3, 24, 24] x) => (float[batch, 3] scores) {
  patches = Conv <kernel_shape = [8, 8], strides = [8, 8]> (x, patch)
  flat = Reshape (patches, to_flat)
  tokens = Transpose <perm = [2, 0, 1]> (flat)
  normed = LayerNormalization <axis = -1> (tokens, gain, shift)
  query = MatMul (normed, query_weight)
  first = Transpose <perm = [1, 0, 2]> (query)
  key = Transpose <perm = [1, 2, 0]> (normed)
  near = MatMul (first, key)
  attention = Softmax <axis = -1> (near)
  value = Transpose <perm = [1, 0, 2]> (tokens)
  mixed = MatMul (attention, value)
  back = Transpose <perm = [1, 0, 2]> (mixed)
  rows = Reshape (back, to_rows)
  projected = Gemm <transB = 1> (rows, project, no_bias)
  again = Reshape (projected, to_tokens)
  both = Add (tokens, again)
  seen = Gelu (both)
  mean = ReduceMean <keepdims = 0> (seen, over_tokens)
  scores = Gemm <transB = 1> (mean, colour, no_colour)
}
"""


def transformer_graph() -> onnx.ModelProto:
    """Return a network of attention over values -1..1 as torch.onnx.export writes nn.TransformerEncoder: tokens in front."""
    model = onnx.parser.parse_model(TRANSFORMER)
    random = np.random.default_rng(0)
    patch = random.normal(0, 1e-3, (FEATURES, 3, 8, 8))
    patch[:3] += np.eye(3)[:, :, None, None] / 64
    constants = {
        "patch": patch,
        "gain": np.ones(FEATURES),
        "shift": np.zeros(FEATURES),
        "query_weight": np.eye(FEATURES) * 0.1,
        "project": np.eye(FEATURES),
        "no_bias": random.normal(0, 0.1, FEATURES),
        "colour": np.eye(3, FEATURES) * 6,
        "no_colour": np.zeros(3),
    }
    shapes = {"to_flat": [0, FEATURES, 9], "to_rows": [-1, FEATURES], "to_tokens": [9, -1, FEATURES], "over_tokens": [0]}
    model.graph.initializer.extend(
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()]
        + [numpy_helper.from_array(np.array(sides, np.int64), name) for name, sides in shapes.items()]
    )
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    onnx.checker.check_model(model, full_check=True)
    return model


def save_resizing(folder: Path) -> Path:
    """Write a network that first enlarges its picture with a Resize, whose scales are float32 in every file."""
    model = colour_graph(TORCH)
    inside = [helper.make_node("Resize", ["input.1", "", "twice"], ["large"], name="enlarge", mode="linear")]
    for node in model.graph.node:
        node.input[:] = ["large" if name == "input.1" else name for name in node.input]
    nodes = [*inside, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))
    onnx.checker.check_model(model, full_check=True)
    path = folder / "resizing.onnx"
    onnx.save(model, path)
    return path
