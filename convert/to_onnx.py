"""Conversion to ONNX: float32, NHWC, pixels 0..255, free batch; int8 as QDQ that onnxruntime turns into integer kernels.

The route is tf2onnx's from_keras: from_tflite silently dropped a Dense layer's bias, so outputs are always compared
with Keras's afterwards (convert/verify.py).
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.calibrate import Calibration

OPSET = 17
INPUT_NAME = "image"
# Softmax gains nothing from integers, and its uint8 output would lose the scores' last digits.
FLOAT_OPERATIONS = frozenset({"Softmax"})
# Moves quantization into the float block below and makes the model 1.6 times slower than without it.
HARMFUL_TO_MIXED_MODELS = "QDQPropagationTransformer"


@dataclass(frozen=True)
class OnnxModel:
    """A converted model, which Conv, Gemm and MatMul nodes stayed float, and what a session must be opened with."""

    data: bytes
    float_nodes: tuple[str, ...] = ()
    session: Mapping[str, Any] | None = None


def convert_float32(model: Any) -> OnnxModel:
    """Convert a keras.Model."""
    import tensorflow as tf
    import tf2onnx

    _, height, width, channels = model.input.shape
    # An optimizer that fails logs a traceback and leaves the graph as it was; the result is compared with Keras's anyway
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = tf.TensorSpec((None, height, width, channels), tf.float32, name=INPUT_NAME)
    proto, _ = tf2onnx.convert.from_keras(model, input_signature=(signature,), opset=OPSET)
    return OnnxModel(proto.SerializeToString(deterministic=True))


def convert_float16(source: OnnxModel) -> OnnxModel:
    """Convert a float32 model to float16 weights and activations; input and output stay float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel as OnnxGraph

    graph = OnnxGraph(convert_float_to_float16(onnx.load_from_string(source.data), keep_io_types=True))
    graph.topological_sort()  # the casts at the ends were appended
    return OnnxModel(graph.model.SerializeToString(deterministic=True))


def fold(source: OnnxModel, path: Path) -> None:
    """Write a float32 model, pre-processed for quantization, to a path: BatchNormalization is folded into Conv."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    float_path = path.with_suffix(".float.onnx")
    float_path.write_bytes(source.data)
    quant_pre_process(str(float_path), str(path), skip_symbolic_shape=True)


def quantize(source: OnnxModel, calibration: Calibration, float_nodes: Sequence[str] = ()) -> OnnxModel:
    """Quantize a float32 model: QDQ, uint8 activations, int8 weights per channel, MinMax calibration.

    Each of these settings is needed: without per_channel, with reduce_range or without the pre-processing (which folds
    BatchNormalization into Conv) accuracy falls, with int8 activations or another format speed does. `float_nodes` stay
    float besides those that always do.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
        folded_path, int8_path = (Path(folder) / f"{name}.onnx" for name in ("folded", "int8"))
        fold(source, folded_path)
        kept_float = _nodes_kept_float(folded_path, float_nodes)
        quantize_static(
            str(folded_path),
            str(int8_path),
            _calibration_reader(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=[name for name, _ in kept_float],
        )
        heavy = tuple(name for name, operation in kept_float if operation in ("Conv", "Gemm", "MatMul"))
        session = {"disabled_optimizers": [HARMFUL_TO_MIXED_MODELS]} if heavy else None
        return OnnxModel(int8_path.read_bytes(), heavy, session)


def _nodes_kept_float(path: Path, float_nodes: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return (name, operation) of the nodes that are not quantized: those asked for and those that never are.

    A first convolution over one channel has so little to do for each value that its quantized kernel loses more than
    integers gain (half of the small CNN's time): the graph up to its pooling stays float.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    asked = set(float_nodes)
    kept = [(node.name, node.op_type) for node in graph.node if node.op_type in FLOAT_OPERATIONS or node.name in asked]
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    nodes = list(graph.node)
    first = next((place for place, node in enumerate(nodes) if node.op_type == "Conv"), None)
    if first is None or shapes.get(nodes[first].input[1], [0, 0])[1] != 1:
        return kept
    end = first + 1
    while end < len(nodes) and nodes[end].op_type in ("Relu", "Clip", "MaxPool"):
        end += 1
    return kept + [(node.name, node.op_type) for node in nodes[:end]]


def _calibration_reader(calibration: Calibration) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self.pictures = iter(calibration.pixels)

        def get_next(self) -> dict[str, Any] | None:
            pixels = next(self.pictures, None)
            return None if pixels is None else {INPUT_NAME: pixels[None].astype(np.float32)}

    return Reader()
