"""The error of TFLite quantization in each layer, and models with some layers left in float."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.calibration import Calibration
from convert.doctor.layer_error import NO_RANGES, ErrorSums, LayerError, Quantized, Ranges
from convert.doctor.layer_names import LayerNames, computes, heavy_operation
from convert.formats.tflite_interpreter import opened
from convert.formats.tflite_reader import operation_name, operation_outputs, read_model
from convert.formats.tflite_writer import pack
from train.data.dataset import Pixels

VERIFY = "NumericVerify/"


class CalibratedTflite:
    """A SavedModel with the ranges of its activations. They are measured once, so each quantization is quick."""

    def __init__(self, saved_model: Path, calibration: Calibration) -> None:
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = partial(_inputs, calibration.pixels)
        converter._experimental_calibrate_only = True  # as QuantizationDebugger does for its calibrated_model
        self._calibrated: bytes = converter.convert()

    def quantized(self, float_nodes: Sequence[str] = (), ranges: Ranges = NO_RANGES) -> Quantized:
        """Return an int8 model with float32 in and out. Operations whose output tensors are in `float_nodes` stay float.

        QuantizationDebugger.get_nondebug_quantized_model makes the same call with denylisted_nodes. The class is not used,
        because it fails if no quantized operation is left to debug.
        """
        source = with_ranges(self._calibrated, ranges) if ranges else self._calibrated
        data = self._quantize(source, denylisted_nodes=self._with_movers(float_nodes) or None)
        return Quantized(data, tuple(float_nodes))

    def layer_errors(self, pixels: Pixels, names: LayerNames, corrected: bytes) -> list[LayerError]:
        """Measure each computing operation on pictures (N, H, W, C).

        A layer's own error comes from TensorFlow's QuantizationDebugger, the accumulated error from running both models.
        """
        alone = self._debugged(pixels)
        whole, after = (accumulated_errors(self._calibrated, data, pixels) for data in (self.quantized().data, corrected))
        found = []
        for tensor, (operation, errors, scale) in alone.items():
            if tensor in whole and computes(operation):
                layer = names.readable(tensor, heavy_operation(operation))
                in_all, with_correction = whole[tensor].sqnr_db, after[tensor].sqnr_db
                ratio = errors.rmse / scale
                found.append(
                    LayerError(
                        "tflite", layer, operation, tensor, errors.sqnr_db, in_all, ratio, corrected_db=with_correction
                    )
                )
        return found

    def activations(self, pixels: Pixels) -> Iterator[Mapping[str, npt.NDArray[np.float32]]]:
        """Yield the float model's tensors for one picture at a time."""
        model = _Opened(self._calibrated)
        for picture in pixels:
            model.run(picture)
            yield {name: model.values(name) for name in self._float_tensors}

    def _debugged(self, pixels: Pixels) -> dict[str, tuple[str, ErrorSums, float]]:
        """Return the operation, errors and scale of each output tensor of the float graph."""
        measured = _run_debugger(self._quantize(self._calibrated, enable_numeric_verify=True), pixels)
        # The quantized tensor's name is the float tensor's name with digits added
        return {
            max((name for name in self._float_tensors if tensor.startswith(name)), key=len, default=tensor): result
            for tensor, result in measured.items()
        }

    def _with_movers(self, float_nodes: Sequence[str]) -> list[str]:
        """Add operations that only move the values of these nodes: in int8, a pooling would round the values after all."""
        chosen = dict.fromkeys(float_nodes)
        for operation, inputs, outputs in self._float_graph:
            if not computes(operation) and chosen.keys() & set(inputs):
                chosen |= dict.fromkeys(outputs)
        return list(chosen)

    @cached_property
    def _float_tensors(self) -> list[str]:
        return operation_outputs(self._calibrated)

    @cached_property
    def _float_graph(self) -> list[tuple[str, list[str], list[str]]]:
        """Return the operation, the input tensors and the output tensors of each operator in the float graph."""
        model = read_model(self._calibrated)
        tensors = model.subgraphs[0].tensors

        def names(indices: Sequence[int]) -> list[str]:
            return [tensors[index].name.decode() for index in indices if index >= 0]

        return [
            (operation_name(model, operator), names(operator.inputs), names(operator.outputs))
            for operator in model.subgraphs[0].operators
        ]

    @staticmethod
    def _quantize(calibrated: bytes, **options: Any) -> bytes:
        from tensorflow.lite.python import convert

        result: bytes = convert.mlir_quantize(calibrated, **options)
        return result


