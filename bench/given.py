"""Models that were not made here: what a person tells of them, since no card does."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device.classify import CARD_SCHEMA, Card, CardError, EdgeproofError, PictureError, Step, read_labels
from train.data import labelled_split
from train.files import read_json

LAYOUTS = ("NHWC", "NCHW")
INPUT_FIELDS = {"scale", "offset", "layout"}


@dataclass(frozen=True)
class Given:
    """How to feed a model without a card: real input = pixels 0..255 × scale + offset, for each channel or all alike."""

    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)  # of inputs with free sides; "": of the only one
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    layout: str = "NHWC"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "shapes": {name: list(shape) for name, shape in self.shapes.items()}}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Given":
        scale, offset = tuple(document["scale"]), tuple(document["offset"])
        return Given(document["shapes"], scale, offset, document["layout"])

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Turn pixels (H, W, C), uint8, 0..255, into the real input (1, H, W, C) or (1, C, H, W), float32."""
        real = pixels.astype(np.float32) * np.array(self.scale, np.float32) + np.array(self.offset, np.float32)
        return (real.transpose(2, 0, 1) if self.layout == "NCHW" else real)[None]


@dataclass(frozen=True)
class Told:
    """What the command line tells of models without a card."""

    labels: Path | None = None
    preprocess: Path | None = None
    data: Path | None = None
    shapes: tuple[str, ...] = ()  # "1,224,224,3" or "NAME=1,224,224,3"


def describe(path: Path, told: Told) -> tuple[Card, Given]:
    """Make the card of a model that has none: whole where labels, preprocessing and pictures are told, else its name alone.

    Raises EdgeproofError where only some of these are told, or where they do not fit each other.
    """
    shapes = dict(_shape(text) for text in told.shapes)
    if told.labels is None and told.preprocess is None and told.data is None:
        document = {"schema": CARD_SCHEMA, "model": path.stem, "variant": "given"}
        return Card(path.stem, "given", (), 0, 0, 0, (), document), Given(shapes)
    if told.labels is None or told.preprocess is None or told.data is None:
        raise EdgeproofError(
            f"{path}: has no card: its accuracy needs --labels FILE, --preprocess FILE and --data FOLDER, all three; "
            "without them its latency is measured with random input"
        )
    steps, encoding = _read_preprocess(told.preprocess)
    labels = read_labels(told.labels)
    height, width, channels = _prepared_shape(told.data, labels, steps)
    if {len(encoding["scale"]), len(encoding["offset"])} - {1, channels}:
        raise EdgeproofError(f"{told.preprocess}: scale and offset are one number or one a channel, {channels} here")
    document = {
        "schema": CARD_SCHEMA,
        "model": path.stem,
        "variant": "given",
        "labels": labels,
        "input": {"height": height, "width": width, "channels": channels, "pixels": "0..255"},
        "preprocess": [step.to_json() for step in steps],
    }
    return Card.from_json(document), Given(shapes, **encoding)


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sides = text.rpartition("=")
    parts = sides.split(",")
    if not all(part.strip().isdigit() for part in parts) or not 0 < math.prod(int(part) for part in parts) < 2**31:
        raise EdgeproofError(f"--input-shape {text}: expected [NAME=]SIDES such as 1,224,224,3")
    return name, tuple(int(part) for part in parts)


def _read_preprocess(path: Path) -> tuple[list[Step], dict[str, Any]]:
    """Read a list of the card's steps, or an object of these, `preprocess`, and `input`: scale, offset, layout."""
    document = read_json(path)
    if isinstance(document, list):
        document = {"preprocess": document}
    known = isinstance(document, dict) and isinstance(document.get("preprocess"), list)
    if not known or set(document) - {"preprocess", "input"}:
        raise EdgeproofError(f"{path}: expected the card's list of steps, or {{preprocess: that list, input: {{...}}}}")
    given = document.get("input", {})
    if not isinstance(given, dict) or set(given) - INPUT_FIELDS or given.get("layout", "NHWC") not in LAYOUTS:
        raise EdgeproofError(f"{path}: input: found {given!r}, expected scale, offset and layout ({' or '.join(LAYOUTS)})")
    encoding = {
        "scale": _numbers(path, given.get("scale", 1.0)),
        "offset": _numbers(path, given.get("offset", 0.0)),
        "layout": given.get("layout", "NHWC"),
    }
    try:
        return [Step.from_json(entry) for entry in document["preprocess"]], encoding
    except CardError as error:
        raise CardError(f"{path}: {error}") from error


def _numbers(path: Path, value: object) -> tuple[float, ...]:
    values: list[Any] = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values):
        raise EdgeproofError(f"{path}: input: found {value!r}, expected a number or a list of one a channel")
    return tuple(float(v) for v in values)


def _prepared_shape(data: Path, labels: Sequence[str], steps: Sequence[Step]) -> tuple[int, ...]:
    """Return the shape (H, W, C) that the steps give the first picture that they can use."""
    pictures = labelled_split(data, labels)
    for index in range(len(pictures)):
        try:
            return pictures.prepare(index, steps).shape
        except PictureError:
            continue
    raise EdgeproofError(f"{data}: the steps can use none of its {len(pictures)} pictures")
