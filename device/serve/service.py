"""What is served: facts about the model, and answers to pictures. Nothing here knows of HTTP but its status codes."""

from __future__ import annotations

import base64
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from device.card import Card
from device.commands import answer_document, refusal_document
from device.errors import EdgeproofError, PictureError
from device.inference import checked_infer, checked_scores, classify
from device.outputs import are_shares
from device.pictures.picture_files import PICTURE_ENDINGS
from device.pictures.steps import NEED_GRAY
from device.runtimes import Session
from device.serve.errors import Refused, tell
from device.serve.limits import Limits

BODY = "-"  # the name of what comes without one, as standard input has it
Reply = tuple[HTTPStatus, dict[str, Any]]


class Service:
    """A model that is open, and its answers, one picture at a time: a runtime and a small memory are there only once."""

    def __init__(self, session: Session, card: Card, min_score: float, top: int, limits: Limits) -> None:
        self.limits, self.top = limits, top
        self._session, self._card, self._min_score = session, card, min_score
        self._places, self._turn = threading.Semaphore(limits.pictures), threading.Semaphore(1)
        self._formats = picture_formats()

    def warm_up(self) -> None:
        """Answer an empty picture, so that the first real one is as fast as the others. Raises EdgeproofError."""
        empty = np.zeros((self._card.height, self._card.width, self._card.channels), np.uint8)
        checked_scores(self._session, checked_infer(self._session, self._session.tensor(empty)), self._card)

    def facts(self) -> dict[str, Any]:
        """Return what the page says of the model."""
        card, session = self._card, self._session
        return {
            "model": card.model,
            "variant": card.variant,
            "labels": list(card.labels),
            "input": [card.height, card.width, card.channels],
            "min_score": self._min_score,
            "reads_drawings": any(step.name in NEED_GRAY for step in card.preprocess),
            "runtime": session.runtime,
            "runtime_version": session.runtime_version,
            "most_bytes": self.limits.body_bytes,
        }

    def answer(self, picture: bytes, top: int, prepared: bool) -> Reply:
        """Classify a picture file: what --json prints of it, and if wanted the prepared picture. Raises Refused."""
        with self._held(self._turn):
            try:
                check_picture(picture, self._formats, self.limits.pixels)
                answer = classify(io.BytesIO(picture), self._session, self._card)
            except PictureError as error:
                return HTTPStatus.UNPROCESSABLE_ENTITY, refusal_document(BODY, error)
            except EdgeproofError as error:  # of the model: the next picture may be answered
                tell(str(error))
                return HTTPStatus.INTERNAL_SERVER_ERROR, {"file": BODY, "error": str(error)}
        document = answer_document(BODY, answer, self._card.labels, top, self._min_score)
        if prepared:
            document.update(prepared=_picture_document(answer.pixels), shares=are_shares(answer.scores))
        return HTTPStatus.OK, document

    def place(self) -> AbstractContextManager[None]:
        """Hold one of the places for a picture, from before its body is read to its answer. Raises Refused."""
        return self._held(self._places)

    @contextmanager
    def _held(self, places: threading.Semaphore) -> Iterator[None]:
        if not places.acquire(timeout=self.limits.request_s):
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "busy with other pictures: try again later")
        try:
            yield
        finally:
            places.release()


def picture_formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats whose files are pictures (PICTURE_ENDINGS), as far as this Pillow reads them."""
    formats = Image.registered_extensions()
    return tuple(sorted({formats[ending] for ending in PICTURE_ENDINGS if ending in formats} & set(Image.OPEN)))


def check_picture(data: bytes, formats: tuple[str, ...], max_pixels: int) -> None:
    """Look at a picture's head before it is decoded. Raises PictureError for another format, or for too many pixels.

    A person who names a file chose it; here anybody sends one, and Pillow starts another program (Ghostscript) for some
    formats.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
            with Image.open(io.BytesIO(data), formats=formats) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise PictureError(f"too large: {error}") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"not a picture that is read here: {', '.join(formats)}") from error
    except Exception as error:  # as in read_picture
        raise PictureError(f"not a picture: {str(error) or type(error).__name__}") from error
    if width * height > max_pixels:
        raise PictureError(f"too large: {width}×{height}, at most {max_pixels:,} pixels are read: make it smaller")


def _picture_document(pixels: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Return a prepared picture (H, W, C) as a PNG file in base64, with its sides."""
    height, width, channels = pixels.shape
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)  # it does not travel far
    png = base64.b64encode(file.getvalue()).decode()
    return {"width": width, "height": height, "channels": channels, "png": png}
