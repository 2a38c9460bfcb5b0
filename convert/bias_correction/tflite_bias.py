"""Sequential bias correction of a quantized `.tflite`."""

from convert.bias_correction.arithmetic import Correction, Layer, affordable, corrected_bias, left_out
from convert.bias_correction.segments import cut
from convert.bias_correction.tflite_graph import TfliteGraph, Values, float_means
from convert.formats.tflite_writer import keeps_weights_outside
from train.data.dataset import Pixels

ROUNDS = 2  # the output is measured after the activation, which hides a part of the bias's change


def correct_tflite(float_model: bytes, quantized: bytes, pixels: Pixels, rounds: int = ROUNDS) -> Correction:
    """Correct the biases of a quantized model by the float model's answers to pictures (N, H, W, C), uint8, 0..255.

    Both were converted from the same SavedModel: their tensors have the same names. Raises Overflow.
    """
    graph = TfliteGraph(quantized)
    if keeps_weights_outside(graph.model):
        return Correction(quantized, (), ("its weights are outside the flatbuffer",))
    if len(graph.model.subgraphs) != 1:
        return Correction(quantized, (), (f"it has {len(graph.model.subgraphs)} subgraphs",))
    found, without, other = graph.targets()
    pixels = pixels[: affordable(len(pixels), max((graph.output_bytes(target.place) for target in found), default=0))]
    expected = float_means(float_model, [target.name for target in found], pixels)
    targets = [target for target in found if target.name in expected]
    names = {target.place: target for target in targets}
    values: dict[str, Values] = {graph.input: graph.quantized_input(pixels)}
    layers = []
    for segment in cut(graph.operations, graph.input, list(names)):
        target = names[segment.target]
        shift = 0.0
        for number in range(rounds):
            difference = expected[target.name] - graph.dequantized_means(target.place, graph.run(segment, values))
            shift = shift if number else float(abs(difference).max())
            bias, scale = graph.bias(target.place)
            graph.set_bias(target.place, corrected_bias(target.name, bias, difference, scale))
        values[graph.operations[target.place].outputs[0]] = graph.run(segment, values)
        for name in segment.done_with:
            del values[name]
        layers.append(Layer(target.name, shift))
    skipped = left_out(without_bias=without, other_type=other, unmatched=len(found) - len(targets))
    return Correction(graph.packed() if layers else quantized, tuple(layers), skipped)
