"""A model file and the card inside it: finding, splitting, reading."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path, PurePath
from typing import Optional

from device.card import Card
from device.errors import CardError, EdgeproofError, ModelError
from device.files import archive_errors, parse_json, read_bytes
from device.formats.protobuf_reader import fields
from device.formats.tflite_check import check_tflite

CARD_KEY = "edgeproof/card.json"  # ZIP member in a .tflite, metadata_props key in an .onnx
LABELS_MEMBER = "labels.txt"
MODEL_LIMIT_BYTES = 1 << 31  # of a flatbuffer, and of a protobuf message
KERAS_ADVICE = ": `edgeproof convert run` makes one of it"
PYTORCH_ADVICE = ", weights of PyTorch: export the model with torch.onnx.export, and give that to `edgeproof convert run`"
SOURCES = {  # what is converted first, by its ending
    **dict.fromkeys((".keras", ".h5", ".hdf5", ".pb"), KERAS_ADVICE),
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".safetensors"), PYTORCH_ADVICE),
}
CARD_LIMIT_BYTES = 4 << 20  # a card has some kilobytes; a larger one is damaged or hostile


def read_card(path: Path) -> Optional[Card]:
    """Return the card inside a `.tflite` or `.onnx` file, or None where there is none.

    Raises ModelError for an unreadable file, CardError for a card that is damaged or belongs to another model.
    """
    own, text = split_card(path, read_model_bytes(path))
    if path.suffix.lower() == ".tflite":
        check_tflite(path, own)
    else:
        external_weights(path, own)
    if text is None:
        return None
    try:
        card = Card.from_json(parse_json(text))
    except (ValueError, RecursionError) as error:
        raise CardError(f"{path}: the card is not readable JSON: {error}") from error
    except CardError as error:
        raise CardError(f"{path}: {error}") from error
    expected = card.document.get("model_sha256")
    if expected != hashlib.sha256(own).hexdigest():
        raise CardError(
            f"{path}: card field model_sha256: the card belongs to another model, or the file was changed: convert again"
        )
    return card


def model_size_bytes(path: Path) -> int:
    """Return the size of a model with the files beside it that hold its weights. Raises ModelError as `external_weights`."""
    try:
        beside = external_weights(path, read_model_bytes(path)) if path.suffix.lower() == ".onnx" else ()
        return sum(file.stat().st_size for file in (path, *beside))
    except OSError:  # a model inside an archive
        return len(read_model_bytes(path))


def whole_model(path: Path) -> bytes:
    """Read a model that is packed or copied alone. Raises ModelError where files beside it hold its weights."""
    data = read_model_bytes(path)
    if model_format(path, data) == "onnx" and (beside := external_weights(path, data)):
        raise ModelError(
            f"{path}: its weights are in {beside[0].name}, and one file is packed or kept: save it with its weights inside, "
            "onnx.save(onnx.load(FILE), NEW_FILE)"
        )
    return data


def external_weights(path: Path, data: bytes) -> list[Path]:
    """Return the files that hold an ONNX model's weights (`x.onnx.data`).

    Raises ModelError for a missing file, and for one outside of the model's folder: an untrusted model could
    name any file of this machine.
    """
    if b"location" not in data:  # each tensor with external data has it
        return []
    from device.formats.onnx_graph import external_files

    try:
        names = external_files(data)
    except (IndexError, ValueError) as error:
        raise ModelError(f"{path}: is no ONNX model or is cut off ({error}): copy it again") from error
    found = []
    for name in names:
        file = path.parent / name
        if not name or PurePath(name).is_absolute() or ".." in PurePath(name).parts or "\\" in name or "\0" in name:
            raise ModelError(f"{path}: its weights are in {name[:80]!r}, outside of its folder: not opened")
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise ModelError(f"{path}: its weights are in {name[:80]!r}, which leads outside of its folder: not opened")
        if not file.is_file():
            raise ModelError(f"{path}: its weights are in {name[:80]!r}, which is missing beside it: copy both files")
        found.append(file)
    return found


def split_card(path: Path, data: bytes) -> tuple[bytes, Optional[bytes]]:
    """Split a model file's content into the model's own bytes and the card's JSON, if it has one."""
    split = _split_tflite if model_format(path, data) == "tflite" else _split_onnx
    return split(path, data)


def read_model_bytes(path: Path) -> bytes:
    """Read a model file. Raises ModelError for a file that is missing, no file, or empty."""
    if path.is_file() and (size := path.stat().st_size) > MODEL_LIMIT_BYTES:
        raise ModelError(f"{path}: has {size / 1e9:.1f} GB, a .tflite or .onnx file has at most 2 GB: copy it again")
    try:
        data = read_bytes(path)
    except EdgeproofError as error:
        raise ModelError(f"{error}: expected a .tflite or .onnx file") from error
    if not data:
        raise ModelError(f"{path}: is empty (0 bytes), expected a .tflite or .onnx file: copy it again")
    return data


def model_format(path: Path, data: bytes) -> str:
    """Return "tflite" or "onnx" by the file's name and first bytes. Raises ModelError for anything else."""
    if path.suffix.lower() == ".tflite":
        if data[4:8] != b"TFL3":  # the identifier that every TFLite flatbuffer carries
            raise ModelError(f"{path}: is no TFLite model (no TFL3 identifier), {len(data)} bytes: copy it again")
        return "tflite"
    if path.suffix.lower() == ".onnx":
        return "onnx"
    found = f"{path}: expected a file that ends in .tflite or .onnx, found {path.suffix or 'no ending'!r}"
    raise ModelError(f"{found}{SOURCES.get(path.suffix.lower(), '')}")


def _split_tflite(path: Path, data: bytes) -> tuple[bytes, Optional[bytes]]:
    """Split a .tflite into the model's own bytes and its card, an appended ZIP archive, if it has one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            own = data[: min((member.header_offset for member in members), default=len(data))]
            for member in members:
                if member.filename == CARD_KEY:
                    if member.file_size > CARD_LIMIT_BYTES:
                        raise CardError(f"{path}: the card claims {member.file_size} bytes, over {CARD_LIMIT_BYTES}")
                    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                        raise CardError(f"{path}: the card is compressed by method {member.compress_type}: convert again")
                    with archive.open(member) as file:  # read(n) unpacks at most n bytes of compressed data
                        return own, file.read(CARD_LIMIT_BYTES)
            return own, None
    except zipfile.BadZipFile as error:
        if CARD_KEY.encode() in data:  # there was a card
            raise CardError(f"{path}: the appended card is damaged ({error}): copy the file again") from error
        return data, None
    except archive_errors() as error:
        raise CardError(f"{path}: the appended card cannot be read ({error}): copy the file again") from error


def _split_onnx(path: Path, data: bytes) -> tuple[bytes, Optional[bytes]]:
    """Split an .onnx into the bytes of all other fields and its card, a string in ModelProto.metadata_props (field 14)."""
    own: list[memoryview] = []
    card: Optional[bytes] = None
    try:
        for number, value, whole in fields(data):
            if number == 14:
                pair = {key: bytes(text) for key, text, _ in fields(value)}
                if pair.get(1) == CARD_KEY.encode():
                    card = pair.get(2, b"")
                    continue
            own.append(whole)
    except (IndexError, ValueError) as error:
        raise ModelError(f"{path}: is no ONNX model or is cut off ({error}): copy it again") from error
    return b"".join(own), card
