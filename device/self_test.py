"""The self-test: the golden pictures inside a model file, answered again."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from device.card import Card
from device.errors import CardError
from device.inference import are_numbers, checked_infer, checked_scores, top_k
from device.preprocessing.prepare import prepare, read_picture
from device.runtimes import Session

# Quantized scores near the decision border vary by up to 0.19 between onnxruntime on x86 and on ARM, where clear ones differ
# by 0.016. There only exact scores are compared: float, and int8 within one step of 1/256 in LiteRT.
MAX_NEAR_THE_BORDER = 1.01 / 256


@dataclass(frozen=True)
class Check:
    """One comparison of the self-test: the card's field, whether it passed, and what was found."""

    field: str
    passed: bool
    found: str


def self_test(session: Session, card: Card) -> list[Check]:
    """Classify the golden pictures inside the card and compare input, top-1 and scores with the card.

    The prepared input must be equal in every bit. Top-1 and scores are compared for pictures whose margin is clear;
    near the decision border only scores, and only where runtime and version are those of the card and its tolerance
    is one step or less. Raises CardError without golden pictures.
    """
    golden, tolerance = card.document.get("golden"), card.document.get("golden_tolerance")
    if not isinstance(golden, list) or not golden or not isinstance(tolerance, dict):
        raise CardError("the card holds no golden pictures: convert the model again")
    own = (session.runtime, session.runtime_version) == (tolerance.get("runtime"), tolerance.get("runtime_version"))
    checks: list[Check] = []
    for number, entry in enumerate(golden):
        try:
            checks += _check_golden(f"golden[{number}]", entry, session, card, own)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OSError) as error:
            raise CardError(f"card field golden[{number}]: cannot be read ({error!r}): convert the model again") from error
    return checks


def _check_golden(name: str, entry: Mapping[str, Any], session: Session, card: Card, own: bool) -> Iterator[Check]:
    pixels = prepare(read_picture(io.BytesIO(base64.b64decode(entry["png"]))), card)
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    same = digest == entry["input_sha256"]
    yield Check(f"{name}.input_sha256", same, "prepared as on the machine that converted" if same else f"found {digest}")
    scores = checked_scores(session, checked_infer(session, session.tensor(pixels)), card)
    if not are_numbers(scores):
        yield Check(f"{name}.scores", False, "are not numbers (NaN or infinite)")
        return
    expected, clear = {int(index): score for index, score in entry["scores"].items()}, bool(entry["clear"])
    worst = max(abs(float(scores[index]) - score) for index, score in expected.items())
    if clear:
        best = top_k(scores, 1)[0]
        answer = f"{card.labels[best]}, expected {card.labels[entry['top1']]}"
        yield Check(f"{name}.top1", best == entry["top1"], answer)
    limit = card.document["golden_tolerance"]["own_scores" if own else "scores"]
    if clear or (own and limit <= MAX_NEAR_THE_BORDER):
        yield Check(f"{name}.scores", worst <= limit, f"differ by at most {worst:.2g}, allowed {limit:.2g}")
