"""`.onnx` files through the command line: from a file to artifacts that prove themselves, and hostile ones in one line."""

import json
import os
from pathlib import Path

import onnx
import pytest

from device.formats.model_file import read_card
from tests.conftest import classify, run_module
from tests.support.models.imported_models import SIDE, Paint
from tests.support.models.onnx_models import HUGGING_FACE, TORCH, TORCH_DYNAMO, save_onnx, save_resizing, transformer_graph

KEYS = ("float32.onnx", "float16.onnx", "int8.onnx")
CONFIG = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": SIDE, "width": SIDE},
    "resample": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


@pytest.mark.slow
def test_a_hugging_face_folder_needs_nothing_but_pictures(paint: Paint, tmp_path: Path) -> None:
    save_onnx(HUGGING_FACE, tmp_path, "vit")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "red", "1": "green", "2": "blue"}}))
    told: list[str | Path] = ["--calibration", paint.classes, "--preprocess", "preprocessor_config.json"]
    result = run_module("convert", "run", "vit.onnx", *told, cwd=tmp_path)
    assert result.code == 0, result.stdout + result.stderr
    assert "12 of 12 pictures as onnxruntime" in result.stdout
    assert result.stdout.count("answers 0 of 12 validation pictures differently from float") == len(KEYS)
    for key in KEYS:
        artifact = tmp_path / "build" / "vit" / f"vit.{key}"
        card = read_card(artifact)
        assert card is not None
        assert card.labels == ("red", "green", "blue")
        checked = card.document["provenance"]["source"]["checked"]
        assert (checked["agree"], checked["pictures"], checked["worst"] < 1e-5) == (12, 12, True)
        assert [step.name for step in card.preprocess] == ["exif_orientation", "rgb", "stretch"]
        assert classify(artifact, "--self-test", cwd=tmp_path).code == 0
    found = classify("build/vit/vit.int8.onnx", paint.flat / "blue3.png", "--json", cwd=tmp_path)
    assert json.loads(found.stdout)["top"][0]["label"] == "blue"
    shown = run_module("convert", "show", "build/vit/vit.int8.onnx", cwd=tmp_path)
    assert "answered 12 of 12 pictures as onnxruntime" in shown.stdout
    examined = run_module("convert", "doctor", "vit", cwd=tmp_path)
    assert (examined.code, "no finding" in examined.stdout) == (0, True)
    refused = run_module("convert", "run", "vit", "--variants", "int8.tflite", cwd=tmp_path)
    assert (refused.code, "TFLite is not made of an ONNX model" in refused.error_line) == (1, True)


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def sparse(path: Path) -> Path:
    os.truncate(path, 4 << 30)
    return path


def leading_outside(path: Path) -> Path:
    save_onnx(TORCH_DYNAMO, path.parent, path.stem, external=True)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../secret" if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("spoil", "found"),
    [(cut, "cut off"), (sparse, "has 4.3 GB"), (leading_outside, "'../secret'")],
    ids=lambda one: getattr(one, "__name__", None),
)
@pytest.mark.parametrize("command", ["run", "inspect", "card", "show"])
def test_a_hostile_file_is_one_line_and_writes_nothing(
    paint: Paint, tmp_path: Path, spoil: object, found: str, command: str
) -> None:
    assert callable(spoil)
    path = spoil(save_onnx(TORCH, tmp_path))
    told: list[str | Path] = ["--labels", paint.labels] if command in ("run", "card") else []
    told += ["--calibration", paint.classes, "--input-range", "-1..1"] if command == "run" else []
    before = set(tmp_path.iterdir())
    result = run_module("convert", command, path, *told, cwd=tmp_path)
    assert result.code == 2
    assert found in result.error_line
    assert "Traceback" not in result.stderr
    assert set(tmp_path.iterdir()) == before


class TestOtherArchitectures:
    """What is unlike a convolutional network: converted to all variants, which answer as the file does."""

    @pytest.mark.slow
    def test_a_transformer_whose_tokens_lie_in_front_of_the_pictures(self, paint: Paint, tmp_path: Path) -> None:
        onnx.save(transformer_graph(), tmp_path / "vit.onnx")
        self.check_converts(paint, tmp_path / "vit.onnx")
        card = read_card(tmp_path / "build" / "vit" / "vit.int8.onnx")
        assert card is not None
        assert "not one entry for each picture" in card.document["bias_correction"]["reason"]
        examined = run_module("convert", "doctor", "vit", cwd=tmp_path)
        assert examined.code in (0, 1), examined.stderr  # it looks at it to the end, and may find something
        assert "no bias correction" in examined.stdout
        assert "WARNING" not in examined.stderr

    @pytest.mark.slow
    def test_a_network_that_resizes_inside(self, paint: Paint, tmp_path: Path) -> None:
        self.check_converts(paint, save_resizing(tmp_path))

    def check_converts(self, paint: Paint, path: Path) -> None:
        told: list[str | Path] = ["--labels", paint.labels, "--calibration", paint.classes, "--input-range", "-1..1"]
        result = run_module("convert", "run", path, *told, cwd=path.parent)
        assert result.code == 0, result.stdout + result.stderr
        assert result.stdout.count("answers 0 of 12 validation pictures differently") == len(KEYS)
        for key in KEYS:
            artifact = path.parent / "build" / path.stem / f"{path.stem}.{key}"
            found = classify(artifact, paint.flat / "blue3.png", "--json", cwd=path.parent)
            assert json.loads(found.stdout)["top"][0]["label"] == "blue"
