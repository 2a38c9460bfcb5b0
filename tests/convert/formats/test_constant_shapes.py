"""Shapes in an ONNX model from Keras are constants."""

from typing import Any

import numpy as np
import pytest

from convert.formats.constant_shapes import make_shapes_constant


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
    make_shapes_constant(left)
    assert [node.op_type for node in left.graph.node] == ["Relu", "Reshape", "Softmax"]
    assert [list(tensor.dims) for tensor in left.graph.initializer] == [[2]]
    assert np.array_equal(answers(left, values), before)


def test_a_shape_with_two_unknown_sides_stays_computed() -> None:
    from onnx import TensorProto, helper

    left = shape_from_the_picture()
    del left.graph.initializer[-1]  # the number of classes is an input now
    left.graph.input.append(helper.make_tensor_value_info("rest", TensorProto.INT32, [1]))
    left.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "classes"
    before = [node.op_type for node in left.graph.node]
    make_shapes_constant(left)
    assert [node.op_type for node in left.graph.node] == before


@pytest.mark.slow
def test_a_flatten_behind_a_convolution_has_a_constant_shape() -> None:
    import keras
    import onnx

    from convert.formats.to_onnx import convert_float32

    image = keras.Input((8, 8, 1), name="image")
    flat = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(image))
    graph = onnx.load_from_string(convert_float32(keras.Model(image, keras.layers.Dense(2, name="scores")(flat))).data).graph
    operations = {node.op_type for node in graph.node}
    assert "Reshape" in operations
    assert "Shape" not in operations
