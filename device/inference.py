"""One picture through the model: its scores, labels and times."""

from __future__ import annotations

import io
import sys
import time
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import numpy.typing as npt
from PIL import Image

from device.card import Card
from device.errors import ModelError, PictureError
from device.preprocessing.prepare import prepare, read_picture
from device.runtimes import Session, first_line


@dataclass(frozen=True)
class Answer:
    """The scores of one picture, float32 (classes,), its prepared pixels, uint8 (H, W, C), and the times in nanoseconds."""

    scores: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.uint8]
    decode_ns: int
    prepare_ns: int
    invoke_ns: int
    postprocess_ns: int

    @property
    def total_ns(self) -> int:
        """Return the sum of the four times, in nanoseconds."""
        return self.decode_ns + self.prepare_ns + self.invoke_ns + self.postprocess_ns


def classify(source: Union[str, io.BytesIO, Image.Image], session: Session, card: Card) -> Answer:
    """Decode a file ("-": standard input) or its bytes, prepare, invoke, dequantize. Raises PictureError if unusable."""
    start_ns = time.perf_counter_ns()
    if not isinstance(source, Image.Image):
        source = read_picture(_standard_input() if source == "-" else source)
    image = source
    decoded_ns = time.perf_counter_ns()
    pixels = prepare(image, card)
    tensor = session.tensor(pixels)
    prepared_ns = time.perf_counter_ns()
    output = checked_infer(session, tensor)
    invoked_ns = time.perf_counter_ns()
    scores = checked_scores(session, output, card)
    require_numbers(scores)
    end_ns = time.perf_counter_ns()
    spans_ns = (decoded_ns - start_ns, prepared_ns - decoded_ns, invoked_ns - prepared_ns, end_ns - invoked_ns)
    return Answer(scores, pixels, *spans_ns)


def _standard_input() -> io.BytesIO:
    """Read standard input. Raises PictureError where nothing can be read."""
    try:
        data = b"" if sys.stdin is None else sys.stdin.buffer.read()
    except (OSError, ValueError) as error:  # opened for writing only, or closed in the meantime
        raise PictureError(f"standard input cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not data:
        raise PictureError("standard input is closed or empty: send one picture, as in `classify.py MODEL - < photo.jpg`")
    return io.BytesIO(data)


def checked_infer(session: Session, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Run the model. Raises ModelError where the runtime fails; timing loops call `session.infer` directly."""
    try:
        return session.infer(tensor)
    except Exception as error:  # the runtimes raise exceptions of any class
        said = f"{session.runtime} {session.runtime_version} cannot run the model: {first_line(error)}"
        raise ModelError(said) from error


def checked_scores(session: Session, output: npt.NDArray[Any], card: Card) -> npt.NDArray[np.float32]:
    """Return the scores (classes,), float32. Raises ModelError where not every label has one."""
    scores = session.scores(output)
    if card.labels and len(scores) != len(card.labels):  # the shapes of a damaged model may change while it runs
        raise ModelError(f"the model answers {len(scores)} scores for {len(card.labels)} labels: copy it again")
    return scores


def are_numbers(scores: npt.NDArray[np.float32]) -> bool:
    """Say whether all scores are finite. NaN is on no side of a limit, so a comparison alone would not find it."""
    return bool(np.isfinite(scores).all())


def require_numbers(scores: npt.NDArray[np.float32]) -> None:
    """Raise ModelError where a score is not finite: such a picture has no answer, although argmax names one."""
    if not are_numbers(scores):
        raise ModelError("the model's scores are not numbers (NaN or infinite): its weights are damaged: copy it again")


def top_k(scores: npt.NDArray[np.float32], k: int) -> list[int]:
    """Return the indices of the k highest scores, highest first; ties go to the lowest index."""
    return [int(index) for index in np.argsort(-scores, kind="stable")[:k]]
