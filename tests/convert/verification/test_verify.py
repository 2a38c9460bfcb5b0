"""Agreement with the float model."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert.variants import Variant, find_variants
from convert.verification import golden, verify
from device.card import Card
from device.errors import CheckFailed, ModelError
from tests.support.models.tflite_graphs import OperationOf, TensorOf, graph_bytes
from train.data.calibration import calibration_reference, load_calibration


def found_agreement(scores: Any, reference: Any, key: str, margin: float) -> verify.Agreement:
    """Compare rows of scores with rows of Keras's."""

    class Canned:
        def __init__(self) -> None:
            self.rows = iter(np.array(scores, np.float32))

        def tensor(self, _: Any) -> Any:
            return None

        def infer(self, _: Any) -> Any:
            return None

        def scores(self, _: Any) -> Any:
            return next(self.rows)

    (variant,) = find_variants([key])
    pixels = np.zeros((len(reference), 1, 1, 1), np.uint8)
    return verify.agreement([Canned()], pixels, np.array(reference, np.float32), variant, margin)  # type: ignore[list-item]


class TestUndecided:
    KERAS = ((0.9, 0.1), (0.52, 0.48), (0.2, 0.8))
    FOUND = ((0.8, 0.2), (0.49, 0.51), (0.3, 0.7))

    def test_only_pictures_that_keras_decides_count_and_how_many_is_said(self) -> None:
        found = found_agreement(self.FOUND, self.KERAS, "int8.tflite", 0.1)
        assert (found.agree, found.total, found.undecided, found.scores) == (2, 2, 1, None)
        assert verify.describe(found) == (
            "answers 0 of the 2 of 3 validation pictures that Keras decides by at least 0.1 differently from float"
        )
        assert found.to_json() == {"agree": 2, "total": 2, "margin": 0.1, "undecided": 1}

    def test_of_a_model_that_was_trained_here_every_picture_counts(self) -> None:
        (variant,) = find_variants(["int8.tflite"])
        assert verify.counted_margin(variant, trained_here=True) == 0
        found = found_agreement(self.FOUND, self.KERAS, "int8.tflite", 0.0)
        assert found.to_json() == {"agree": 2, "total": 3}

    @pytest.mark.parametrize(
        ("key", "worst", "kept"),
        [("float32.onnx", 1e-5, True), ("float32.onnx", 1e-3, False), ("int8.onnx", 0.02, True), ("int8.onnx", 0.06, False)],
    )
    def test_where_none_is_decided_scores_are_compared(self, key: str, worst: float, kept: bool) -> None:
        keras = np.full((4, 3), 1 / 3)
        found = found_agreement(keras + np.array((worst, -worst, 0)), keras, key, 0.1)
        assert found.total == 0
        assert found.scores is not None
        assert found.scores.worst == pytest.approx(worst, rel=0.02)
        (variant,) = find_variants([key])
        if kept:
            verify.check_agreement(variant, found)
        else:
            with pytest.raises(CheckFailed, match="Keras decides none of 4"):
                verify.check_agreement(variant, found)

    def test_a_comparison_that_shows_little_says_so(self) -> None:
        thousand = np.full((2, 1_000), 0.001)
        assert "shows little" in verify.describe(found_agreement(thousand, thousand, "int8.tflite", 0.1))
        assert "shows little" not in verify.describe(found_agreement(thousand, thousand, "int8.onnx", 0.1))


class Owned:
    """A session whose scores depend on the picture; it refuses a second picture before the first has its scores."""

    def __init__(self, broken_at: int | None = None) -> None:
        self.answered, self.broken_at, self._busy = 0, broken_at, threading.Lock()

    def tensor(self, picture: Any) -> Any:
        assert self._busy.acquire(blocking=False), "two pictures at a time in one session"
        return int(picture[0, 0, 0])

    def infer(self, number: int) -> Any:
        if number == self.broken_at:
            raise ModelError(f"picture {number}")
        time.sleep(0.001)
        return number

    def scores(self, number: int) -> Any:
        self.answered += 1
        self._busy.release()
        high = (number % 90 + 10) / 100
        return np.array((high, 1 - high), np.float32)


class TestSessions:
    PIXELS = np.arange(200, dtype=np.uint8).reshape(-1, 1, 1, 1)
    KERAS = np.random.default_rng(0).dirichlet((1, 1), 200).astype(np.float32)

    def found(self, sessions: list[Owned]) -> verify.Agreement:
        return verify.agreement(sessions, self.PIXELS, self.KERAS, variant_of("int8.tflite"), 0.05)  # type: ignore[arg-type]

    def test_their_number_changes_nothing_and_all_of_them_work(self) -> None:
        several = [Owned(), Owned(), Owned()]
        assert self.found(several) == self.found([Owned()])
        assert sum(session.answered for session in several) == 200
        assert all(session.answered for session in several)

    def test_an_error_of_one_is_an_error(self) -> None:
        with pytest.raises(ModelError, match="picture 120"):
            self.found([Owned(120), Owned(120)])


