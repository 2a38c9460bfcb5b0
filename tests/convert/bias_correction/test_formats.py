"""Correction of `.tflite` and `.onnx` files: a shift that was added is removed, and what cannot be corrected is named."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from convert.bias_correction.onnx_bias import correct_onnx
from convert.bias_correction.onnx_graph import OnnxGraph
from convert.bias_correction.tflite_bias import correct_tflite
from convert.bias_correction.tflite_graph import BIAS, TfliteGraph
from convert.formats import to_onnx, to_tflite
from convert.formats.tflite_reader import read_model
from convert.trained_model import TrainedModel
from convert.variants import find_variants
from tests.conftest import Tiny

PLANTED = 40_000  # steps of the bias, of one channel


@pytest.fixture(scope="module")
def trained(tiny: Tiny) -> Iterator[TrainedModel]:
    trained = TrainedModel(tiny.folder / "mnist_cnn.keras")
    yield trained
    trained.close()


def converted(trained: TrainedModel, key: str) -> bytes:
    return to_tflite.convert(trained.tflite_source, find_variants([key])[0])


@pytest.fixture(scope="module")
def int8(trained: TrainedModel) -> bytes:
    return converted(trained, "int8.tflite")


@pytest.fixture(scope="module")
def int8_onnx(trained: TrainedModel) -> bytes:
    return to_onnx.quantize(trained.onnx, trained.calibration).data


class TestTflite:
    def test_what_was_planted_into_a_bias_comes_out_again(self, trained: TrainedModel, int8: bytes) -> None:
        graph = TfliteGraph(int8)
        target = graph.targets()[0][1]
        right, scale = graph.bias(target.place)
        wrong = right.copy()
        wrong[5] += PLANTED
        graph.set_bias(target.place, wrong)
        correction = correct_tflite(trained.tflite_source.float32, graph.packed(), trained.calibration.pixels)
        assert [layer.name for layer in correction.layers] == [one.name for one in graph.targets()[0]]
        assert correction.left_out == ()
        found, _ = TfliteGraph(correction.data).bias(target.place)
        assert abs(found[5] - right[5]) < PLANTED / 4
        # A layer's shift is what its channels' means were away from float's: here what was planted, where it is active
        assert correction.layers[1].shift > 0.1 * PLANTED * scale[min(5, len(scale) - 1)]

    def test_nothing_but_biases_changes(self, trained: TrainedModel, int8: bytes) -> None:
        corrected = correct_tflite(trained.tflite_source.float32, int8, trained.calibration.pixels).data
        before, after = read_model(int8), read_model(corrected)
        biases = {before.subgraphs[0].operators[one.place].inputs[BIAS] for one in TfliteGraph(int8).targets()[0]}
        for index, tensor in enumerate(before.subgraphs[0].tensors):
            other = after.subgraphs[0].tensors[index]
            assert (tensor.name, tensor.type, list(tensor.shape)) == (other.name, other.type, list(other.shape))
            if index not in biases:
                assert _bytes(before, tensor) == _bytes(after, other)

    @pytest.mark.slow
    def test_layers_in_float_are_left_alone(self, trained: TrainedModel) -> None:
        mixed = converted(trained, "int8_mixed.tflite")
        correction = correct_tflite(trained.tflite_source.float32, mixed, trained.calibration.pixels)
        assert len(correction.layers) == 3
        assert all("conv2d_1/convolution" not in layer.name for layer in correction.layers)

    def test_biases_of_another_type_are_said(self, trained: TrainedModel) -> None:
        wide = converted(trained, "int16x8.tflite")
        correction = correct_tflite(trained.tflite_source.float32, wide, trained.calibration.pixels[:5])
        assert (correction.data, correction.layers) == (wide, ())
        assert correction.left_out == ("4 layers with a bias that is not int32",)

    def test_a_bias_that_two_layers_share_becomes_the_own_of_each(self, int8: bytes) -> None:
        graph = TfliteGraph(int8)
        first, second = graph.targets()[0][1:3]
        operators = graph.model.subgraphs[0].operators
        for one in (first, second):
            operators[one.place].inputs = [*operators[one.place].inputs[:BIAS], operators[first.place].inputs[BIAS]]
        right, _ = graph.bias(first.place)
        graph.set_bias(second.place, right + 1)
        again = TfliteGraph(graph.packed())
        assert again.bias(first.place)[0].tolist() == right.tolist()
        assert again.bias(second.place)[0].tolist() == (right + 1).tolist()

    def test_a_buffer_that_two_biases_share_becomes_the_own_of_each(self, int8: bytes) -> None:
        graph = TfliteGraph(int8)
        place = graph.targets()[0][1].place
        twin = copy.deepcopy(graph.model.subgraphs[0].tensors[graph.model.subgraphs[0].operators[place].inputs[BIAS]])
        graph.model.subgraphs[0].tensors.append(twin)
        right, _ = graph.bias(place)
        graph.set_bias(place, right + 1)
        assert graph.bias(place)[0].tolist() == (right + 1).tolist()
        assert bytes(bytearray(graph.model.buffers[twin.buffer].data)) == right.tobytes()

    def test_a_layer_without_a_bias_is_said_and_the_others_are_corrected(self, trained: TrainedModel, int8: bytes) -> None:
        graph = TfliteGraph(int8)
        dense = graph.targets()[0][-1]
        operator = graph.model.subgraphs[0].operators[dense.place]
        operator.inputs = [*operator.inputs[:BIAS], -1]
        correction = correct_tflite(trained.tflite_source.float32, graph.packed(), trained.calibration.pixels[:20])
        assert (len(correction.layers), correction.left_out) == (3, ("1 layer without a bias",))

    def test_weights_outside_the_flatbuffer_leave_the_file_as_it_is(
        self, trained: TrainedModel, int8: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("convert.bias_correction.tflite_bias.keeps_weights_outside", lambda _: True)
        correction = correct_tflite(trained.tflite_source.float32, int8, trained.calibration.pixels)
        assert (correction.data, correction.left_out) == (int8, ("its weights are outside the flatbuffer",))

    def test_a_float_model_of_other_layers_corrects_nothing(self, trained: TrainedModel, int8: bytes) -> None:
        graph = TfliteGraph(trained.tflite_source.float32)
        for tensor in graph.model.subgraphs[0].tensors:
            tensor.name = b"renamed/" + tensor.name
        correction = correct_tflite(graph.packed(), int8, trained.calibration.pixels[:20])
        assert (correction.data, correction.layers) == (int8, ())
        assert correction.left_out == ("4 layers that the float model does not have",)


class TestOnnx:
    def test_what_was_planted_into_a_bias_comes_out_again(self, trained: TrainedModel, int8_onnx: bytes) -> None:
        graph = OnnxGraph(int8_onnx)
        (target, *_), _, _ = graph.targets()
        right, scale = graph.bias(target)
        wrong = right.copy()
        wrong[5] += PLANTED
        graph.set_bias(target, wrong)
        correction = correct_onnx(trained.folded_onnx, graph.packed(), trained.calibration.pixels)
        assert (len(correction.layers), correction.left_out) == (3, ())
        found, _ = OnnxGraph(correction.data).bias(target)
        assert abs(found[5] - right[5]) < PLANTED / 20  # measured before the activation: nothing is lost
        assert correction.layers[0].shift > 0.9 * PLANTED * scale[5]

    def test_each_layers_mean_is_floats_afterwards(self, trained: TrainedModel, int8_onnx: bytes) -> None:
        corrected = correct_onnx(trained.folded_onnx, int8_onnx, trained.calibration.pixels).data
        again = correct_onnx(trained.folded_onnx, corrected, trained.calibration.pixels)
        graph = OnnxGraph(corrected)
        for layer, target in zip(again.layers, graph.targets()[0], strict=True):
            assert layer.shift < graph.bias(target)[1].max()  # half a step is rounding; the layers before round again

    def test_a_bias_that_two_layers_share_is_said(self, int8_onnx: bytes) -> None:
        graph = OnnxGraph(int8_onnx)
        first, second = graph.targets()[0][:2]
        last = graph.targets()[0][2].name
        nodes = graph.model.graph.node
        nodes[second.place].input[2] = nodes[first.place].input[2]
        found, without, shared = OnnxGraph(graph.packed()).targets()
        assert ([target.name for target in found], without, shared) == ([last], 0, 2)


def _bytes(model: Any, tensor: Any) -> bytes:
    data = model.buffers[tensor.buffer].data
    return b"" if data is None else bytes(bytearray(data))


def test_a_correction_is_the_same_each_time(trained: TrainedModel, int8: bytes, int8_onnx: bytes) -> None:
    pixels = trained.calibration.pixels[:50]
    for correct, float_model, data in (
        (correct_tflite, trained.tflite_source.float32, int8),
        (correct_onnx, trained.folded_onnx, int8_onnx),
    ):
        assert correct(float_model, data, pixels).data == correct(float_model, data, pixels).data
    assert np.array_equal(pixels, trained.calibration.pixels[:50])
