"""Models of keras.applications, with their own input ranges and a thousand classes, are converted like any other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convert.child import Child
from convert.importing.import_options import ImportOptions
from convert.pipeline import convert_model
from convert.variants import Variant, find_variants
from device.formats.model_file import read_card
from tests.conftest import classify
from tests.support.models.imported_models import imported, save


def photo_like(folder: Path, count: int) -> Path:
    """Write pictures of soft patches of colour with noise."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        patches = random.integers(0, 256, (*random.integers(2, 8, 2), 3), np.uint8)
        soft = np.asarray(Image.fromarray(patches).resize((140, 120), Image.Resampling.BICUBIC))
        noisy = np.clip(soft + random.normal(0, 8, soft.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:02}.png")
    return folder


def application(name: str, side: int) -> Any:
    """Build a model of keras.applications with random weights, its 1,000-class head on."""
    import keras

    keras.utils.set_random_seed(0)
    return getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "side", "input_range", "parameters", "variants"),
    [
        ("MobileNetV2", "keras", 96, "-1..1", 3_538_984, ["float32", "int8"]),
        ("MobileNetV3Small", "saved_model", 64, "0..255", 2_554_968, ["float32", "int8"]),
        ("EfficientNetB0", "h5", 64, None, 5_330_571, ["float32"]),
        ("MobileNet", "keras", 64, "caffe", 4_253_864, ["float32"]),
    ],
)
def test_models_of_keras_applications_with_a_thousand_classes_are_converted(
    tmp_path: Path,
    name: str,
    kind: str,
    side: int,
    input_range: str | None,
    parameters: int,
    variants: list[str],
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"class {number}\n" for number in range(1_000)))
    path = save(application(name, side), tmp_path, kind)
    trained, said = imported(ImportOptions(path, labels, photo_like(tmp_path / "pictures", 30), input_range=input_range))
    assert f"{parameters:,} parameters" in "\n".join(said)
    trained.close()
    chosen: tuple[Variant, ...] = find_variants(variants)
    failures: list[str] = []
    with Child(print) as child:  # gigabytes, which a worker of pytest would keep
        artifacts = list(convert_model(child, trained.path, chosen, failures.append))
    assert failures == []
    assert len(artifacts) == len(chosen)
    for artifact in artifacts:
        assert artifact.agreement.total + artifact.agreement.undecided == 10
        card = read_card(artifact.path)
        assert card is not None
        assert len(card.document["golden"]) >= 8
        assert len(card.labels) == 1_000
    for artifact in (artifacts[0], artifacts[-1]):
        result = classify(artifact.path.name, "--self-test", cwd=trained.folder)
        assert result.code == 0, result.stdout
