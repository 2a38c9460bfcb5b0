"""Golden examples: pictures with their prepared hash and their scores, by which an artifact proves itself anywhere."""

import base64
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from convert.variant import Variant
from convert.verify import ONE_STEP, margins
from device.classify import Card, Session, prepare, top_k
from train.data import Pixels, Split

CLEAR_MARGIN = 0.9  # between the two highest scores: above it every runtime gives the same top-1
MOST_CLASSES = 10  # with more, or with large pictures, one picture for each of the first MOST_PICTURES
MOST_PICTURES = 8
MOST_BYTES = 150_000  # of all pictures; base64 makes 200 kB of it
FEWER_COLOURS = (256, 64, 16, 4, 2)  # tried in turn for a picture that is too large
TOP_SCORES = 5  # kept of a model with over MOST_CLASSES classes

# Absolute differences of scores that were seen, between runtimes and between x86 and ARM, with room (facts of the project:
# float 4e-7, dynamic 0.018, int8 4 steps of 1/256 where the margin is clear).
FLOAT_TOLERANCE = 1e-5
HALF_TOLERANCE = 2e-3
QUANTIZED_TOLERANCE = 0.04


@dataclass(frozen=True)
class GoldenPicture:
    """One picture as PNG, what `prepare` makes of it (H, W, C), and whether its margin is clear."""

    png: bytes
    pixels: Pixels
    clear: bool


def choose(
    validation: Split,
    indices: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
    card: Card,
    answer: Callable[[Pixels], npt.NDArray[np.float32]],
) -> list[GoldenPicture]:
    """Choose one picture a class with a clear margin, and the one nearest to the decision border.

    `probabilities` (N, classes) are Keras's for the validation pictures at `indices` (N,), and `answer` gives them for
    other pixels (N, H, W, C). A class without a clear answer gives the clearest it has. Where these are fewer
    than MOST_PICTURES, the clearest of the others are added.
    """
    margin, answers = margins(probabilities), probabilities.argmax(axis=1)
    truth = validation.labels[indices] if validation.labelled else answers
    classes = len(card.labels)
    most = classes if classes <= MOST_CLASSES else MOST_PICTURES
    chosen: list[int] = []
    for label in range(classes):
        right = np.flatnonzero((truth == label) & (answers == label))
        if len(right) and len(chosen) < most:
            chosen.append(int(right[margin[right].argmax()]))
    clearest = [int(at) for at in np.argsort(-margin, kind="stable") if at not in chosen]
    chosen += clearest[: max(0, MOST_PICTURES - len(chosen))]
    if (border := int(margin.argmin())) not in chosen:
        chosen.append(border)
    limit_bytes = MOST_BYTES // len(chosen)
    return [
        _picture(validation, int(indices[at]), card, bool(margin[at] > CLEAR_MARGIN), limit_bytes, answer) for at in chosen
    ]


def _picture(
    validation: Split,
    index: int,
    card: Card,
    clear: bool,
    limit_bytes: int,
    answer: Callable[[Pixels], npt.NDArray[np.float32]],
) -> GoldenPicture:
    """Return the picture as it is if it is small; else as prepared, which `prepare` leaves as it is.

    A prepared one that is still too large is kept in fewer colours: another picture, so Keras is asked again about it.
    """
    image = validation.open(index)
    pixels = prepare(image, card)
    png = _png(image)
    if len(png) <= limit_bytes:
        return GoldenPicture(png, pixels, clear)
    prepared = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    png = _png(prepared)
    for colours in FEWER_COLOURS:
        if len(png) <= limit_bytes:
            break
        png = _png(prepared.quantize(colours))
    pixels = prepare(Image.open(io.BytesIO(png)), card)
    return GoldenPicture(png, pixels, bool(margins(answer(pixels[None]))[0] > CLEAR_MARGIN))


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
