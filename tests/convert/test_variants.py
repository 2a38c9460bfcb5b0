"""The table of variants and their names."""

import pytest

from convert.variants import VARIANTS, find_variants, variant_of
from device.errors import EdgeproofError


def keys(*names: str) -> list[str]:
    return [variant.key for variant in find_variants(names)]


def test_a_name_means_every_format_and_a_key_one() -> None:
    assert keys("int8") == ["int8.tflite", "int8.onnx"]
    assert keys("int8.onnx") == ["int8.onnx"]
    assert keys("float16.onnx", "dynamic_int8", "float16.onnx") == ["dynamic_int8.tflite", "float16.onnx"]


def test_without_a_name_the_default_ones_are_meant() -> None:
    on_request = {"int16x8.tflite", "int8_fixed.tflite", "int8_fixed.onnx"}
    assert keys() == [variant.key for variant in VARIANTS if variant.key not in on_request]


@pytest.mark.parametrize("names", [["int4"], ["int8", "float"], ["int8.keras"], [""]])
def test_an_unknown_name_lists_those_there_are(names: list[str]) -> None:
    with pytest.raises(
        EdgeproofError, match=f"unknown variant {names[-1]!r}: expected one of float32.tflite, float16.tflite, "
    ):
        find_variants(names)


def test_whole_numbers_are_calibrated_and_the_doctors_alone_are_by_the_doctor() -> None:
    calibrated = {variant.name for variant in VARIANTS if variant.calibrated}
    assert calibrated == {"int8", "int8_mixed", "int16x8", "int8_fixed"}
    assert {variant.key for variant in VARIANTS if variant.by_doctor} == {"int8_fixed.tflite", "int8_fixed.onnx"}


def test_floats_promise_999_of_1000_and_the_others_990() -> None:
    for variant in VARIANTS:
        assert variant.min_agreement == (0.999 if variant.name.startswith("float") else 0.99)


@pytest.mark.parametrize(
    ("key", "margin", "score_share", "golden_tolerance"),
    [
        ("float32.tflite", 0.005, 1e-4, 1e-5),
        ("float32.onnx", 0.005, 1e-4, 1e-5),
        ("float16.tflite", 0.005, 0.01, 1e-5),
        ("float16.onnx", 0.005, 0.01, 2e-3),
        ("dynamic_int8.tflite", 0.1, 0.1, 0.04),
        ("int8.onnx", 0.1, 0.1, 0.04),
        ("int16x8.tflite", 0.1, 0.1, 0.04),
    ],
)
def test_how_far_answers_may_lie_from_keras_depends_on_the_arithmetic(
    key: str, margin: float, score_share: float, golden_tolerance: float
) -> None:
    (variant,) = find_variants([key])
    answers = variant.answers
    assert (answers.margin, answers.score_share, answers.golden_tolerance) == (margin, score_share, golden_tolerance)
    assert answers.quantized is ("int" in key)


@pytest.mark.parametrize(
    ("key", "weights", "others"),
    [
        ("float32.tflite", {"FLOAT32"}, {"FLOAT32", "INT32", "INT64", "BOOL"}),
        ("float16.tflite", {"FLOAT16"}, {"FLOAT16", "FLOAT32", "FLOAT64", "INT32", "INT64", "BOOL"}),
    ],
)
def test_types_of_float_files_leave_room_for_shapes(key: str, weights: set[str], others: set[str]) -> None:
    (variant,) = find_variants([key])
    assert set(variant.types.weights or ()) == weights
    assert set(variant.types.others or ()) == others


def test_full_integer_holds_integers_alone_and_its_last_layer_is_quantized() -> None:
    for variant in VARIANTS:
        held = (variant.types.weights or frozenset()) | (variant.types.others or frozenset())
        if variant.key == "int8.tflite":
            assert held == {"INT8", "UINT8", "INT16", "INT32", "INT64", "BOOL"}
            assert variant.types.ends == "UINT8"
        else:
            assert variant.types.ends == "FLOAT32"
        assert variant.types.integer_softmax is (variant.key in ("int8.tflite", "int8_mixed.tflite", "int8_fixed.tflite"))


def test_what_heavy_operations_compute_with_is_promised() -> None:
    heavy = {variant.key: (variant.types.heavy, variant.types.float_heavy) for variant in VARIANTS if variant.types.heavy}
    assert heavy["dynamic_int8.tflite"] == ((None, "INT8"), "small")
    assert heavy["int8_mixed.tflite"] == (("INT8", "INT8"), "first")
    assert heavy["int16x8.tflite"] == (("INT16", "INT8"), "none")
    assert heavy["int8_fixed.tflite"] == ((None, "INT8"), "named")
    assert heavy["int8.onnx"] == heavy["int8_fixed.onnx"] == (("UINT8", "INT8"), "named")


def test_a_file_of_no_variant_has_none() -> None:
    assert [variant_of(variant.name, variant.format) for variant in VARIANTS] == list(VARIANTS)
    assert variant_of("int16x8", "onnx") is variant_of("given", "tflite") is None
