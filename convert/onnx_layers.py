"""ONNX's quantization layer by layer: its error, by onnxruntime.quantization.qdq_loss_debug."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.calibrate import Calibration
from convert.layer_error import ErrorSums, LayerError, Quantized
from convert.layer_names import LayerNames, computes, heavy_operation
from convert.to_onnx import INPUT_NAME, OnnxModel, fold, quantize
from train.data import Pixels, batches

PICTURES_AT_ONCE = 10  # every tensor of two models is kept for so many: some 150 MB for MobileNetV2


class CalibratedOnnx:
    """A float32 model with the pictures to calibrate it with."""

    def __init__(self, source: OnnxModel, calibration: Calibration) -> None:
        self._source, self._calibration = source, calibration
        self._plain: Quantized | None = None

    def quantized(self, float_nodes: Sequence[str] = ()) -> Quantized:
        """Return an int8 model; nodes with these names stay float, besides those that always do."""
        if float_nodes:
            return self._quantized(float_nodes)
        if self._plain is None:
            self._plain = self._quantized(())
        return self._plain

    def _quantized(self, float_nodes: Sequence[str]) -> Quantized:
        model = quantize(self._source, self._calibration, float_nodes)
        named = dict.fromkeys((*model.float_nodes, *float_nodes))
        return Quantized(model.data, tuple(named), model.session)

    def layer_errors(self, pixels: Pixels, names: LayerNames) -> list[LayerError]:
        """Measure each computing node on pictures (N, H, W, C)."""
        return layer_errors(self._source, self.quantized().data, pixels, names)


def layer_errors(source: OnnxModel, quantized: bytes, pixels: Pixels, names: LayerNames) -> list[LayerError]:
    """Measure each computing node of a quantized model against the float32 one on pictures (N, H, W, C).

    Accumulated is qdq_loss_debug's xmodel_err. Alone is the rounding and clipping of the float values with the node's
    own scale: its qdq_err would take the values before a ReLU that became part of the quantization.
    """
    import onnx

    with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
        float_path, int8_path = Path(folder) / "folded.onnx", Path(folder) / "int8.onnx"
        fold(source, float_path)
        int8_path.write_bytes(quantized)
        nodes = list(onnx.load(str(float_path)).graph.node)
        scales = activation_scales(onnx.load(str(int8_path)))
        alone, whole = _activation_errors(float_path, int8_path, pixels, scales)
        weights = _weight_errors(float_path, int8_path)
    found = []
    for node, output in _producers(nodes):
        if output in whole and computes(node.op_type):
            layer = names.readable(";".join([output, *node.input[1:]]), heavy_operation(node.op_type))
            kernel = next((weights[name] for name in node.input if name in weights), None)
            single, ratio = alone[output].sqnr_db, alone[output].rmse / scales[output][0]
            found.append(LayerError("onnx", layer, node.op_type, node.name, single, whole[output].sqnr_db, ratio, kernel))
    return found


def activation_scales(model: Any) -> dict[str, tuple[float, int]]:
    """Return scale and zero point by the tensor that a QuantizeLinear of an onnx.ModelProto quantizes."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[1] in constants:
            scale, zero_point = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
            found[node.input[0]] = (float(scale.reshape(-1)[0]), int(zero_point.reshape(-1)[0]))
    return found


def _producers(nodes: Sequence[Any]) -> list[tuple[Any, str]]:
    """Pair each node with its output tensor; of a convolution and the activation behind it, the activation's.

    Quantization takes Relu and Clip away: the zero point and the scale do their work.
    """
    readers: dict[str, list[Any]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    pairs = []
    for node in nodes:
        output = node.output[0]
        after = readers.get(output, [])
        if heavy_operation(node.op_type) and len(after) == 1 and after[0].op_type in ("Relu", "Clip"):
            output = after[0].output[0]
        if node.op_type not in ("Relu", "Clip"):
            pairs.append((node, output))
    return pairs


def _activation_errors(
    float_path: Path, int8_path: Path, pixels: Pixels, scales: Mapping[str, tuple[float, int]]
) -> tuple[dict[str, ErrorSums], dict[str, ErrorSums]]:
    """Return the errors (alone, from the picture on) of the quantized tensors."""
    from onnxruntime.quantization import qdq_loss_debug as debug

    tapped = [path.with_suffix(".tapped.onnx") for path in (float_path, int8_path)]
    for path, with_outputs in zip((float_path, int8_path), tapped, strict=True):
        debug.modify_model_output_intermediate_tensors(path, with_outputs)
    alone: dict[str, ErrorSums] = {}
    whole: dict[str, ErrorSums] = {}
    for part in batches(len(pixels), PICTURES_AT_ONCE):
        feed = [{INPUT_NAME: pixels[part].astype(np.float32)}]
        real, quantized = (debug.collect_activations(str(path), feed) for path in tapped)
        for name, match in debug.create_activation_matching(quantized, real).items():
            if "float" in match and name in scales:
                values = match["float"][0]
                whole.setdefault(name, ErrorSums()).add(values, match["post_qdq"][0].astype(np.float64))
                alone.setdefault(name, ErrorSums()).add(values, rounded(values, *scales[name]))
    return alone, whole


def rounded(values: Any, scale: float, zero_point: int) -> Any:
    """Return float values as uint8 with this scale and zero point holds them."""
    return (np.clip(np.round(values.astype(np.float64) / scale) + zero_point, 0, 255) - zero_point) * scale


def _weight_errors(float_path: Path, int8_path: Path) -> dict[str, float]:
    from onnxruntime.quantization import qdq_loss_debug as debug

    return weight_errors(debug.create_weight_matching(str(float_path), str(int8_path)))


def weight_errors(matched: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the SQNR in dB by tensor of qdq_loss_debug's weight matching.

    A lone constant, as a rescaling's, comes out of it without a dimension, which its own sum then fails on.
    """
    from onnxruntime.quantization.qdq_loss_debug import compute_weight_error

    with_axes = {name: {side: np.atleast_1d(value) for side, value in pair.items()} for name, pair in matched.items()}
    return {name: float(error) for name, error in compute_weight_error(with_axes).items()}
