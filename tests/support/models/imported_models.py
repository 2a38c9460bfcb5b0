"""Models as users have them."""

import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convert.importing.import_model import import_model
from convert.importing.import_options import ImportOptions
from convert.trained_model import TrainedModel

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 40, 220)}
SIDE, A_CLASS = 24, 12


def colour_network(**options: Any) -> Any:
    """Return a network for values -1..1 that answers with a picture's colour: its weights are set, not trained."""
    import keras

    settings: dict[str, Any] = {"shape": (SIDE, SIDE, 3), "activation": "softmax", "classes": 3} | options
    image = keras.Input(settings["shape"], batch_size=settings.get("batch"), name="photo")
    values = settings.get("front", lambda tensor: tensor)(image)
    values = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="look")(values)
    values = keras.layers.GlobalAveragePooling2D(name="mean")(values)
    scores = keras.layers.Dense(settings["classes"], activation=settings["activation"], name="colour")(values)
    network = keras.Model(image, scores, name=settings.get("name", "paint"))
    channels = settings["shape"][2]
    kernel = np.random.default_rng(0).normal(0, 0.02, (3, 3, channels, 8))
    kernel[1, 1, :, :channels] += np.eye(channels)
    network.get_layer("look").set_weights([kernel])
    if settings["classes"] == 3:
        network.get_layer("colour").set_weights([np.eye(8, 3) * settings.get("gain", 6.0), np.zeros(3)])
    return network


def sequential(*front: Any, between: tuple[Any, ...] = (), head: str | None = "softmax", library: Any = None) -> Any:
    """Return a keras.Sequential, of Keras 3 or another `library`, that answers with a picture's colour from values -1..1."""
    library = library or importlib.import_module("keras")
    layers = library.layers
    kernel = layers.Conv2D(8, 3, padding="same", use_bias=False, name="look")
    scores = layers.Dense(3, activation=head, name="colour")
    mean = layers.GlobalAveragePooling2D(name="mean")
    network = library.Sequential([library.Input((SIDE, SIDE, 3)), *front, kernel, *between, mean, scores])
    weights = np.random.default_rng(0).normal(0, 0.02, (3, 3, 3, 8))
    weights[1, 1, :, :3] += np.eye(3)
    kernel.set_weights([weights])
    scores.set_weights([np.eye(8, 3) * 6, np.zeros(3)])
    return network


def normalization(library: Any = None) -> Any:
    """Return a BatchNormalization whose statistics separate the colours. A picture's own would make all equal."""
    layer = (library or importlib.import_module("keras")).layers.BatchNormalization(name="statistics")
    layer.build((None, SIDE, SIDE, 3))
    layer.set_weights([np.full(3, value, np.float32) for value in (1.0, 0.0, -0.1, 1.2)])
    return layer


def save(network: Any, folder: Path, kind: str = "keras") -> Path:
    path = folder / ("paint" if kind == "saved_model" else f"paint.{kind}")
    if kind == "saved_model":
        network.export(str(path), format="tf_saved_model", verbose=False)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # tf_keras: .h5 is considered legacy
            network.save(path)
    return path


@dataclass(frozen=True)
class Paint:
    """Labels and coloured pictures, as class folders and in one folder."""

    folder: Path
    labels: Path
    classes: Path
    flat: Path


def write_paint(folder: Path) -> Paint:
    """Write coloured pictures and their labels."""
    labels = folder / "labels.txt"
    labels.write_text("\n".join(COLOURS) + "\n")
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        for number in range(A_CLASS):
            pixels = np.array(colour) + random.normal(0, 20, (30, 40, 3)) + random.normal(0, 8, 3)
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            for path in (folder / "classes" / name / f"{number}.png", folder / "flat" / f"{name}{number}.png"):
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
    return Paint(folder, labels, folder / "classes", folder / "flat")


def outside(paint: Paint, path: Path, **told: Any) -> ImportOptions:
    settings: dict[str, Any] = {"labels": paint.labels, "calibration": paint.classes, "input_range": "-1..1"}
    return ImportOptions(path, **settings | told)


def imported(told: ImportOptions) -> tuple[TrainedModel, list[str]]:
    said: list[str] = []
    return TrainedModel(import_model(told, said.append)), said


def some_pixels(count: int = 5) -> Any:
    return np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.float32)
