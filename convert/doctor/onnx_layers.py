"""The error of ONNX quantization in each layer, measured with onnxruntime.quantization.qdq_loss_debug."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.calibration import Calibration
from convert.doctor.layer_error import NO_RANGES, ErrorSums, LayerError, Quantized, Ranges
from convert.doctor.layer_names import LayerNames, computes, heavy_operation
from convert.formats.to_onnx import INPUT_NAME, OnnxModel, fold, quantize
from train.data.dataset import Pixels, batches

PICTURES_AT_ONCE = 10  # every tensor of two models is kept for this many: about 150 MB for MobileNetV2


class CalibratedOnnx:
    """A float32 model with the pictures to calibrate it with."""

    def __init__(self, source: OnnxModel, calibration: Calibration) -> None:
        self._source, self._calibration = source, calibration
        self._plain: Quantized | None = None

    def quantized(self, float_nodes: Sequence[str] = (), ranges: Ranges = NO_RANGES) -> Quantized:
        """Return an int8 model. Nodes with these names stay float, and so do those that always stay float."""
        if float_nodes or ranges:
            return self._quantized(float_nodes, ranges)
        if self._plain is None:
            self._plain = self._quantized((), ranges)
        return self._plain

    def _quantized(self, float_nodes: Sequence[str], ranges: Ranges) -> Quantized:
        model = quantize(self._source, self._calibration, float_nodes, ranges)
        named = dict.fromkeys((*model.float_nodes, *float_nodes))
        return Quantized(model.data, tuple(named), model.session)

    def layer_errors(self, pixels: Pixels, names: LayerNames, corrected: bytes) -> list[LayerError]:
        """Measure each computing node on pictures (N, H, W, C), in the quantized model and in the corrected one."""
        before, after = (layer_errors(self._source, data, pixels, names) for data in (self.quantized().data, corrected))
        later = {error.node: error.accumulated_db for error in after}
        return [replace(error, corrected_db=later[error.node]) for error in before]

    def activations(self, pixels: Pixels) -> Iterator[Mapping[str, npt.NDArray[np.float32]]]:
        """Yield the float model's tensors that quantization rounds, for some pictures at once."""
        import onnx
        from onnxruntime.quantization import qdq_loss_debug as debug

        scales = activation_scales(onnx.load_from_string(self.quantized().data))
        with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
            path, tapped = Path(folder) / "folded.onnx", Path(folder) / "tapped.onnx"
            fold(self._source, path)
            debug.modify_model_output_intermediate_tensors(path, tapped)
            for part in batches(len(pixels), PICTURES_AT_ONCE):
                found = debug.collect_activations(str(tapped), [{INPUT_NAME: pixels[part].astype(np.float32)}])
                yield {name: values[0] for name, values in found.items() if name in scales}


def layer_errors(source: OnnxModel, quantized: bytes, pixels: Pixels, names: LayerNames) -> list[LayerError]:
    """Measure each computing node of a quantized model against the float32 one on pictures (N, H, W, C).

    The accumulated error is qdq_loss_debug's xmodel_err. A layer's own error is the rounding and clipping of the float
    values with the node's scale. qdq_err is not used: it takes the values before a ReLU that became part of the
    quantization.
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
    """Return the scale and zero point of each tensor that a QuantizeLinear of an onnx.ModelProto quantizes."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[1] in constants:
            scale, zero_point = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
            found[node.input[0]] = (float(scale.reshape(-1)[0]), int(zero_point.reshape(-1)[0]))
    return found


def _producers(nodes: Sequence[Any]) -> list[tuple[Any, str]]:
    """Pair each node with its output tensor. A convolution with an activation after it gets the output of the activation.

    Quantization removes Relu and Clip, because the zero point and the scale have the same effect.
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
    """Return the errors of the quantized tensors: of each layer alone, and accumulated."""
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
    """Return float values after rounding to uint8 with this scale and zero point."""
    return (np.clip(np.round(values.astype(np.float64) / scale) + zero_point, 0, 255) - zero_point) * scale


def _weight_errors(float_path: Path, int8_path: Path) -> dict[str, float]:
    from onnxruntime.quantization import qdq_loss_debug as debug

    return weight_errors(debug.create_weight_matching(str(float_path), str(int8_path)))


def weight_errors(matched: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the SQNR in dB by tensor of qdq_loss_debug's weight matching.

    It returns a single constant, such as that of a rescaling, without a dimension; its own sum fails for those.
    """
    from onnxruntime.quantization.qdq_loss_debug import compute_weight_error

    with_axes = {name: {side: np.atleast_1d(value) for side, value in pair.items()} for name, pair in matched.items()}
    return {name: float(error) for name, error in compute_weight_error(with_axes).items()}
