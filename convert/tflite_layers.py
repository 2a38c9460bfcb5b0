"""TFLite's quantization layer by layer: its error, and models with chosen layers left in float."""

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from convert.calibrate import Calibration
from convert.layer_error import ErrorSums, LayerError, Quantized
from convert.layer_names import LayerNames, computes, heavy_operation
from train.data import Pixels

VERIFY = "NumericVerify/"


class CalibratedTflite:
    """A SavedModel with the ranges of its activations, measured once: each way to quantize it then takes moments."""

    def __init__(self, saved_model: Path, calibration: Calibration) -> None:
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = partial(_inputs, calibration.pixels)
        converter._experimental_calibrate_only = True  # as QuantizationDebugger does for its calibrated_model
        self._calibrated: bytes = converter.convert()

    def quantized(self, float_nodes: Sequence[str] = ()) -> Quantized:
        """Return an int8 model with float32 in and out; operations whose output tensor is named stay float.

        The call is that of QuantizationDebugger.get_nondebug_quantized_model with denylisted_nodes; the class itself
        fails where no quantized operation is left to debug.
        """
        return Quantized(self._quantize(denylisted_nodes=self._with_movers(float_nodes) or None), tuple(float_nodes))

    def layer_errors(self, pixels: Pixels, names: LayerNames) -> list[LayerError]:
        """Measure each computing operation on pictures (N, H, W, C) with TensorFlow's QuantizationDebugger."""
        alone = self._debugged(pixels)
        whole = self._debugged(pixels, enable_whole_model_verify=True)
        found = []
        for tensor, (operation, errors, scale) in alone.items():
            if tensor in whole and computes(operation):
                layer = names.readable(tensor, heavy_operation(operation))
                in_all = whole[tensor][1].sqnr_db
                ratio = errors.rmse / scale
                found.append(LayerError("tflite", layer, operation, tensor, errors.sqnr_db, in_all, ratio))
        return found

    def _debugged(self, pixels: Pixels, **options: Any) -> dict[str, tuple[str, ErrorSums, float]]:
        """Return operation, errors and scale by the output tensor of the float graph."""
        measured = _run_debugger(self._quantize(enable_numeric_verify=True, **options), pixels)
        # The quantized tensor's name is the float one's with digits behind it
        return {
            max((name for name in self._float_tensors if tensor.startswith(name)), key=len, default=tensor): result
            for tensor, result in measured.items()
        }

    def _with_movers(self, float_nodes: Sequence[str]) -> list[str]:
        """Add what only moves the values of these nodes: a pooling left in int8 would round them all the same."""
        chosen = dict.fromkeys(float_nodes)
        for operation, inputs, outputs in self._float_graph:
            if not computes(operation) and chosen.keys() & set(inputs):
                chosen |= dict.fromkeys(outputs)
        return list(chosen)

    @cached_property
    def _float_tensors(self) -> list[str]:
        return [name for _, _, outputs in self._float_graph for name in outputs]

    @cached_property
    def _float_graph(self) -> list[tuple[str, list[str], list[str]]]:
        """Return operation, input and output tensors of each operator in the float graph."""
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(self._calibrated, 0)
        graph, codes = model.subgraphs[0], model.operatorCodes
        operations = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}

        def names(indices: Sequence[int]) -> list[str]:
            return [graph.tensors[index].name.decode() for index in indices if index >= 0]

        return [
            (operations[codes[operator.opcodeIndex].builtinCode], names(operator.inputs), names(operator.outputs))
            for operator in graph.operators
        ]

    def _quantize(self, **options: Any) -> bytes:
        from tensorflow.lite.python import convert

        result: bytes = convert.mlir_quantize(self._calibrated, **options)
        return result


def _inputs(pixels: Pixels) -> Iterator[list[Any]]:
    for picture in pixels:
        yield [picture[None].astype(np.float32)]


def _run_debugger(model: bytes, pixels: Pixels) -> dict[str, tuple[str, ErrorSums, float]]:
    """Run a model with NumericVerify operations: operation, errors and scale by the name of the quantized tensor.

    The debugger gets the finished model, not a converter: with a converter (TF 2.21) its interpreter does not preserve
    tensors, and direct comparison then reads memory that later operations have written over.
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
        warnings.simplefilter("ignore", UserWarning)  # tf.lite.Interpreter alone has NumericVerify; it says it will go
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
