"""A sample of the matrix that `make matrix` fills: source × variant × runtime."""

from pathlib import Path

import pytest

from bench.runtimes import find_runtime
from convert.child import LOGGED
from convert.importing.sources import source_names
from convert.variants import find_variants
from tests.conftest import TFLITE
from tests.support.models.imported_models import Paint
from tests.support.models.source_examples import EXAMPLES, Example
from tests.tools.source_matrix import Cell, cells, put_between_marks, table

FAST = [one for one in EXAMPLES if one.source in ("onnx_file", "tflite_file")]  # without TensorFlow: seconds
SLOW = [one for one in EXAMPLES if one not in FAST]


def test_every_source_format_has_an_example() -> None:
    assert {one.source for one in EXAMPLES} == set(source_names())


@pytest.mark.slow
@pytest.mark.parametrize("example", FAST, ids=lambda one: one.name)
def test_what_needs_no_tensorflow_is_right_in_every_runtime(example: Example, paint: Paint, tmp_path: Path) -> None:
    found = cells(example, paint, tmp_path / "example", find_variants(["dynamic_int8", "int8.onnx", "float16.onnx"]))
    assert all(one.passes for one in found), found
    right = {one.variant: one.right for one in found if one.right}
    if example.converted:
        assert right == {"given.tflite": [find_runtime(name).TITLE for name in TFLITE]}
    else:
        assert right == {"float16.onnx": ["onnxruntime"], "int8.onnx": ["onnxruntime"]}
        assert [one.refused[0][:33] for one in found if one.refused] == ["TFLite is not made of an ONNX mod"]


@pytest.mark.slow
@pytest.mark.parametrize("example", SLOW, ids=lambda one: one.name)
def test_what_needs_tensorflow_is_right_in_every_runtime(example: Example, paint: Paint, tmp_path: Path) -> None:
    found = cells(example, paint, tmp_path / "example", find_variants(["int8", "float32"]))
    assert all(one.passes for one in found), found
    assert all(one.right for one in found)


def test_the_table_names_each_reason_once_and_stands_between_its_marks(tmp_path: Path) -> None:
    found = [
        Cell("ONNX", "int8.tflite", refused=["no"]),
        Cell("ONNX", "int8.onnx", right=["onnxruntime"]),
        Cell("Keras", "int8.tflite", right=["LiteRT"], refused=["no"]),
        Cell("Keras", "int8.onnx", wrong=["onnxruntime: red is blue"]),
    ]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- written by make matrix -->\nold\n<!-- end of what make matrix wrote -->\nafter\n")
    put_between_marks(page, table(found))
    assert page.read_text().splitlines() == [
        "before",
        "<!-- written by make matrix -->",
        "",
        "| source | `int8.tflite` | `int8.onnx` |",
        "| --- | --- | --- |",
        "| ONNX | refused (1) | onnxruntime |",
        "| Keras | LiteRT; refused (1) | **wrong** |",
        "",
        "1. no",
        "",
        "<!-- end of what make matrix wrote -->",
        "after",
    ]
    assert [one.passes for one in found] == [True, True, True, False]


def test_a_crash_or_what_nobody_foresaw_is_no_refusal() -> None:
    assert not Cell("Keras", "int8.onnx", refused=[f"zip() argument 2 is longer ({LOGGED}: x.log)"]).passes
    assert not Cell("Keras", "int8.onnx", refused=["one line\nand another"]).passes
    assert not Cell("Keras", "int8.onnx").passes
