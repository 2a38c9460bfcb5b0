"""Writing the card into a model file. device/formats/model_file.py reads it."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device.card import Card
from device.formats.model_file import CARD_KEY, LABELS_MEMBER, read_card, split_card

ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that the same model and card give the same bytes


def embed(path: Path, document: Mapping[str, Any]) -> Card:
    """Put a card into a `.tflite` or `.onnx` file that has none and return it as a device will read it.

    The model's own bytes stay as they are; their hash is added to the card. Raises CardError for a card that a device
    would refuse.
    """
    data = path.read_bytes()
    own, _ = split_card(path, data)  # for a .tflite, without the files that standard metadata keeps behind it
    complete = {**document, "model_sha256": hashlib.sha256(own).hexdigest()}
    text = json.dumps(complete, allow_nan=False, ensure_ascii=False)
    if path.suffix.lower() == ".onnx":
        path.write_bytes(data + _metadata_property(CARD_KEY, text))
    else:
        with zipfile.ZipFile(path, mode="a") as archive:
            archive.writestr(_member(CARD_KEY), text)
            if LABELS_MEMBER not in archive.namelist():
                archive.writestr(_member(LABELS_MEMBER), "\n".join(document["labels"]) + "\n")
    card = read_card(path)
    assert card is not None
    return card


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, ZIP_DATE)
    member.compress_type = zipfile.ZIP_STORED  # MediaPipe and Task Library refuse a model with a compressed member
    member.external_attr = 0o644 << 16
    return member


def _metadata_property(key: str, value: str) -> bytes:
    """Encode one entry of ModelProto.metadata_props (field 14: a message of key = 1, value = 2; onnx/onnx.proto).

    A repeated field may be anywhere in a protobuf message, so it can be appended without a change of the model's own bytes.
    """
    entry = _length_delimited(1, key.encode()) + _length_delimited(2, value.encode())
    return _length_delimited(14, entry)


def _length_delimited(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
