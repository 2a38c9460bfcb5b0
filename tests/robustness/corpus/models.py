"""Defective models: `.tflite` files made from data/ready, `.onnx` files made from a model that is built here."""

import hashlib
import json
import random
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from common.paths import DATA
from device.formats.model_file import CARD_KEY, split_card
from tests.robustness.corpus.defect import write

READY = DATA / "ready"
GOOD = READY / "mnist_cnn.int8.tflite"
FLIPS = 200
CLASSIFIES = "PICTURE|tflite-runtime"  # the commands that open a model and run it
Card = dict[str, Any]


@cache
def good_tflite() -> tuple[bytes, str]:
    """Return the bytes of a valid model without its card, and the JSON of its card."""
    own, text = split_card(GOOD, GOOD.read_bytes())
    assert text is not None
    return own, text.decode()


def good_card() -> Card:
    """Return the card of the valid model, to be changed."""
    card: Card = json.loads(good_tflite()[1])
    return card


def signed(path: Path, own: bytes, card: Card, **changes: Any) -> Path:
    """Write a `.tflite` whose card says that it belongs to these bytes, whatever both contain."""
    document = {**card, "model_sha256": hashlib.sha256(own).hexdigest(), **changes}
    return with_member(path, own, json.dumps(document).encode())


def with_member(path: Path, own: bytes, text: bytes, **zipped: Any) -> Path:
    """Write a `.tflite` with these bytes as its card."""
    write(path, own)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD_KEY, text, **zipped)
    return path


def flips(data: bytes, seed: int = 0, count: int = FLIPS) -> Iterator[bytes]:
    """Yield copies with one bit changed. Half of the bits are in the first and last 4 kB, where the structure is."""
    chosen = random.Random(seed)
    for number in range(count):
        ends = chosen.choice((chosen.randrange(4_096), len(data) - 1 - chosen.randrange(4_096)))
        at = ends if number % 2 else chosen.randrange(len(data))
        changed = bytearray(data)
        changed[at] ^= 1 << chosen.randrange(8)
        yield bytes(changed)


def truncations(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield copies of the data that are cut off after every kilobyte."""
    for kilobytes in range(1, -(-len(data) // 1_024)):
        yield kilobytes, data[: kilobytes * 1_024]
