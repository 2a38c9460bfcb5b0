"""Conversion to TFLite. The batch is fixed at 1, so that no SHAPE or PACK operation stays in the graph."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convert.calibrate import Calibration
from convert.variant import Variant


def export_saved_model(model: Any, folder: Path) -> None:
    """Write a keras.Model as a SavedModel of batch 1: the one way into TFLite that freezes its variables."""
    import keras

    _, height, width, channels = model.input.shape
    signature = keras.InputSpec(shape=(1, height, width, channels), dtype="float32", name="image")
    model.export(str(folder), format="tf_saved_model", input_signature=[signature], verbose=False)


def convert(saved_model: Path, variant: Variant, calibration: Calibration) -> bytes:
    """Convert a SavedModel to the variant. The converter is made afresh: its settings must not reach another variant."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if variant.name == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    elif variant.name == "dynamic_int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Per-channel dense weights need FULLY_CONNECTED version 12, which tflite-runtime 2.14 does not have; accuracy is
        # the same without.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    elif variant.name == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _one_by_one(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    result: bytes = converter.convert()
    return result


def _one_by_one(calibration: Calibration) -> Iterator[list[Any]]:
    for pixels in calibration.pixels:
        yield [pixels[None].astype(np.float32)]
