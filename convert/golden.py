"""Golden examples: pictures with their prepared hash and their scores, by which an artifact proves itself anywhere."""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from convert.variant import Variant
from device.classify import Card, Session, prepare, top_k
from train.data import Pixels, Split

CLEAR_MARGIN = 0.9  # between the two highest scores: above it every runtime gives the same top-1
MOST_CLASSES = 10  # with more, or with large pictures, one picture for each of the first MOST_PICTURES
MOST_PICTURES = 8
MOST_PNG_BYTES = 24_000  # a larger picture is kept as prepared: the whole stays under 200 kB
TOP_SCORES = 5  # kept of a model with over MOST_CLASSES classes

# Absolute differences of scores that were seen, between runtimes and between x86 and ARM, with room (facts of the project:
# float 4e-7, dynamic 0.018, int8 4 steps of 1/256 where the margin is clear).
FLOAT_TOLERANCE = 1e-5
HALF_TOLERANCE = 2e-3
QUANTIZED_TOLERANCE = 0.04
ONE_STEP = 1 / 256


@dataclass(frozen=True)
class GoldenPicture:
    """One picture as PNG, what `prepare` makes of it (H, W, C), and whether its margin is clear."""

    png: bytes
    pixels: Pixels
    clear: bool


def choose(
    validation: Split, indices: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32], card: Card
) -> list[GoldenPicture]:
    """Choose one picture a class with a clear margin, and the one nearest to the decision border.

    `probabilities` (N, classes) are Keras's for the validation pictures at `indices` (N,). A class without a clear answer
    gives the clearest it has.
    """
    ordered = np.sort(probabilities, axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    truth, answers = validation.labels[indices], probabilities.argmax(axis=1)
    classes = len(card.labels)
    most = classes if classes <= MOST_CLASSES else MOST_PICTURES
    chosen: list[int] = []
    for label in range(classes):
        right = np.flatnonzero((truth == label) & (answers == label))
        if len(right) and len(chosen) < most:
            chosen.append(int(right[margins[right].argmax()]))
    chosen.append(int(margins.argmin()))
    return [_picture(validation, int(indices[at]), card, bool(margins[at] > CLEAR_MARGIN)) for at in chosen]


def _picture(validation: Split, index: int, card: Card, clear: bool) -> GoldenPicture:
    """Return the picture as it is if it is small; else as prepared, which `prepare` leaves as it is."""
    image = validation.open(index)
    pixels = prepare(image, card)
    png = _png(image)
    if len(png) > MOST_PNG_BYTES:
        png = _png(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
        pixels = prepare(Image.open(io.BytesIO(png)), card)
    return GoldenPicture(png, pixels, clear)


def _png(image: Image.Image) -> bytes:
    packed = io.BytesIO()
    image.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def golden_json(pictures: Sequence[GoldenPicture], session: Session) -> list[dict[str, Any]]:
    """Return the card's `golden`: the scores are those of the artifact that `session` has open."""
    entries = []
    for picture in pictures:
        scores = session.scores(session.infer(session.tensor(picture.pixels)))
        kept = top_k(scores, TOP_SCORES if len(scores) > MOST_CLASSES else len(scores))
        entry = {
            "png": base64.b64encode(picture.png).decode(),
            "input_sha256": hashlib.sha256(picture.pixels.tobytes()).hexdigest(),
            "top1": kept[0],
            "clear": picture.clear,
            "scores": {str(index): round(float(scores[index]), 7) for index in sorted(kept)},
        }
        entries.append(entry)
    return entries


def tolerance_json(variant: Variant, session: Session) -> dict[str, Any]:
    """Return the card's `golden_tolerance`: absolute, anywhere and in the runtime and version of this session."""
    anywhere = {"float32": FLOAT_TOLERANCE, "float16": FLOAT_TOLERANCE}.get(variant.name, QUANTIZED_TOLERANCE)
    if variant.key == "float16.onnx":
        anywhere = HALF_TOLERANCE
    own = ONE_STEP * 1.01 if variant.key == "int8.tflite" else anywhere
    return {"scores": anywhere, "runtime": session.runtime, "runtime_version": session.runtime_version, "own_scores": own}
