"""An ONNX graph in float16 as one in float32: every float16 constant, cast and attribute becomes float32."""

from typing import Any

import numpy as np

from convert.formats.onnx_tensors import graphs, nodes, tensors

FLOAT, FLOAT16 = 1, 10  # onnx.TensorProto.DataType
TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


def holds_float16(model: Any) -> bool:
    """Say whether some constant of an onnx.ModelProto, or its input, is float16."""
    ends = [entry.type.tensor_type.elem_type for entry in (*model.graph.input, *model.graph.output)]
    return FLOAT16 in ends or any(tensor.data_type == FLOAT16 for tensor in tensors(model))


def to_float32(model: Any) -> None:
    """Change an onnx.ModelProto in place. Values stay what they were: float32 holds every float16."""
    from onnx import numpy_helper

    for tensor in tensors(model):
        if tensor.data_type == FLOAT16:
            wide = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
            tensor.CopyFrom(wide)
    for node in nodes(model.graph.node):
        for attribute in node.attribute:
            if attribute.name in TYPE_ATTRIBUTES and attribute.i == FLOAT16:
                attribute.i = FLOAT
    for graph in graphs(model.graph):
        for entry in (*graph.input, *graph.output):
            if entry.type.tensor_type.elem_type == FLOAT16:
                entry.type.tensor_type.elem_type = FLOAT
        del graph.value_info[:]  # they would contradict; ONNX infers them again