def test_golden_pictures_of_a_large_input_stay_within_200_kb_and_are_eight(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(12):
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


def variant_of(key: str) -> Variant:
    (variant,) = find_variants([key])
    return variant


class TestPromises:
    @pytest.mark.parametrize(
        ("key", "agree", "total", "kept"),
        [
            ("float32.tflite", 999, 1_000, True),
            ("float32.tflite", 998, 1_000, False),
            ("int8.tflite", 990, 1_000, True),
            ("int8.tflite", 989, 1_000, False),
            ("int8.tflite", 11_880, 12_000, True),
            # of fewer, Wilson's upper end decides
            ("float32.tflite", 998, 999, True),
            ("float32.tflite", 993, 999, False),
            ("int8.tflite", 97, 100, True),  # up to 0.9926 by 99 %, to 0.9897 by 95 %
            ("int8.tflite", 96, 100, False),  # up to 0.9879
            ("int8.tflite", 90, 100, False),
            ("int8.tflite", 0, 1, False),
            ("int8.tflite", 1, 1, True),
        ],
    )
    def test_of_a_thousand_the_share_counts_and_of_fewer_the_interval(
        self, key: str, agree: int, total: int, kept: bool
    ) -> None:
        assert verify.agrees(variant_of(key), verify.Agreement(agree, total)) is kept

    def test_the_border_of_a_small_sample_is_wilsons_upper_end(self) -> None:
        from scipy.stats import binomtest

        for agree in range(80, 101):
            high = binomtest(agree, 100).proportion_ci(0.99, method="wilson").high
            assert verify.agrees(variant_of("int8.tflite"), verify.Agreement(agree, 100)) == (high >= 0.99)

    def test_a_broken_promise_is_said_with_both_shares(self) -> None:
        with pytest.raises(CheckFailed) as error:
            verify.check_agreement(variant_of("int8.onnx"), verify.Agreement(1_900, 2_000))
        assert str(error.value) == (
            "int8.onnx: answers 100 of 2,000 validation pictures differently from float (95.00 % as float, promised are "
            "99.0 %): `edgeproof convert doctor MODEL --fix` finds the cause"
        )
        verify.check_agreement(variant_of("int8.onnx"), verify.Agreement(1_980, 2_000))

    @pytest.mark.parametrize(("worst", "kept"), [(0.05, True), (0.050001, False)])
    def test_scores_may_differ_by_what_is_allowed(self, worst: float, kept: bool) -> None:
        found = verify.Agreement(0, 0, 0.1, 4, verify.ScoreDifference(worst, 0.05, 0.5))
        assert verify.agrees(variant_of("int8.tflite"), found) is kept

    def test_no_picture_at_all_breaks_nothing(self) -> None:
        assert verify.agrees(variant_of("int8.tflite"), verify.Agreement(0, 0))

    @pytest.mark.parametrize(
        ("key", "margin"),
        [("float32.onnx", 0.005), ("float16.tflite", 0.005), ("int8.onnx", 0.1), ("dynamic_int8.tflite", 0.1)],
    )
    def test_pictures_count_from_a_margin_on_where_a_model_comes_from_elsewhere(self, key: str, margin: float) -> None:
        assert verify.counted_margin(variant_of(key), trained_here=False) == margin
        assert verify.counted_margin(variant_of(key), trained_here=True) == 0

    @pytest.mark.parametrize(
        ("key", "allowed"),
        [
            ("float32.tflite", 0.5e-4),
            ("float16.onnx", 0.005),
            ("dynamic_int8.tflite", 0.05),
            ("int8.onnx", 0.05),
            ("int8.tflite", 0.05 + 1 / 256),
            ("int8_mixed.tflite", 0.05 + 1 / 256),
            ("int8_fixed.tflite", 0.05 + 1 / 256),
            ("int8_fixed.onnx", 0.05),
        ],
    )
    def test_scores_that_are_compared_may_differ_by_a_share_of_the_highest(self, key: str, allowed: float) -> None:
        keras = [[0.5, 0.5], [0.25, 0.25]]
        found = found_agreement([[0.5, 0.5], [0.25, 0.23]], keras, key, 0.1)
        assert found.scores is not None
        assert vars(found.scores) == pytest.approx({"worst": 0.02, "allowed": allowed, "highest": 0.5}, abs=1e-7)
        document = found.to_json()
        assert document == {"agree": 0, "total": 0, "margin": 0.1, "undecided": 2, "scores": vars(found.scores)}

    def test_a_picture_that_is_decided_by_just_the_margin_counts(self) -> None:
        found = found_agreement([[0.75, 0.25], [0.0, 1.0]], [[0.75, 0.25], [0.75, 0.25]], "int8.onnx", 0.5)
        assert (found.agree, found.total, found.share) == (1, 2, 0.5)

    def test_margins_are_of_the_two_highest_scores(self) -> None:
        scores = np.array([[0.125, 0.5, 0.25, 0.125], [0.25, 0.25, 0.5, 0.0]], np.float32)
        assert verify.margins(scores).tolist() == [0.25, 0.25]

    def test_what_was_found_is_said(self) -> None:
        every = verify.Agreement(99, 100, 0.1)
        assert verify.describe(every) == "answers 1 of 100 validation pictures differently from float"
        for allowed, ending in ((0.26, ": such a wide limit shows little"), (0.25, "")):
            found = verify.Agreement(0, 0, 0.1, 7, verify.ScoreDifference(0.021, allowed, 0.5))
            assert verify.describe(found) == (
                f"Keras decides none of 7 validation pictures by 0.1; scores differ from Keras's by at most 0.021, allowed "
                f"is {allowed} (its highest is 0.5){ending}"
            )


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
            verify.check_types(path, variant_of(f"{key}.tflite"), float_nodes)
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
            verify.check_types(path, variant_of("float32.tflite"))
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
            verify.check_types(path, variant_of(f"{key}.onnx"), float_nodes)
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
