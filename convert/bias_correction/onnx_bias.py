"""Sequential bias correction of a quantized `.onnx` (QDQ)."""

import numpy as np

from convert.bias_correction.arithmetic import Correction, Layer, affordable, channel_means, corrected_bias, left_out
from convert.bias_correction.onnx_graph import CHANNELS, OnnxGraph, Values, float_means, largest_output_bytes
from convert.bias_correction.segments import cut
from train.data.dataset import Pixels


def correct_onnx(float_model: bytes, quantized: bytes, pixels: Pixels) -> Correction:
    """Correct the biases of a quantized model by the float model's answers to pictures (N, H, W, C), uint8, 0..255.

    The float model is the one that was quantized, and has the same node names (convert/formats/to_onnx.py, `fold`). Raises
    Uncorrectable.
    """
    graph = OnnxGraph(quantized)
    found, without, shared = graph.targets()
    largest_bytes = largest_output_bytes(float_model, [one.name for one in found], pixels[: graph.at_once])
    count = affordable(len(pixels), largest_bytes // graph.at_once)
    pixels = pixels[: count // graph.at_once * graph.at_once or len(pixels)]  # a fixed batch must be full
    expected = float_means(float_model, [target.name for target in found], pixels)
    targets = {target.place: target for target in found if target.name in expected}
    values: dict[str, Values] = {graph.input: pixels.astype(np.float32)}
    layers = []
    for segment in cut(graph.operations, graph.input, list(targets)):
        target = targets[segment.target]
        output = graph.run(segment, values)
        difference = expected[target.name] - channel_means(output, CHANNELS)
        bias, scale = graph.bias(target)
        corrected = corrected_bias(target.name, bias, difference, scale)
        graph.set_bias(target, corrected)
        # The output is float and before the activation, so it changes by exactly the change of the bias
        moved = ((corrected.astype(np.float64) - bias) * scale).astype(np.float32)
        values[graph.operations[target.place].outputs[0]] = output + moved.reshape(-1, *[1] * (output.ndim - 2))
        for name in segment.done_with:
            del values[name]
        layers.append(Layer(target.name, float(abs(difference).max())))
    skipped = left_out(without_bias=without, shared=shared, unmatched=len(found) - len(targets))
    return Correction(graph.packed() if layers else quantized, tuple(layers), skipped)
