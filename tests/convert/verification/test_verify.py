"""Promises of a written artifact: its types, its golden pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert.variants import find_variants
from convert.verification import golden, verify
from device.card import Card
from device.errors import CheckFailed
from tests.support.models.tflite_graphs import OperationOf, TensorOf, graph_bytes
from train.data.calibration import calibration_reference, load_calibration


def test_golden_pictures_of_a_large_input_stay_within_200_kb_and_are_eight(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(20):
        Image.fromarray(random.integers(0, 256, (140, 140, 3), np.uint8)).save(tmp_path / f"{number}.png")
    labels = [f"class {number}" for number in range(1_000)]
    shape = {"height": 128, "width": 128, "channels": 3, "pixels": "0..255"}
    steps = [["rgb"], ["resize", {"size": 128}], ["center_crop", {"size": 128}]]
    card = Card.from_json({"schema": 1, "model": "m", "variant": "v", "labels": labels, "input": shape, "preprocess": steps})
    split = load_calibration(calibration_reference(tmp_path, tmp_path), labels).val
    probabilities = np.full((12, 1_000), 0.01 / 998, np.float32)
    probabilities[np.arange(12), np.arange(12)], probabilities[:, 999] = 0.98, 0.01
    asked: list[Any] = []

    def answer(pixels: Any) -> Any:
        asked.append(pixels)
        return np.full((1, 1_000), 0.001, np.float32)

    chosen = golden.choose(split, np.arange(12), probabilities, card, answer)
    assert len(chosen) >= 8
    assert sum(len(picture.png) for picture in chosen) * 4 / 3 <= 200_000
    assert len(asked) == len(chosen)  # in fewer colours each is another picture
    assert not any(picture.clear for picture in chosen)


PIXELS_IN = TensorOf("in", "UINT8", (1, 4, 4, 1), (1.0,), 0)
SCORES_OUT = TensorOf("out", "UINT8", (1, 4), (1 / 256,), 0)
FLOAT_IN, FLOAT_OUT = TensorOf("in", shape=(1, 4, 4, 1)), TensorOf("out")
KERNEL = TensorOf("kernel", "INT8", (64, 16), (0.1,), constant=True)  # 1,024 values
AXES = TensorOf("axes", "INT32", (2,), constant=True)


def layers(*weights: TensorOf, between: str = "FLOAT32", ends: tuple[TensorOf, TensorOf] = (FLOAT_IN, FLOAT_OUT)) -> bytes:
    """Return a file of one convolution or dense layer for each weight, one after the other."""
    tensors = [ends[0], *weights, *(TensorOf(f"after {n}", between) for n in range(len(weights) - 1)), ends[1]]
    operations = []
    for number in range(len(weights)):
        before = 0 if number == 0 else len(weights) + number
        kind = "CONV_2D" if number == 0 else "FULLY_CONNECTED"
        operations.append(OperationOf(kind, (before, 1 + number), (1 + len(weights) + number,)))
    return graph_bytes(tensors, operations)


class TestTypesOfTflite:
    def defects(self, tmp_path: Path, key: str, data: bytes, float_nodes: tuple[str, ...] = ()) -> str:
        """Return what is wrong with a file, or nothing."""
        path = tmp_path / "m.tflite"
        path.write_bytes(data)
        try:
            verify.check_types(path, find_variants([f"{key}.tflite"])[0], float_nodes)
        except CheckFailed as error:
            return str(error).partition("', but ")[2]
        return ""

    def test_full_integer_takes_pixels_as_they_are(self, tmp_path: Path) -> None:
        whole = (PIXELS_IN, SCORES_OUT)
        assert self.defects(tmp_path, "int8", layers(KERNEL, AXES, between="INT8", ends=whole)) == ""
        for changes, found in (
            ({"scales": (0.5,)}, "in has scale 0.5 and zero point 0, expected 1 and 0"),
            ({"zero_point": 3}, "in has scale 1.0 and zero point 3, expected 1 and 0"),
            ({"type": "INT8"}, "in is INT8, expected UINT8"),
            ({"shape": (2, 4, 4, 1)}, "in has batch 2"),
        ):
            ends = (replace(PIXELS_IN, **changes), SCORES_OUT)
            assert self.defects(tmp_path, "int8", layers(KERNEL, between="INT8", ends=ends)) == found
        ends = (PIXELS_IN, replace(SCORES_OUT, type="FLOAT32", shape=(3, 4)))
        assert self.defects(tmp_path, "int8", layers(KERNEL, ends=ends)) == (
            "out is FLOAT32, expected UINT8; out has batch 3; out is FLOAT32"
        )

    @pytest.mark.parametrize("kind", ["FLOAT32", "FLOAT16", "FLOAT64"])
    def test_full_integer_holds_no_float(self, tmp_path: Path, kind: str) -> None:
        data = layers(KERNEL, replace(KERNEL, name="odd", type=kind), between="INT8", ends=(PIXELS_IN, SCORES_OUT))
        assert self.defects(tmp_path, "int8", data) == f"odd is {kind}"

    def test_float32_holds_floats_and_shapes_alone(self, tmp_path: Path) -> None:
        weight = replace(KERNEL, type="FLOAT32", scales=())
        assert self.defects(tmp_path, "float32", layers(weight, AXES, replace(AXES, type="BOOL"))) == ""
        for kind in ("INT8", "FLOAT16", "UINT8"):
            assert self.defects(tmp_path, "float32", layers(replace(weight, type=kind))) == f"kernel is {kind}"
        ends = (replace(FLOAT_IN, type="UINT8"), FLOAT_OUT)
        assert self.defects(tmp_path, "float32", layers(weight, ends=ends)) == "in is UINT8, expected FLOAT32; in is UINT8"

    def test_float16_holds_its_weights_in_half(self, tmp_path: Path) -> None:
        half = replace(KERNEL, type="FLOAT16", scales=())
        assert self.defects(tmp_path, "float16", layers(half, AXES, replace(AXES, type="INT64"))) == ""
        assert self.defects(tmp_path, "float16", layers(replace(half, type="FLOAT32"))) == "kernel is FLOAT32"
        assert self.defects(tmp_path, "float16", layers(half, half, between="INT16")) == "after 0 is INT16"
        assert self.defects(tmp_path, "float16", layers(half, half, between="FLOAT16")) == ""

    def test_dynamic_range_holds_large_weights_in_int8(self, tmp_path: Path) -> None:
        small = replace(KERNEL, name="small", type="FLOAT32", scales=(), shape=(33, 31))  # 1,023 values
        assert self.defects(tmp_path, "dynamic_int8", layers(KERNEL, small)) == ""
        large = replace(small, shape=(32, 32))
        assert self.defects(tmp_path, "dynamic_int8", layers(KERNEL, large)) == "out computes FLOAT32 with FLOAT32"

    def test_mixed_computes_all_but_the_first_in_integers(self, tmp_path: Path) -> None:
        first = replace(KERNEL, type="FLOAT32", scales=())
        assert self.defects(tmp_path, "int8_mixed", layers(first, KERNEL, KERNEL, between="INT8")) == ""
        assert self.defects(tmp_path, "int8_mixed", layers(KERNEL, KERNEL, between="INT8")) == (
            "the first convolution's weights are INT8"
        )
        assert self.defects(tmp_path, "int8_mixed", layers(first, first, between="INT8")) == "out computes INT8 with FLOAT32"
        assert self.defects(tmp_path, "int8_mixed", layers(first, KERNEL)) == "out computes FLOAT32 with INT8"

    def test_int16x8_computes_every_layer_in_16_by_8_bits(self, tmp_path: Path) -> None:
        data = layers(KERNEL, KERNEL, between="INT16")
        assert self.defects(tmp_path, "int16x8", data) == "after 0 computes FLOAT32 with INT8"
        assert self.defects(tmp_path, "int16x8", layers(KERNEL, KERNEL)).count("computes FLOAT32 with INT8") == 2

    def test_the_doctors_is_float_where_its_card_says_so(self, tmp_path: Path) -> None:
        data = layers(replace(KERNEL, type="FLOAT32", scales=()), KERNEL, between="INT8")
        assert self.defects(tmp_path, "int8_fixed", data, ("after 0",)) == ""
        assert self.defects(tmp_path, "int8_fixed", data, ("out",)) == "after 0 is not quantized"
        floats = layers(*[replace(KERNEL, type="FLOAT32", scales=())] * 2)
        found = self.defects(tmp_path, "int8_fixed", floats, ("after 0", "out"))
        assert found == "no convolution or dense layer is quantized"

    def test_three_defects_are_told_with_the_promise(self, tmp_path: Path) -> None:
        path = tmp_path / "m.tflite"
        path.write_bytes(layers(KERNEL, KERNEL, KERNEL, KERNEL))
        with pytest.raises(CheckFailed) as error:
            verify.check_types(path, find_variants(["float32.tflite"])[0])
        assert str(error.value) == (
            "float32.tflite: the variant promises 'weights and activations are float32', but "
            "kernel is INT8; kernel is INT8; kernel is INT8"
        )


class TestTypesOfOnnx:
    """Files of one MatMul, its weight and activation with or without what makes them quantized."""

    def defects(self, tmp_path: Path, key: str, float_nodes: tuple[str, ...] = (), **changes: Any) -> str:
        told = {"batch": "batch", "ends": "FLOAT", "weight": "FLOAT", "quantized": (False, False)} | changes
        path = tmp_path / "m.onnx"
        path.write_bytes(self.model(**told))
        try:
            verify.check_types(path, find_variants([f"{key}.onnx"])[0], float_nodes)
        except CheckFailed as error:
            return str(error).partition("', but ")[2]
        return ""

    @staticmethod
    def model(batch: str | int, ends: str, weight: str, quantized: tuple[bool, bool]) -> bytes:
        import onnx
        from onnx import TensorProto, helper

        kind = getattr(TensorProto, weight)
        ones = [
            helper.make_tensor("w", kind, [4, 4], np.zeros(16, np.int8) if weight == "INT8" else np.zeros(16, np.float32))
        ]
        ones += [helper.make_tensor("scale", TensorProto.FLOAT, [], [0.5]), helper.make_tensor("zero", kind, [], [0])]
        nodes, source, held = [], "x", "w"
        if quantized[0]:
            nodes += [helper.make_node("QuantizeLinear", ["x", "scale"], ["q"])]
            nodes += [helper.make_node("DequantizeLinear", ["q", "scale"], ["d"])]
            source = "d"
        if quantized[1]:
            nodes += [helper.make_node("DequantizeLinear", ["w", "scale"], ["v"])]
            held = "v"
        nodes += [helper.make_node("MatMul", [source, held], ["y"], name="dense")]
        info = [helper.make_tensor_value_info(name, getattr(TensorProto, ends), [batch, 4]) for name in "xy"]
        graph = helper.make_graph(nodes, "g", info[:1], info[1:], ones[: 1 + any(quantized)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return bytes(onnx.ModelProto.SerializeToString(model))

    def test_float32_has_a_free_batch_and_float_ends(self, tmp_path: Path) -> None:
        assert self.defects(tmp_path, "float32") == ""
        assert self.defects(tmp_path, "float32", batch=2) == "x has the fixed batch 2; y has the fixed batch 2"
        found = self.defects(tmp_path, "float32", ends="FLOAT16", weight="FLOAT16")
        assert found == "x is FLOAT16; y is FLOAT16; w is not float32"

    def test_float16_holds_halves(self, tmp_path: Path) -> None:
        assert self.defects(tmp_path, "float16", ends="FLOAT16", weight="FLOAT16") == "x is FLOAT16; y is FLOAT16"
        assert self.defects(tmp_path, "float16") == "w is not float16"

    @pytest.mark.parametrize("key", ["int8", "int8_fixed"])
    @pytest.mark.parametrize(
        ("quantized", "found"),
        [((True, True), ""), ((True, False), "dense"), ((False, True), "dense"), ((False, False), "dense")],
    )
    def test_int8_computes_from_int8_on_both_sides(
        self, tmp_path: Path, key: str, quantized: tuple[bool, bool], found: str
    ) -> None:
        told = self.defects(tmp_path, key, weight="INT8" if quantized[1] else "FLOAT", quantized=quantized)
        assert told == (f"{found} is not quantized" if found else "")

    def test_what_the_card_names_may_be_float_but_not_all(self, tmp_path: Path) -> None:
        assert self.defects(tmp_path, "int8_fixed", ("dense",)) == "no Conv or Gemm is quantized"
