"""Model files with bad cards."""

import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from device.formats.model_file import CARD_KEY, split_card
from tests.robustness.corpus.defect import Bad, write
from tests.robustness.corpus.models import CLASSIFIES, GOOD, READY, good_card, signed, with_member

OPENS = CLASSIFIES + "|--self-test|--info"
OUTSIDE = "was-here"  # a member that would leave the place it is unpacked in
BOMB_BYTES = 1 << 30


# ---- cards ----------------------------------------------------------------------------------------------------------


WRONG_STEPS: tuple[tuple[str, list[Any], str], ...] = (
    ("unknown-step", [["gray"], ["sharpen_edges"]], "sharpen_edges"),
    ("unknown-parameter", [["resize", {"size": 28, "speed": 9}]], "speed"),
    ("impossible-size", [["resize", {"size": 10**9}]], "impossible size"),
    ("nan-size", [["resize", {"size": float("nan")}]], "NaN"),
    ("step-of-another-type", [["resize", ["size"]]], "resize"),
)


def _cards(folder: Path, own: bytes, text: str) -> Iterator[Bad]:
    """Write a valid model with each defective card."""
    kind, card = "card", good_card()
    yield Bad(write(folder / "card-missing.tflite", own), "card", "has no card", by="--self-test|convert show")
    _, other = split_card(READY / "mnist_cnn_crop.int8.tflite", (READY / "mnist_cnn_crop.int8.tflite").read_bytes())
    assert other is not None
    yield Bad(with_member(folder / "card-of-another-model.tflite", own, other), kind, "belongs to another model")
    for name, steps, says in WRONG_STEPS:
        yield Bad(signed(folder / f"card-with-{name}.tflite", own, card, preprocess=steps), kind, says)
    steps = [["gray"], ["resize", {"size": 30}], ["center_crop", {"size": 30}]]  # 30 of 28 pixels
    path = signed(folder / "card-with-steps-that-lead-elsewhere.tflite", own, card, preprocess=steps)
    yield Bad(path, kind, "the steps give", by=CLASSIFIES)
    for name, changes, says in (
        ("newer-schema", {"schema": 99}, "schema"),
        ("no-labels", {"labels": []}, "labels"),
        ("too-many-labels", {"labels": [str(number) for number in range(11)]}, "labels"),
        ("labels-of-numbers", {"labels": list(range(10))}, "labels"),
        ("another-input", {"input": {"height": 99, "width": 99, "channels": 3, "pixels": "0..255"}}, "input"),
        ("another-range", {"input": {"height": 28, "width": 28, "channels": 1, "pixels": "-1..1"}}, "pixels"),
        ("golden-of-a-number", {"golden": 7}, "golden"),
        ("golden-without-pictures", {"golden": [{"top1": 7}]}, "golden"),
        (
            "golden-that-is-no-base64",
            {"golden": [{"png": "!!!!!", "input_sha256": "", "scores": {}, "clear": True}]},
            "golden",
        ),
        ("session-of-text", {"session": {"disabled_optimizers": "all"}}, "session"),
        ("provenance-of-text", {"provenance": "from elsewhere"}, "provenance"),
        ("accuracy-of-a-list", {"accuracy": [0.99]}, "accuracy"),
    ):
        by = OPENS if name in ("too-many-labels", "another-input") else ""  # seen where the model is opened
        yield Bad(signed(folder / f"card-with-{name}.tflite", own, card, **changes), kind, says, by=by)
    for name, data in {
        "truncated-json": text.encode()[:200],
        "random-json": random.Random(0).randbytes(300),
        "nul-json": bytes(300),
        "nan-json": text.replace('"schema": 1', '"schema": NaN', 1).encode(),
        "duplicate-key": text.replace('"schema": 1', '"schema": 1, "schema": 1', 1).encode(),
        "huge-number": text.replace('"schema": 1', '"schema": ' + "9" * 6_000, 1).encode(),
        "deep-json": b"[" * 100_000,
        "list-json": b"[]",
        "latin-1": text.replace("mnist_cnn", "mnist_cnn\u00e4", 1).encode("latin-1"),
    }.items():
        yield Bad(with_member(folder / f"card-of-{name}.tflite", own, data), kind, "card")
    yield from _archives(folder, own, text.encode())


def _archives(folder: Path, own: bytes, text: bytes) -> Iterator[Bad]:
    """Write a valid model with harmful archives."""
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join([zeros.compress(bytes(1 << 20)) for _ in range(BOMB_BYTES >> 20)] + [zeros.flush()])
    for name, claimed in (("honest", BOMB_BYTES), ("lying", 2_000)):
        path = write(folder / f"zip-bomb-as-card-{name}.tflite", own + _archive(len(own), CARD_KEY.encode(), bomb, claimed))
        yield Bad(path, "ZIP bomb", "card")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = with_member(folder / f"zip-bomb-by-method-{method}.tflite", own, bytes(4 << 20), compress_type=method)
        yield Bad(path, "ZIP bomb", "card")
    path = write(folder / "path-traversal.tflite", own)
    with zipfile.ZipFile(path, "a") as archive:
        for name in (f"../{OUTSIDE}", str(folder.absolute() / OUTSIDE)):  # nothing may be written there
            archive.writestr(name, "out")
        archive.writestr(CARD_KEY, text)
    yield Bad(path, "path traversal", valid=True)
    yield Bad(write(folder / "zip-of-garbage.tflite", own + b"PK\x05\x06" + bytes(18)), "card", any_end=True)
    damaged = bytearray(GOOD.read_bytes())
    damaged[-10:] = b"\xff" * 10
    yield Bad(write(folder / "zip-directory-elsewhere.tflite", bytes(damaged)), "card", "card")


def _archive(begin: int, name: bytes, deflated: bytes, claimed: int) -> bytes:
    """Return a ZIP archive of one deflated member whose unpacked size is what it is claimed to be (APPNOTE.TXT 4.3)."""
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(deflated), claimed, len(name), 0)
    local = b"PK\x03\x04" + common + name + deflated
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, begin) + name
    end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), begin + len(local), 0)
    return local + entry + b"PK\x05\x06" + end
