"""The figures of a microcontroller's interpreter, as bench.json hands them from `bench` to `convert`."""

import json
from pathlib import Path

import pytest

from common.interval import Interval
from common.micro_figures import MeasuredFigures, MicroFigures, how_to_set_up
from device.errors import EdgeproofError
from tests.support.microcontrollers import figures, saved_results


def test_figures_are_found_by_the_hash_of_the_model(tmp_path: Path) -> None:
    one, other = figures(), figures(model_sha256="0" * 64, arena_bytes=20_784, tensor_bytes=0)
    found = MeasuredFigures.read(saved_results(tmp_path, one, other))
    assert found.by_model == {one.model_sha256: one, "0" * 64: other}


def test_tensors_that_a_row_does_not_name_are_unknown() -> None:
    document = figures().to_json()
    del document["tensor_bytes"]
    assert MicroFigures.from_json(document).tensor_bytes == 0


def test_where_build_has_no_results_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert MeasuredFigures.read(None) == MeasuredFigures({}, {})


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(EdgeproofError, match=r"none\.json: cannot be read"):
        MeasuredFigures.read(tmp_path / "none.json")


def test_without_a_makefile_the_message_names_another_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert how_to_set_up() == "`make setup-micro` makes it"
    monkeypatch.setattr("common.micro_figures.PROGRAM", tmp_path)
    assert "a device file of your own" in how_to_set_up()


@pytest.mark.parametrize(("arena_bytes", "tensor_bytes", "low"), [(1_000, 0, 500), (1_000, 800, 900), (1_000, 1_000, 1_000)])
def test_on_32_bits_all_that_is_no_tensor_is_half_to_all_as_large(arena_bytes: int, tensor_bytes: int, low: int) -> None:
    found = figures(arena_bytes=arena_bytes, tensor_bytes=tensor_bytes).arena_on_32_bits
    assert found == Interval(1_000, low, 1_000)


def test_the_reason_of_a_skipped_row_is_found_by_its_names(tmp_path: Path) -> None:
    path = saved_results(tmp_path, figures())
    document = json.loads(path.read_text())
    names = {"model": "m", "name": None, "variant": "dynamic_int8", "format": "tflite", "runtime": "tflite_micro"}
    document["skipped"] = [{**names, "device": device, "reason": device} for device in ("tflite-micro", "pi4")]
    path.write_text(json.dumps(document))
    assert MeasuredFigures.read(path).refused == {("m", None, "dynamic_int8"): "tflite-micro"}


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("arena_bytes", 0, "arena_bytes is 0, expected more than 0"),
        ("arena_bytes", "31 kB", "arena_bytes is '31 kB', expected int"),
        ("arena_bytes", 1_000, "arena_bytes is 1000, expected more than 0, and at least tensor_bytes"),
        ("flash_bytes", -1, "flash_bytes is -1, expected more than 0"),
        ("equal", 112, "equal is 112, expected at most `compared`"),
        ("operations", "CONV_2D", "operations is 'CONV_2D', expected a list"),
    ],
)
def test_figures_that_cannot_be_are_refused(tmp_path: Path, key: str, value: object, found: str) -> None:
    path = saved_results(tmp_path, figures())
    document = json.loads(path.read_text())
    document["measurements"][0]["microcontroller"][key] = value
    path.write_text(json.dumps(document))
    with pytest.raises(EdgeproofError) as caught:
        MeasuredFigures.read(path)
    assert f"{path}: damaged: measurements[0].microcontroller.{found}" in str(caught.value)


def test_the_smallest_figures_that_can_be_are_read(tmp_path: Path) -> None:
    least = figures(arena_bytes=1, tensor_bytes=1, flash_bytes=1, compared=0, equal=0)
    assert list(MeasuredFigures.read(saved_results(tmp_path, least)).by_model.values()) == [least]


@pytest.mark.parametrize("content", ['{"schema": 1}', '{"schema": 1, "measurements": [7, {"microcontroller": null}]}'])
def test_what_holds_no_figures_has_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "bench.json").write_text(content)
    assert MeasuredFigures.read(tmp_path / "bench.json") == MeasuredFigures({}, {})
