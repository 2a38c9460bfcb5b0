"""Which values a model takes, by the constants between its input and its first other operation."""

from typing import Any

import numpy as np

from convert.importing.understood import Fact
from device.formats.model_graph import Front
from device.pictures.input_range import PIXELS, InputRange, parse_range

PASSING = ("Cast", "Identity", "Transpose", "Reshape", "Squeeze", "ExpandDims", "Round")
SCALING = {"Mul": "Mul", "RealDiv": "Div", "Sub": "Sub", "AddV2": "Add", "Add": "Add"}  # TensorFlow's names: ONNX's


def taken_by(front: Front) -> Fact[InputRange] | None:
    """Return the values that a model takes which begins so, or None where that does not show it."""
    if front.takes is None:
        return None
    taken = PIXELS if front.takes == PIXELS.name else parse_range(front.takes)
    return Fact(taken, f"it scales by itself: {', '.join(front.operations)}")


def made_of_pixels(front: Front) -> InputRange | None:
    """Return what a model which begins so makes of a pixel by itself, or None where its beginning does not show it."""
    taken = taken_by(front)
    return None if taken is None else taken.value.followed_by(front.scale, front.offset)


def front_of_function(concrete: Any) -> Front:
    """Follow the only input of a frozen concrete function of TensorFlow through what scales it."""
    tensor, front = concrete.inputs[0], Front()
    while True:
        following = [node for node in tensor.consumers() if node.type != "Shape"]
        if len(following) != 1:
            return front
        (node,) = following
        if node.type in SCALING:
            values = _constant(node, tensor)
            more = None if values is None else front.then(SCALING[node.type], values, first=node.inputs[0] is tensor)
            if more is None:
                return front
            front = more
        elif node.type not in PASSING:
            return front
        tensor = node.outputs[0]


def _constant(node: Any, tensor: Any) -> Any:
    """Return the constant (as a flat array) that an operation combines a tensor with, or None."""
    import tensorflow as tf

    others = [other for other in node.inputs if other is not tensor]
    value = tf.get_static_value(others[0]) if len(node.inputs) == 2 and len(others) == 1 else None
    return None if value is None else np.asarray(value, np.float64).reshape(-1)
