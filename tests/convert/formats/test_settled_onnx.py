"""The ONNX model of a network is the same from each conversion."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from convert.formats.settled_onnx import make_shapes_constant, name_in_order, settled

SAME_NETWORK = """
import hashlib, keras, onnx
from convert.formats.to_onnx import convert_float32
keras.utils.set_random_seed(0)
layers = keras.layers
image = keras.Input((22, 22, 1), name="image")
x = layers.MaxPooling2D(2)(layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(layers.Cropping2D(3)(image))))
x = layers.Dense(10, activation="softmax", name="probabilities")(layers.Flatten()(x))
data = convert_float32(keras.Model(image, x)).data
computed = sum(node.op_type == "Shape" for node in onnx.load_from_string(data).graph.node)
print(computed, hashlib.sha256(data).hexdigest())
"""


def shape_from_the_picture() -> Any:
    """Return a model (N, 4, 1, 1) to (N, 4) as tf2onnx leaves some: the sides for its Reshape are computed."""
    from onnx import TensorProto, helper, numpy_helper

    def whole(name: str, values: list[int], dtype: type = np.int64) -> Any:
        return numpy_helper.from_array(np.array(values, dtype), name)

    nodes = [
        helper.make_node("Relu", ["image"], ["relu__7:0"]),
        helper.make_node("Shape", ["relu__7:0"], ["shape__9:0"]),
        helper.make_node("Gather", ["shape__9:0", "order"], ["turned__3:0"]),
        helper.make_node("Cast", ["turned__3:0"], ["narrow:0"], to=TensorProto.INT32),
        helper.make_node("Slice", ["narrow:0", "zero", "one", "zero"], ["batch:0"]),
        helper.make_node("Concat", ["batch:0", "rest"], ["sides:0"], axis=0),
        helper.make_node("Cast", ["sides:0"], ["wide:0"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["relu__7:0", "wide:0"], ["flat:0"]),
        helper.make_node("Softmax", ["flat:0"], ["scores"], axis=1),
    ]
    ends = [whole("zero", [0], np.int32), whole("one", [1], np.int32), whole("rest", [4], np.int32)]
    constants = [whole("order", [0, 2, 3, 1]), *ends]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 4, 1, 1])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 4])
    graph = helper.make_graph(nodes, "left", [image], [scores], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers(model: Any, values: Any) -> Any:
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": values})[0]


def test_a_shape_that_is_computed_from_the_picture_becomes_a_constant() -> None:
    left = shape_from_the_picture()
    values = np.random.default_rng(0).normal(size=(3, 4, 1, 1)).astype(np.float32)
    before = answers(left, values)
    found = settled(left)
    assert [node.op_type for node in found.graph.node] == ["Relu", "Reshape", "Softmax"]
    assert [(tensor.name, list(tensor.dims)) for tensor in found.graph.initializer] == [("constant__2", [2])]
    assert np.array_equal(answers(found, values), before)


def test_a_shape_with_two_unknown_sides_stays_computed() -> None:
    left = shape_from_the_picture()
    left.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "C"
    left.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "C"
    del left.graph.initializer[-1]
    left.graph.input.extend([rest := type(left.graph.input[0])()])
    rest.CopyFrom(left.graph.input[0])
    rest.name = "rest"
    before = [node.op_type for node in left.graph.node]
    make_shapes_constant(left)
    assert [node.op_type for node in left.graph.node] == before


def test_of_equal_constants_the_one_that_was_kept_does_not_show() -> None:
    from onnx import TensorProto, helper, numpy_helper

    def graph(kept: str, other: str) -> Any:
        nodes = [helper.make_node("Add", ["image", kept], ["sum"]), helper.make_node("Mul", ["sum", other], ["scores"])]
        constants = [numpy_helper.from_array(np.array([value], np.float32), name) for value, name in ((1, kept), (2, other))]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["unk__8"]) for name in ("image", "scores")]
        return helper.make_graph(nodes, "g", ends[:1], ends[1:], sorted(constants, key=lambda tensor: tensor.name))

    one, another = graph("const_axes__3", "rescaling/x"), graph("zero", "const_starts__4")
    name_in_order(one)
    name_in_order(another)
    assert one == another


def test_names_are_numbered_in_order_and_those_of_the_ends_are_kept() -> None:
    from onnx import TensorProto, helper

    def graph(first: str, second: str) -> Any:
        nodes = [
            helper.make_node("Relu", ["image"], [first], name=f"{first}/node"),
            helper.make_node("Relu", [first], [second]),
            helper.make_node("Relu", [second], ["out__1"]),
        ]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("image", "out__1")]
        return helper.make_graph(nodes, "g", ends[:1], ends[1:])

    one, other = graph("a__54:0", "b__7:0"), graph("a__53:0", "b__12:0")
    name_in_order(one)
    name_in_order(other)
    assert one == other
    assert [list(node.output) for node in one.node] == [["a__2:0"], ["b__3:0"], ["out__1"]]
    assert one.node[0].name == "a__2:0/node"


def test_names_inside_a_branch_are_numbered_as_outside() -> None:
    from onnx import TensorProto, helper

    def graph(outer: str, inner: str) -> Any:
        end = helper.make_tensor_value_info(inner, TensorProto.FLOAT, [1])
        branch = helper.make_graph([helper.make_node("Relu", [outer], [inner])], "branch", [], [end])
        nodes = [
            helper.make_node("Relu", ["image"], [outer]),
            helper.make_node("If", ["condition"], ["scores"], then_branch=branch, else_branch=branch),
        ]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("image", "scores")]
        return helper.make_graph(nodes, "g", ends[:1], ends[1:])

    one, other = graph("a__3", "b__9"), graph("a__20", "b__1")
    name_in_order(one)
    name_in_order(other)
    assert one == other
    assert one.node[1].attribute[0].g.node[0].input[0] == "a__1"


@pytest.mark.slow
def test_a_network_with_a_flatten_has_constant_shapes_and_the_same_bytes_from_each_process() -> None:
    found = [
        subprocess.run([sys.executable, "-c", SAME_NETWORK], capture_output=True, text=True, check=True).stdout
        for _ in range(4)
    ]
    assert len(set(found)) == 1
    assert found[0].startswith("0 ")
