"""Conversion to TFLite. The batch is fixed at 1, so that no SHAPE or PACK operation stays in the graph."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from convert.calibration import Calibration
from convert.formats.tflite_reader import heavy_operations, read_model
from convert.variants import Variant
from device.errors import CheckFailed

LOOPS = ("While", "StatelessWhile")


@dataclass(frozen=True)
class Source:
    """What variants are made from. `per_channel_dense` is for dynamic_int8 and needs TFLite 2.17."""

    saved_model: Path
    calibration: Calibration
    per_channel_dense: bool = False  # a scale for each channel of the dense layers

    def converter(self, optimize: bool = True, calibrate: bool = False) -> Any:
        """Return a fresh tf.lite.TFLiteConverter: its settings must not reach another variant."""
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_saved_model(str(self.saved_model))
        if optimize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if calibrate:
            converter.representative_dataset = lambda: _one_by_one(self.calibration)
        return converter

    @cached_property
    def float32(self) -> bytes:
        """The model converted as it is."""
        return _bytes(self.converter(optimize=False))


def convert(source: Source, variant: Variant) -> bytes:
    """Convert a SavedModel to the variant, by the function `make_NAME` below."""
    if variant.calibrated:
        _refuse_loops(source.saved_model)
    make = globals()[f"make_{variant.name}"]
    result: bytes = make(source)
    return result


def make_float32(source: Source) -> bytes:
    """Convert as it is."""
    return source.float32


def make_float16(source: Source) -> bytes:
    """Store the weights as float16."""
    import tensorflow as tf

    converter = source.converter()
    converter.target_spec.supported_types = [tf.float16]
    return _bytes(converter)


def make_dynamic_int8(source: Source) -> bytes:
    """Quantize only the weights."""
    converter = source.converter()
    # Per-channel dense weights need FULLY_CONNECTED version 12, which tflite-runtime 2.14 does not have; accuracy is the
    # same without.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = not source.per_channel_dense
    return _bytes(converter)


def make_int8(source: Source) -> bytes:
    """Quantize everything; uint8 in and out."""
    import tensorflow as tf

    converter = source.converter(calibrate=True)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return _with_per_channel_dense(converter, source)


def make_int8_mixed(source: Source) -> bytes:
    """Quantize everything except the first convolution; float32 in and out."""
    first = heavy_operations(read_model(source.float32))[0].output  # quantization keeps the float model's names
    return with_float_layers(source, [first])


def make_int16x8(source: Source) -> bytes:
    """Quantize weights to 8 and activations to 16 bits."""
    import tensorflow as tf

    converter = source.converter(calibrate=True)
    sixteen_by_eight = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [sixteen_by_eight]
    return _with_per_channel_dense(converter, source)


def _with_per_channel_dense(converter: Any, source: Source) -> bytes:
    if source.per_channel_dense:
        converter._experimental_disable_per_channel_quantization_for_dense_layers = False
    return _bytes(converter)


def _bytes(converter: Any) -> bytes:
    result: bytes = converter.convert()
    return result


def _refuse_loops(saved_model: Path) -> None:
    """Raise CheckFailed where a graph holds loops: TensorFlow's converter crashes on them when it quantizes."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString((saved_model / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    if any(node.op in LOOPS for node in nodes):
        raise CheckFailed(
            "it holds a loop (LSTM, GRU), which TensorFlow's converter cannot quantize: use float16, dynamic_int8 or "
            "int8.onnx, or build the layer with unroll=True"
        )


def with_float_layers(source: Source, outputs: Sequence[str]) -> bytes:
    """Convert to int8, but leave the layers of these output tensors in float; float32 in and out."""
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")  # the debugger opens one
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=source.converter(calibrate=True),
            debug_dataset=lambda: _one_by_one(source.calibration),
            debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=list(outputs)),
        )
    result: bytes = debugger.get_nondebug_quantized_model()
    return result


def _one_by_one(calibration: Calibration) -> Iterator[list[Any]]:
    pictures = calibration.pixels
    # Values that are no pixels are an error; it stays visible for the self-test and the doctor
    if pictures.dtype == np.uint8 and (pictures.min() > 0 or pictures.max() < 255):
        # The input's scale comes from the observed range: two pixels make it 1 and the zero point 0, so that a device
        # can pass its pixels unchanged.
        pictures = pictures.copy()
        pictures[0, 0, 0], pictures[0, -1, -1] = 0, 255
    for pixels in pictures:
        yield [pixels[None].astype(np.float32)]
