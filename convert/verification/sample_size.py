"""How many validation pictures verify a model. It depends on the model's cost only, so it is the same on every machine."""

import math
from typing import Any

from convert.formats.onnx_network import OnnxNetwork

FULL_SAMPLE = 1_000  # validation pictures; 99.9 % allow one different answer
VERIFYING_S = 60.0  # for all variants of a model together
# Measured with all default variants on two free cores: MobileNetV2 at 96×96 pixels (55 million) takes about 14 ms a picture.
# The constant only sets a number of pictures, so it need not be right for this machine.
MULTIPLY_ACCUMULATES_A_SECOND = 4e9


def verified_pictures(multiply_accumulates: int) -> int:
    """Return how many pictures fit into VERIFYING_S, at least FULL_SAMPLE; FULL_SAMPLE if the cost is not known (0)."""
    if not multiply_accumulates:
        return FULL_SAMPLE
    return max(FULL_SAMPLE, int(VERIFYING_S * MULTIPLY_ACCUMULATES_A_SECOND / multiply_accumulates))


def multiply_accumulates(network: Any) -> int:
    """Count the multiplications with weights in a network's convolutions and dense layers, for one picture.

    The network is a keras.Model or an OnnxNetwork. A layer whose shapes are not fixed counts as 0.
    """
    if isinstance(network, OnnxNetwork):
        return _in_onnx(network.data)
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    _, height, width, channels = network.input.shape
    image = tf.TensorSpec((1, height, width, channels), tf.float32)
    traced = tf.function(lambda pixels: network(pixels, training=False)).get_concrete_function(image)
    if any("PartitionedCall" in operation.type for operation in traced.graph.get_operations()):
        traced = convert_variables_to_constants_v2(traced)  # this replaces each call by the function that is called
    return sum(_cost(operation) for operation in traced.graph.get_operations())


def _in_onnx(data: bytes) -> int:
    """Count them in an ONNX graph. A value of a Conv is a sum over a kernel, of the others a sum over a row of weights."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(data))
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim][1:]  # without the batch
        for value in (*model.graph.value_info, *model.graph.output)
    }
    total = 0
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in weights and node.output[0] in shapes:
            kernel, output = weights[node.input[1]], shapes[node.output[0]]
            channels = output[0] if node.op_type == "Conv" else output[-1]
            total += math.prod(output) * (math.prod(kernel) // max(channels, 1))
    return total


def _cost(operation: Any) -> int:
    """Return the cost of a TensorFlow operation. Each value of its output is a sum over a part of the kernel."""
    if operation.type not in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
        return 0
    output, kernel = operation.outputs[0].shape, operation.inputs[1].shape
    if not (output.is_fully_defined() and kernel.is_fully_defined()):
        return 0
    summed = kernel[:2] if operation.type == "DepthwiseConv2dNative" else kernel[:-1]
    return int(math.prod(output) * math.prod(summed))
