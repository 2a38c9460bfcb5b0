"""Finding the files to measure."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bench.artifacts.find import find_artifacts
from common.paths import PROGRAM
from device.errors import CardError
from tests.support.models.onnx_models import TORCH, save_onnx

READY = PROGRAM / "data" / "ready" / "mnist_cnn.int8.tflite"


@pytest.mark.parametrize("name", ["digits.tflite", "DIGITS.TFLITE", "digits.TfLite"])
def test_a_files_format_is_the_same_in_capital_letters(tmp_path: Path, name: str) -> None:
    [found] = find_artifacts([Path(shutil.copy(READY, tmp_path / name))])
    assert (found.format, found.card.model) == ("tflite", "mnist_cnn")


def test_onnx_in_capital_letters_is_onnx(tmp_path: Path) -> None:
    [found] = find_artifacts([save_onnx(TORCH, tmp_path).rename(tmp_path / "COLOURS.ONNX")])
    assert (found.format, found.cardless is None) == ("onnx", False)


def test_a_card_without_the_hash_of_its_test_pictures_is_named_with_its_file() -> None:
    [found] = find_artifacts([READY])
    bare = replace(found, card=replace(found.card, document={}))
    with pytest.raises(CardError, match=r"mnist_cnn\.int8\.tflite: card field provenance\.dataset_sha256\.test: None"):
        _ = bare.test_sha256
    assert len(found.test_sha256) == 64
