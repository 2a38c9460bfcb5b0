"""The golden pictures as a microcontroller gets them: input tensors, and the answers of LiteRT's reference kernels."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.child import Child, Crashed, Unexpected, Workplace
from convert.formats.reference_kernels import ReferenceSession
from convert.show import how_to_get_a_card
from device.card import Card
from device.errors import CardError, CheckFailed
from device.formats.model_file import read_card
from device.preprocessing.prepare import prepare, read_picture


@dataclass(frozen=True)
class End:
    """The input or the output of a model: real = (value − zero_point) · scale; scale 0: not quantized."""

    values: npt.NDArray[Any]  # (pictures, values of one), in the model's own type
    scale: float
    zero_point: int


@dataclass(frozen=True)
class GoldenVectors:
    """The golden pictures' tensors, and their expected answers."""

    inputs: End
    outputs: End

    @property
    def pictures(self) -> int:
        """Return the number of golden pictures."""
        return len(self.inputs.values)


def golden_vectors(path: Path) -> GoldenVectors:
    """Answer an artifact's golden pictures in a process of its own. Raises EdgeproofError where that cannot be."""
    try:
        with Child(lambda _: None) as child:
            return child.run(_in_child, path)
    except (Crashed, Unexpected) as error:
        raise CheckFailed(f"{path}: LiteRT's reference kernels cannot run it: {error}") from error


def card_with_golden_pictures(path: Path) -> Card:
    """Return an artifact's card. Raises CardError where it has none, or where the card has no golden pictures."""
    card = read_card(path)
    if card is None:
        raise CardError(f"{path}: has no card: {how_to_get_a_card(path)}")
    if not card.document.get("golden"):
        raise CardError(f"{path}: its card has no golden pictures, which prove the answers: convert the model again")
    return card


def _in_child(_: Workplace, path: Path) -> GoldenVectors:
    card = card_with_golden_pictures(path)
    session = ReferenceSession(path, card)
    entries = card.document["golden"]
    pictures = [prepare(read_picture(io.BytesIO(base64.b64decode(entry["png"]))), card) for entry in entries]
    tensors = [session.tensor(pixels) for pixels in pictures]
    answers = [session.infer(tensor) for tensor in tensors]
    return GoldenVectors(_end(tensors, session.ends[0]), _end(answers, session.ends[1]))


def _end(tensors: list[npt.NDArray[Any]], details: dict[str, Any]) -> End:
    scale, zero_point = details["quantization"]
    return End(np.stack([np.array(tensor).reshape(-1) for tensor in tensors]), float(scale), int(zero_point))
