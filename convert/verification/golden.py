"""Golden pictures: with them an artifact can check itself on any machine.

Each has the hash of its prepared input, and its scores.
"""

import base64
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from convert.variants import QUANTIZED, Variant
from convert.verification.verify import ONE_STEP, margins
from device.card import Card
from device.inference import top_k
from device.preprocessing.prepare import prepare
from device.runtimes import Session
from train.data.dataset import Pixels, Split

CLEAR_MARGIN = 0.9  # between the two highest scores: above it every runtime gives the same top-1
MAX_CLASSES = 10  # with more classes, there is one picture for each of the first MAX_PICTURES
MAX_PICTURES = 8
MAX_BYTES = 150_000  # of all pictures; 200 kB in base64
FEWER_COLOURS = (256, 64, 16, 4, 2)  # tried in this order for a picture that is too large
TOP_SCORES = 5  # kept for a model with more than MAX_CLASSES classes


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
    """Choose for each class the rightly answered picture with the largest margin, and the picture with the smallest of all.

    `probabilities` (N, classes) are Keras's for the validation pictures at `indices` (N,); `answer` computes them for
    other pixels (N, H, W, C). With over MAX_CLASSES classes, only MAX_PICTURES classes get one. If there are fewer than
    MAX_PICTURES pictures, more are added, the largest margin first.
    """
    margin, answers = margins(probabilities), probabilities.argmax(axis=1)
    truth = validation.labels[indices] if validation.labelled else answers
    classes = len(card.labels)
    most = classes if classes <= MAX_CLASSES else MAX_PICTURES
    chosen: list[int] = []
    for label in range(classes):
        right = np.flatnonzero((truth == label) & (answers == label))
        if len(right) and len(chosen) < most:
            chosen.append(int(right[margin[right].argmax()]))
    clearest = [int(at) for at in np.argsort(-margin, kind="stable") if at not in chosen]
    chosen += clearest[: max(0, MAX_PICTURES - len(chosen))]
    if (border := int(margin.argmin())) not in chosen:
        chosen.append(border)
    limit_bytes = MAX_BYTES // len(chosen)
    return [
        packed(validation.open(int(indices[at])), card, bool(margin[at] > CLEAR_MARGIN), limit_bytes, answer)
        for at in chosen
    ]


def packed(
    image: Image.Image, card: Card, clear: bool, limit_bytes: int, answer: Callable[[Pixels], npt.NDArray[np.float32]]
) -> GoldenPicture:
    """Return the picture as it is if it is small, else the prepared picture, which `prepare` does not change again.

    If the prepared picture is still too large, it is kept in fewer colours. That changes the picture, so `answer` is called
    for it.
    """
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
    """Return the card's field `golden`, with the scores of the artifact that `session` has open."""
    entries = []
    for picture in pictures:
        scores = session.scores(session.infer(session.tensor(picture.pixels)))
        kept = top_k(scores, TOP_SCORES if len(scores) > MAX_CLASSES else len(scores))
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
    """Return the card's field `golden_tolerance`: absolute, for any runtime and for this session's runtime and version."""
    anywhere = variant.answers.golden_tolerance
    own = ONE_STEP * 1.01 if variant.types.ends == "UINT8" else anywhere
    return {"scores": anywhere, "runtime": session.runtime, "runtime_version": session.runtime_version, "own_scores": own}


def tolerance_as_it_is(session: Session) -> dict[str, Any]:
    """Return the `golden_tolerance` of a file that was not converted here: its arithmetic is not known."""
    return {
        "scores": QUANTIZED.golden_tolerance,
        "runtime": session.runtime,
        "runtime_version": session.runtime_version,
        "own_scores": ONE_STEP,
    }
