"""Conversion to TFLite. The batch is fixed at 1, so that no SHAPE or PACK operation stays in the graph."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convert.calibrate import Calibration
from convert.tflite_file import heavy_operations, read_model
from convert.variant import Variant


def export_saved_model(model: Any, folder: Path) -> None:
    """Write a keras.Model as a SavedModel of batch 1: the one way into TFLite that freezes its variables."""
    import keras

    _, height, width, channels = model.input.shape
    signature = keras.InputSpec(shape=(1, height, width, channels), dtype="float32", name="image")
    model.export(str(folder), format="tf_saved_model", input_signature=[signature], verbose=False)


def convert(saved_model: Path, variant: Variant, calibration: Calibration, per_channel_dense: bool = False) -> bytes:
    """Convert a SavedModel to the variant.

    `per_channel_dense` gives the dense layers of dynamic_int8 a scale for each channel, which needs TFLite 2.17.
    """
    if variant.name == "int8_mixed":
        return with_float_layers(saved_model, calibration, [first_convolution(saved_model, calibration)])
    converter = _converter(saved_model, variant.name, calibration)
    if per_channel_dense:
        converter._experimental_disable_per_channel_quantization_for_dense_layers = False
    result: bytes = converter.convert()
    return result


def first_convolution(saved_model: Path, calibration: Calibration) -> str:
    """Return the name of the first convolution's output in the full-integer model."""
    quantized = _converter(saved_model, "int8", calibration).convert()
    return heavy_operations(read_model(quantized))[0].output


def with_float_layers(saved_model: Path, calibration: Calibration, outputs: Sequence[str]) -> bytes:
    """Convert to int8, but leave the layers that make these tensors in float; float32 in and out."""
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")  # the debugger opens one
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=_converter(saved_model, "int8_mixed", calibration),
            debug_dataset=lambda: _one_by_one(calibration),
            debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=list(outputs)),
        )
    result: bytes = debugger.get_nondebug_quantized_model()
    return result


def _converter(saved_model: Path, name: str, calibration: Calibration) -> Any:
    """Return a fresh converter: its settings must not reach another variant."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if name == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    elif name == "dynamic_int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Per-channel dense weights need FULLY_CONNECTED version 12, which tflite-runtime 2.14 does not have; accuracy is
        # the same without.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    elif name in ("int8", "int8_mixed", "int16x8"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _one_by_one(calibration)
    if name == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    elif name == "int16x8":
        sixteen_by_eight = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [sixteen_by_eight]
    return converter


def _one_by_one(calibration: Calibration) -> Iterator[list[Any]]:
    pictures = calibration.pixels
    # Values that are no pixels are a fault, and stay one for the self-test and the doctor to see
    if pictures.dtype == np.uint8 and (pictures.min() > 0 or pictures.max() < 255):
        # The input's scale comes from the range that was seen: two pixels make it 1 and the zero point 0, so that a device
        # hands over its pixels as they are.
        pictures = pictures.copy()
        pictures[0, 0, 0], pictures[0, -1, -1] = 0, 255
    for pixels in pictures:
        yield [pixels[None].astype(np.float32)]
