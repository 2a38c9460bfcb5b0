"""Readers from other projects accept our metadata: tflite-support, its Task Library, and MediaPipe.

Each is installed into a temporary environment: tflite-support needs a protobuf that conflicts with everything else here.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.calibration import Calibration
from convert.formats import to_tflite
from convert.formats.card_writer import embed
from convert.formats.saved_model import export
from convert.formats.tflite_metadata import with_metadata
from convert.variants import find_variants
from device.formats.model_file import read_card
from device.open_model import open_session
from tests.conftest import Tiny
from tests.support.environments import install

pytestmark = pytest.mark.slow

MEDIAPIPE = ("mediapipe==1.2.2",)
# libusb-package: Task Library's library is linked against libusb, for Coral's USB accelerator
TFLITE_SUPPORT = ("tflite-support==0.4.4", "protobuf<3.21", "numpy<2", "libusb-package")
LABELS = ("ant", "bee", "cat", "dog")


@dataclass(frozen=True)
class Environment:
    """A Python environment with a reader."""

    python: Path
    library_path: Path | None = None

    def read(self, reader: str, model: Path, pixels: Path) -> Any:
        environ = {**os.environ, "LD_LIBRARY_PATH": str(self.library_path or "")}
        program = Path(__file__).with_name("third_party_readers.py")
        command = [str(part) for part in (self.python, program, reader, model, pixels)]
        result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout.partition("\nANSWERS")[2])


@pytest.fixture(scope="module")
def mediapipe(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(install(tmp_path_factory.mktemp("mediapipe"), MEDIAPIPE))


@pytest.fixture(scope="module")
def tflite_support(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    python = install(tmp_path_factory.mktemp("support"), TFLITE_SUPPORT)
    usb = next(python.parent.parent.rglob("libusb-1.0.so"))
    usb.with_name("libusb-1.0.so.0").symlink_to(usb)
    return Environment(python, usb.parent)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of three pictures (3, 32, 32, 3), uint8."""
    pictures = np.stack([np.full((32, 32, 3), ground, np.uint8) for ground in (30, 120, 200)])
    for index in range(3):
        pictures[index, :, :16, index] = 250
    path = tmp_path_factory.mktemp("pixels") / "pixels.npy"
    np.save(path, pictures)
    return path


def colour_network() -> Any:
    """Return an untrained network for 32×32 colour pictures whose four scores differ clearly."""
    import keras

    keras.utils.set_random_seed(0)
    image = tensor = keras.layers.Input((32, 32, 3))
    for layer in (
        keras.layers.Rescaling(1 / 127.5, -1),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4, activation="softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=4)),
    ):
        tensor = layer(tensor)
    return keras.Model(image, tensor)


@pytest.fixture(scope="module")
def colour_models(pixels: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a small model for colour pictures in three variants: Task Library and MediaPipe do not accept gray pictures."""
    folder = tmp_path_factory.mktemp("colour")
    export(colour_network(), folder / "saved_model", batch=1)
    seen = np.load(pixels)
    seen[:, 0, 0], seen[:, 0, 1] = 0, 255  # so that a uint8 input has scale 1: both readers give it the pixels as they are
    source = to_tflite.Source(folder / "saved_model", Calibration(seen, np.zeros(3, np.int64), seed=0))
    shape = {"height": 32, "width": 32, "channels": 3, "pixels": "0..255"}
    common = {"schema": 1, "model": "colours", "labels": list(LABELS), "input": shape, "preprocess": [["rgb"]]}
    paths = {}
    for variant in find_variants(["float32.tflite", "dynamic_int8.tflite", "int8.tflite"]):
        card = {**common, "variant": variant.name}
        path = paths[variant.name] = folder / f"colours.{variant.key}"
        path.write_bytes(with_metadata(to_tflite.convert(source, variant), card))
        embed(path, card)
    return paths


def expected(model: Path, pixels: Path) -> list[dict[str, float]]:
    session = open_session(model, read_card(model))
    scores = [session.scores(session.infer(session.tensor(picture))) for picture in np.load(pixels)]
    return [dict(zip(LABELS, map(float, values), strict=True)) for values in scores]


@pytest.mark.parametrize("variant", ["float32", "dynamic_int8", "int8"])
@pytest.mark.parametrize(("environment", "reader"), [("mediapipe", "mediapipe"), ("tflite_support", "task_library")])
def test_others_answer_with_our_labels_and_scores(
    request: pytest.FixtureRequest, colour_models: dict[str, Path], pixels: Path, environment: str, reader: str, variant: str
) -> None:
    model = colour_models[variant]
    answers = request.getfixturevalue(environment).read(reader, model, pixels)
    for answer, ours in zip(answers, expected(model, pixels), strict=True):
        assert max(ours.values()) - min(ours.values()) > 0.1
        assert answer == pytest.approx(ours, abs=1e-5)


def test_the_standard_reader_finds_labels_and_normalization_of_the_digits(
    tiny: Tiny, tflite_support: Environment, pixels: Path
) -> None:
    found = tflite_support.read("metadata", tiny.artifact("int8.tflite"), pixels)
    assert "labels.txt" in found["files"]
    assert found["labels"].split() == list("0123456789")
    subgraph = found["document"]["subgraph_metadata"][0]
    source, target = subgraph["input_tensor_metadata"][0], subgraph["output_tensor_metadata"][0]
    assert source["content"]["content_properties"] == {"color_space": "GRAYSCALE"}
    assert source["process_units"][0] == {"options_type": "NormalizationOptions", "options": {"mean": [0.0], "std": [1.0]}}
    assert source["stats"] == {"max": [255.0], "min": [0.0]}
    assert target["associated_files"][0]["type"] == "TENSOR_AXIS_LABELS"