class _Opened:
    """A `.tflite` with float32 in and out whose tensors can all be read after a run."""

    def __init__(self, data: bytes) -> None:
        self._interpreter = opened(data, keep_all=True)
        self._details = {detail["name"]: detail for detail in self._interpreter.get_tensor_details()}
        self._input = self._interpreter.get_input_details()[0]["index"]

    def __contains__(self, name: str) -> bool:
        return name in self._details

    def run(self, picture: Pixels) -> None:
        self._interpreter.set_tensor(self._input, picture[None].astype(np.float32))
        self._interpreter.invoke()

    def values(self, name: str) -> npt.NDArray[np.float32]:
        """Return a tensor's values as real numbers."""
        detail = self._details[name]
        held, (scale, zero_point) = self._interpreter.get_tensor(detail["index"]), detail["quantization"]
        real: npt.NDArray[np.float32] = held if held.dtype == np.float32 else (held.astype(np.float32) - zero_point) * scale
        return real


def accumulated_errors(float_model: bytes, quantized: bytes, pixels: Pixels) -> dict[str, ErrorSums]:
    """Run both models on pictures (N, H, W, C); return the accumulated error of each tensor that both have."""
    real, other = _Opened(float_model), _Opened(quantized)
    names = [name for name in operation_outputs(float_model) if name in real and name in other]
    sums = {name: ErrorSums() for name in names}
    for picture in pixels:
        for model in (real, other):
            model.run(picture)
        for name in names:
            sums[name].add(real.values(name), other.values(name).astype(np.float64))
    return sums


def with_ranges(calibrated: bytes, ranges: Ranges) -> bytes:
    """Return a calibrated model whose tensors in `ranges` have these limits instead of the calibrated ones."""
    model = read_model(calibrated)
    for tensor in model.subgraphs[0].tensors:
        if (limits := ranges.get(tensor.name.decode())) and tensor.quantization is not None:
            tensor.quantization.min, tensor.quantization.max = ([float(limit)] for limit in limits)
    return pack(model)


def _inputs(pixels: Pixels) -> Iterator[list[Any]]:
    for picture in pixels:
        yield [picture[None].astype(np.float32)]


def _run_debugger(model: bytes, pixels: Pixels) -> dict[str, tuple[str, ErrorSums, float]]:
    """Run a model with NumericVerify operations; return the operation, errors and scale of each quantized tensor.

    The debugger gets the finished model, not a converter. With a converter (TF 2.21) its interpreter does not keep
    tensors, and a direct comparison then reads memory that later operations have overwritten.
    """
    import tensorflow as tf

    sums: dict[int, ErrorSums] = {}
    order: list[int] = []

    def compare(real: Any, quantized: Any, scale: float, zero_point: int) -> float:
        place = len(order) % tensors
        order.append(place)
        sums.setdefault(place, ErrorSums()).add(real, (quantized.astype(np.float64) - zero_point) * scale)
        return float(scale)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # tf.lite.Interpreter is deprecated, but only it has NumericVerify
        debugger = tf.lite.experimental.QuantizationDebugger(
            quant_debug_model_content=model,
            debug_dataset=partial(_inputs, pixels),
            debug_options=tf.lite.experimental.QuantizationDebugOptions(layer_direct_compare_metrics={"scale": compare}),
        )
        tensors = len(debugger._numeric_verify_op_details)
        debugger.run()
    interpreter, results = debugger._quant_interpreter, {}
    for place, (name, statistics) in enumerate(debugger.layer_statistics.items()):
        source = debugger._defining_op[debugger._numeric_verify_op_details[name]["inputs"][0]]
        tensor = name.removeprefix(VERIFY).rpartition(":")[0]
        results[tensor] = (interpreter._get_op_details(source)["op_name"], sums[place], float(statistics["scale"]))
    return results
