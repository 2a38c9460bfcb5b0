"""A run does not pass where what was asked for has no figure."""

from pathlib import Path

from bench.measure.unmeasured import unmeasured
from tests.support.results_builder import measurement


def test_a_named_file_without_a_row_is_named_once() -> None:
    row = measurement()
    other = Path("other.onnx")
    assert unmeasured([Path(row.artifact.path), other, other], [row]) == [
        "other.onnx: was measured in no runtime: each skipped row says why"
    ]


def test_one_row_in_any_runtime_is_enough_for_each_named_file() -> None:
    row = measurement()
    assert unmeasured([Path(row.artifact.path)], [row]) == []


def test_without_names_one_row_of_any_file_is_enough_and_none_is_said() -> None:
    assert unmeasured([], [measurement()]) == []
    assert unmeasured([], []) == ["no row was measured: each skipped row says why"]
