#!/usr/bin/env python3
"""Classify pictures with one model file: copy this file and a `.tflite` (or `.onnx`) to a device and run it.

Needs numpy, Pillow and one runtime (ai-edge-litert, tflite-runtime or tensorflow for `.tflite`; onnxruntime for
`.onnx`) and nothing else. Labels and preprocessing come from the card that is inside the model file. `prepare` is the
only preprocessing of the whole project: training, calibration and the accuracy runs call it too.

Written for Python 3.9 and newer, numpy 1 and 2.
"""

from __future__ import annotations

import argparse
import base64
import glob
import hashlib
import importlib
import io
import json
import math
import os
import signal
import sys
import time
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, NamedTuple, NoReturn, Optional, Union

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageOps

CARD_SCHEMA = 1
CARD_KEY = "edgeproof/card.json"  # ZIP member in a .tflite, metadata_props key in an .onnx
LABELS_MEMBER = "labels.txt"
CARD_LIMIT_BYTES = 4 << 20  # a card is some kilobytes; more is a damaged or hostile file
TENSOR_LIMIT_VALUES = 1 << 28  # a gigabyte of float32; a picture of 8192 x 8192 x 3 has less

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


class EdgeproofError(Exception):
    """Unusable input or wrong usage: the message says what, what was found and what to do. The command ends with 2."""

    exit_code = EXIT_USAGE


class CheckFailed(EdgeproofError):
    """Something that was asked for failed although the input was usable. The command ends with 1."""

    exit_code = EXIT_FAILED


class CardError(EdgeproofError):
    """The card in a model file is missing, damaged, or does not belong to the model."""


class PictureError(EdgeproofError):
    """A file that cannot be read as a picture, or a picture that the steps cannot use."""


class NoDigit(PictureError):
    """No ink was found in the picture."""


class SeveralDigits(PictureError):
    """More than one digit was found in the picture."""


class ModelError(EdgeproofError):
    """A model file that cannot be read or that a runtime refuses."""


class RuntimeMissing(EdgeproofError):
    """A runtime that is not installed here."""


# ---- text from strangers: cards, labels and file names may come from anybody ----------------------------------------

NEWLINE = "\n"
TURNED = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # make text read otherwise than it is
OBEYED = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of what a terminal obeys, cannot encode, or breaks a line at


def printable(text: str, keep: str = "") -> str:
    """Return text as a terminal may have it: what it would obey (but `keep`) is written out as its escape."""
    return "".join(
        letter.encode("unicode_escape").decode() if _is_obeyed(letter) and letter not in keep else letter for letter in text
    )


def _is_obeyed(letter: str) -> bool:
    return letter in TURNED or unicodedata.category(letter) in OBEYED


# ---- the card -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One named preprocessing step with its parameters, as it stands in the card's `preprocess` list."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> list[Any]:
        return [self.name, dict(self.parameters)] if self.parameters else [self.name]

    @staticmethod
    def from_json(entry: object) -> Step:
        """Read `["name"]` or `["name", {parameters}]`. Raises CardError for an unknown step or parameter."""
        if not (isinstance(entry, list) and 1 <= len(entry) <= 2 and isinstance(entry[0], str)):
            raise CardError(f"card field preprocess: found {entry!r}, expected [name] or [name, {{parameters}}]")
        name, parameters = entry[0], entry[1] if len(entry) == 2 else {}
        if name not in STEPS:
            known = ", ".join(sorted(STEPS))
            raise CardError(
                f"card field preprocess: unknown step {name!r}; this classify.py knows {known}: take a newer classify.py"
            )
        if not isinstance(parameters, dict):
            raise CardError(f"card field preprocess: the parameters of step {name!r} are not an object: {parameters!r}")
        check_parameters(name, parameters)
        return Step(name, parameters)


@dataclass(frozen=True)
class Card:
    """What a model file says of itself. `document` is the whole card as it was read, `model_sha256` and all."""

    model: str
    variant: str
    labels: tuple[str, ...]
    height: int
    width: int
    channels: int
    preprocess: tuple[Step, ...]
    document: Mapping[str, Any]

    @staticmethod
    def from_json(document: object) -> Card:
        """Check the fields that this file needs. Raises CardError that names the field."""
        if not isinstance(document, dict):
            raise CardError(f"the card is not a JSON object but {type(document).__name__}")
        schema = _card_field(document, "schema", int)
        if not 1 <= schema <= CARD_SCHEMA:
            raise CardError(
                f"card field schema: this classify.py reads cards up to schema {CARD_SCHEMA}, the card has {schema}: "
                f"take a classify.py that reads schema {schema}"
            )
        labels = _card_field(document, "labels", list)
        if not labels or not all(isinstance(label, str) for label in labels):
            raise CardError("card field labels: expected a list of at least one string")
        for number, label in enumerate(labels):
            _check_text(f"labels[{number}]", label)
        if isinstance(document.get("name"), str):
            _check_name("name", document["name"])
        shape = _card_field(document, "input", dict)
        sides = [_card_field(shape, name, int, "input.") for name in ("height", "width", "channels")]
        if min(sides) < 1 or max(sides) > 8192 or sides[2] not in (1, 3):
            raise CardError(f"card field input: impossible height, width, channels {sides}")
        if shape.get("pixels") != "0..255":
            raise CardError(f"card field input.pixels: found {shape.get('pixels')!r}, expected '0..255'")
        _check_optional_fields(document)
        return Card(
            model=_check_name("model", _card_field(document, "model", str)),
            variant=_check_name("variant", _card_field(document, "variant", str)),
            labels=tuple(labels),
            height=sides[0],
            width=sides[1],
            channels=sides[2],
            preprocess=tuple(Step.from_json(entry) for entry in _card_field(document, "preprocess", list)),
            document=document,
        )


OPTIONAL_FIELDS = {
    "name": str,
    "golden": list,
    "golden_tolerance": dict,
    "accuracy": dict,
    "session": dict,
    "min_runtime": str,
    "provenance": dict,
}


def _check_optional_fields(document: dict[str, Any]) -> None:
    for name, kind in OPTIONAL_FIELDS.items():
        if document.get(name) is not None:
            _card_field(document, name, kind)
    _check_golden_fields(document.get("golden") or [])
    for name, values in (document.get("session") or {}).items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise CardError(f"card field session.{name}: found {values!r}, expected a list of strings")


def _check_golden_fields(golden: Sequence[Any]) -> None:
    for number, entry in enumerate(golden):
        if not isinstance(entry, dict) or not isinstance(entry.get("png"), str):
            raise CardError(f"card field golden[{number}]: expected an object with a picture, png")
        try:
            base64.b64decode(entry["png"], validate=True)
        except ValueError as error:
            raise CardError(f"card field golden[{number}].png: is no base64: {error}") from error


def _card_field(document: Mapping[str, Any], name: str, kind: type, prefix: str = "") -> Any:
    value = document.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = "nothing" if name not in document else type(value).__name__
        raise CardError(f"card field {prefix}{name}: found {found}, expected {kind.__name__}")
    return value


def _check_text(field: str, text: str) -> str:
    """Return text. Raises CardError for one that a terminal would obey."""
    if any(map(_is_obeyed, text)):
        raise CardError(f"card field {field}: {text[:40]!r} holds control characters: remove them")
    return text


def _check_name(field: str, text: str) -> str:
    """Return a name. Raises CardError for one that could not name a file, or would name one elsewhere."""
    if not text or text.startswith(".") or "/" in text or "\\" in text:
        raise CardError(f"card field {field}: found {text[:40]!r}, expected a name without slashes and a leading dot")
    return _check_text(field, text)


def read_card(path: Path) -> Optional[Card]:
    """Return the card inside a `.tflite` or `.onnx` file, or None where there is none.

    Raises ModelError for an unreadable file, CardError for a card that is damaged or belongs to another model.
    """
    own, text = split_card(path, read_model_bytes(path))
    if path.suffix == ".tflite":
        check_tflite(path, own)
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


def split_card(path: Path, data: bytes) -> tuple[bytes, Optional[bytes]]:
    """Split a model file's content into the model's own bytes and the card's JSON, if it has one."""
    split = _split_tflite if model_format(path, data) == "tflite" else _split_onnx
    return split(path, data)


def read_bytes(path: Path) -> bytes:
    """Read a whole file. Raises EdgeproofError for what is missing or no file: reading from a FIFO would wait for ever."""
    try:
        if path.is_dir():
            raise EdgeproofError(f"{path}: is a folder")
        if path.exists() and not path.is_file():
            raise EdgeproofError(f"{path}: is no regular file")
        return path.read_bytes()
    except OSError as error:
        raise EdgeproofError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise EdgeproofError(f"{str(path)!r}: cannot be read: {error}") from error


def parse_json(text: Union[str, bytes]) -> Any:
    """Parse JSON as the standard has it. Raises ValueError for NaN, Infinity and a key that stands twice in one object.

    Python's parser takes all of these, and of two values the last: another reader may take the first.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON has")


def read_model_bytes(path: Path) -> bytes:
    """Read a model file. Raises ModelError for a file that is missing, no file, or empty."""
    try:
        data = read_bytes(path)
    except EdgeproofError as error:
        raise ModelError(f"{error}: expected a .tflite or .onnx file") from error
    if not data:
        raise ModelError(f"{path}: is empty (0 bytes), expected a .tflite or .onnx file: copy it again")
    return data


def model_format(path: Path, data: bytes) -> str:
    """Return "tflite" or "onnx" by the file's name and first bytes. Raises ModelError for anything else."""
    if path.suffix == ".tflite":
        if data[4:8] != b"TFL3":  # the identifier that every TFLite flatbuffer carries
            raise ModelError(f"{path}: is no TFLite model (no TFL3 identifier), {len(data)} bytes: copy it again")
        return "tflite"
    if path.suffix == ".onnx":
        return "onnx"
    raise ModelError(f"{path}: expected a file that ends in .tflite or .onnx, found {path.suffix or 'no ending'!r}")


def _split_tflite(path: Path, data: bytes) -> tuple[bytes, Optional[bytes]]:
    """Split a .tflite into the model's own bytes and its card (a ZIP archive that was appended), if it has one."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            own = data[: min((member.header_offset for member in members), default=len(data))]
            for member in members:
                if member.filename == CARD_KEY:
                    if member.file_size > CARD_LIMIT_BYTES:
                        raise CardError(f"{path}: the card claims {member.file_size} bytes, over {CARD_LIMIT_BYTES}")
                    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                        raise CardError(f"{path}: the card is compressed by method {member.compress_type}: convert again")
                    with archive.open(member) as file:  # of deflated data, read(n) alone unpacks no more than n bytes
                        return own, file.read(CARD_LIMIT_BYTES)
            return own, None
    except zipfile.BadZipFile as error:
        if CARD_KEY.encode() in data:  # a card was there once
            raise CardError(f"{path}: the appended card is damaged ({error}): copy the file again") from error
        return data, None
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise CardError(f"{path}: the appended card cannot be read ({error}): copy the file again") from error


def _split_onnx(path: Path, data: bytes) -> tuple[bytes, Optional[bytes]]:
    """Split an .onnx into the bytes of all other fields and its card, a string in ModelProto.metadata_props (field 14).

    The wire format is walked by hand (protobuf.dev/programming-guides/encoding), so that a device needs no onnx.
    """
    own: list[bytes] = []
    card: Optional[bytes] = None
    try:
        for number, value, whole in _protobuf_fields(data):
            if number == 14:
                pair = {key: text for key, text, _ in _protobuf_fields(value)}
                if pair.get(1) == CARD_KEY.encode():
                    card = pair.get(2, b"")
                    continue
            own.append(whole)
    except (IndexError, ValueError) as error:
        raise ModelError(f"{path}: is no ONNX model or is cut off ({error}): copy it again") from error
    return b"".join(own), card


def _protobuf_fields(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (field number, value, the field's whole bytes) of one protobuf message."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not byte & 0x80:
                return value, at
            if shift > 63:
                raise ValueError("a number of over 64 bits")

    at = 0
    while at < len(data):
        start = at
        key, at = varint(at)
        number, wire = key >> 3, key & 7
        begin = at
        if wire == 0:
            _, at = varint(at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, begin = varint(at)
            at = begin + length
        else:
            raise ValueError(f"wire type {wire} at byte {start}")
        if number == 0 or at > len(data):
            raise ValueError(f"field {number} at byte {start} ends at {at} of {len(data)}")
        yield number, data[begin:at], data[start:at]


# ---- what is in a .tflite -------------------------------------------------------------------------------------------
# A runtime follows the offsets in a flatbuffer wherever they lead (tflite-runtime 2.14 crashes on a file that is cut off),
# so they are followed here first. The layout is flatbuffers.dev/internals's, the fields are those of TensorFlow's schema.

# A table's fields by their numbers: the bytes of an item of a vector, the name of a table, a list of tables of a name. What
# is not here is a number.
_Kind = Union[int, str, list[str], None]
_TABLES: dict[str, dict[int, _Kind]] = {
    "model": {1: ["operator code"], 2: ["graph"], 3: 1, 4: ["buffer"], 5: 4, 6: ["named buffer"], 7: ["signature"]},
    "operator code": {1: 1},
    "graph": {0: ["tensor"], 1: 4, 2: 4, 3: ["operator"], 4: 1},
    "tensor": {0: 4, 3: 1, 4: "quantization", 6: "sparsity", 7: 4, 9: ["variant"]},
    "quantization": {0: 4, 1: 4, 2: 4, 3: 8, 5: "options"},
    "operator": {1: 4, 2: 4, 4: "options", 5: 1, 7: 1, 8: 4, 12: "options"},
    "buffer": {0: 1},
    "named buffer": {0: 1},
    "signature": {0: ["named buffer"], 1: ["named buffer"], 2: 1},
    "sparsity": {0: 4, 1: 4, 2: ["dimension"]},
    "dimension": {3: "numbers", 5: "numbers"},
    "variant": {0: 4},
    "numbers": {0: 1},
}
_OPTIONS_WITH_NUMBERS = (17, 30, 115)  # Reshape, Squeeze, Bucketize: of BuiltinOptions, those whose first field is a vector
_Span = tuple[int, int]  # of a vector: where its items begin, how many there are


class _Flatbuffer:
    """Reads tables, and raises ValueError for an offset that leads out of the file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = len(data) // 4  # tables that it has room for: offsets that share them could make a walk endless
        self._offsets: dict[int, tuple[int, ...]] = {}  # by the vtable's place: tables of one kind share it

    def number(self, at: int, size: int = 4, signed: bool = False) -> int:
        self._inside(at, size)
        return int.from_bytes(self._data[at : at + size], "little", signed=signed)

    def numbers(self, span: _Span) -> list[int]:
        """Return the items of a vector of int32."""
        return np.frombuffer(self._data, "<i4", span[1], span[0]).tolist() if span[1] else []

    def table(self, at: int, kind: str) -> dict[int, Any]:
        """Return a table's fields: where a number stands, the span of a vector, tables as such."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("more tables than it has room for")
        offsets = self._vtable(at - self.number(at, signed=True))
        self._inside(at, offsets[0])
        kinds = _TABLES.get(kind, {})
        return {number: self.field(at + offset, kinds.get(number)) for number, offset in enumerate(offsets[1:]) if offset}

    def field(self, at: int, kind: _Kind) -> Any:
        if kind is None:
            return at
        at += self.number(at)
        if isinstance(kind, str):
            return self.table(at, kind)
        count = self.number(at)
        self._inside(at + 4, count * (kind if isinstance(kind, int) else 4))
        if isinstance(kind, int):
            return at + 4, count
        return [self.table(item + self.number(item), kind[0]) for item in range(at + 4, at + 4 + 4 * count, 4)]

    def _vtable(self, at: int) -> tuple[int, ...]:
        """Return the size of a table, and where in it its fields stand; 0 for one that is not there."""
        if at not in self._offsets:
            size, entries = self.number(at + 2, 2), range(at + 4, at + self.number(at, 2), 2)
            offsets = tuple(self.number(entry, 2) for entry in entries)
            if size < 4 or any(offset and not 4 <= offset < size for offset in offsets):
                raise ValueError(f"a table of {size} bytes with fields outside of it, at byte {at}")
            self._offsets[at] = (size, *offsets)
        return self._offsets[at]

    def _inside(self, at: int, size: int) -> None:
        if at < 0 or at + size > len(self._data):
            raise ValueError(f"bytes {at} to {at + size} of {len(self._data)}")


def check_tflite(path: Path, data: bytes) -> None:
    """Follow every offset and index that a runtime follows in a model's own bytes.

    Raises ModelError for one that leads nowhere, and for a tensor that no picture classifier has memory for.
    """
    try:
        file = _Flatbuffer(data)
        model = file.table(file.number(0), "model")
        for graph in model[2]:
            _check_graph(file, graph, operator_codes=len(model[1]), buffers=len(model[4]))
        if not model[2]:
            raise ValueError("it holds no graph")
    except (ValueError, KeyError) as error:
        what = f"its part {error} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelError(f"{path}: is a damaged TFLite model ({what}): copy it again") from error


def _check_graph(file: _Flatbuffer, graph: Mapping[int, Any], operator_codes: int, buffers: int) -> None:
    tensors = graph[0]
    for tensor in tensors:
        shape = file.numbers(tensor.get(0, (0, 0)))
        if math.prod(abs(side) for side in shape) > TENSOR_LIMIT_VALUES:
            raise ValueError(f"it declares a tensor of {shape}, more than {TENSOR_LIMIT_VALUES:,} values")
        _check_indices("buffer", [file.number(tensor[2])] if 2 in tensor else [], buffers)
    for operator in graph.get(3, ()):
        _check_indices("operator code", [file.number(operator[0])] if 0 in operator else [0], operator_codes)
        used = [index for field in (1, 2, 8) for index in file.numbers(operator.get(field, (0, 0))) if index != -1]
        _check_indices("tensor", used, len(tensors))  # -1 stands for an optional tensor that is not there
        if 0 in operator.get(4, ()) and 3 in operator and file.number(operator[3], 1) in _OPTIONS_WITH_NUMBERS:
            file.field(operator[4][0], 4)
    _check_indices("tensor", [index for field in (1, 2) for index in file.numbers(graph.get(field, (0, 0)))], len(tensors))


def _check_indices(what: str, indices: Sequence[int], count: int) -> None:
    wrong = [index for index in indices if not 0 <= index < count]
    if wrong:
        raise ValueError(f"it names {what} {wrong[0]}, there are {count}")


# ---- preprocessing --------------------------------------------------------------------------------------------------
# Each step is a pure function from picture to picture. Only Pillow and numpy operations that were seen to be bit-equal
# on x86 and ARM are used (resize, convert, crop, paste, integer sums; never Image.transform).


ORIENTATION, UPRIGHT = 0x0112, 1  # the EXIF tag, and its value for a picture that lies as it was taken


def exif_orientation(image: Image.Image) -> Image.Image:
    """Turn the picture the way its EXIF orientation tag says, as every viewer does."""
    if image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT:
        return image  # exif_transpose would copy it
    return ImageOps.exif_transpose(image)


def _opaque(image: Image.Image) -> Image.Image:
    """Bring a picture of any mode to "L" or "RGB": transparent parts over white, 16-bit values scaled to 8."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        # A 16-bit file uses the range 0..65535; modes I and F carry either range and no flag that says which.
        scale = 257.0 if values.max(initial=0.0) > 255 else 1.0
        return Image.fromarray(np.clip(np.nan_to_num(values / scale), 0, 255).astype(np.uint8))  # mode F may hold NaN
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")  # P, CMYK, YCbCr, HSV, LAB and bilevel


def gray(image: Image.Image) -> Image.Image:
    """Convert to 8-bit gray (mode "L", ITU-R 601-2 luma)."""
    return _opaque(image).convert("L")


def rgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit colour (mode "RGB")."""
    return _opaque(image).convert("RGB")


def light_on_dark(image: Image.Image) -> Image.Image:
    """Invert a gray picture whose border is lighter than its whole, so that ink is light on dark as in MNIST."""
    pixels = np.asarray(image, dtype=np.uint8)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    # Means compared in integers: equal on every processor.
    border_is_lighter = int(border.sum(dtype=np.int64)) * pixels.size > int(pixels.sum(dtype=np.int64)) * border.size
    return ImageChops.invert(image) if border_is_lighter else image


FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resize(image: Image.Image, size: int, filter: str = "bilinear") -> Image.Image:
    """Scale so that the shorter side has `size` pixels; the aspect is kept."""
    short = min(image.size)
    if short == size:
        return image
    scaled = (max(size, round(image.width * size / short)), max(size, round(image.height * size / short)))
    if max(scaled) > 64 * size:
        raise PictureError(f"is {image.width}×{image.height}, too long and thin to classify: crop it")
    return image.resize(scaled, FILTERS[filter])


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """Cut the middle `size` × `size` pixels out."""
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


# ---- the digit frame ------------------------------------------------------------------------------------------------
# Arrays hold integers only, so that x86 and ARM agree in every bit.

Plane = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

OVERVIEW = 176  # pixels: at most this long is the reduced picture in which the digit is looked for
CLOSE_UP = 110  # pixels: at most this long is the digit that is cut out
FAINTEST = 12  # of 255: what differs less from the paper is taken for dirt
EDGE = 40  # of 255: where a stroke begins, once its core is at 255
STROKES = (1.4, 4.2)  # of 20 pixels: how thick MNIST's are, the thinnest and the thickest 1 % left out


def digit_frame(image: Image.Image, size: int = 28, box: int = 20) -> Image.Image:
    """Frame the one digit in an "L" picture of any size, in any light, dark on light or light on dark.

    Returns "L" (size, size): light on black, the longer side `box` pixels, the centre of mass in the middle. A
    picture that is such a frame comes back as it is. Raises NoDigit or SeveralDigits rather than guess.
    """
    if _is_framed(image, size, box):
        return image
    step = -(-max(image.size) // OVERVIEW)
    # Faint ink drowns in noise that a coarser view averages away; what never stands out clearly is tried last.
    for coarser, clear in ((1, True), (2, True), (4, True), (2, False), (1, False)):
        contrast, dark = _ink_contrast(image.reduce(step * coarser))
        found = _find_digit(contrast, clear)
        if found:
            return _centred(_scaled(_close_up(image, *found, step * coarser, dark), box), size)
    raise NoDigit(
        "no digit found: the picture is blank, or its strokes are hardly darker (lighter) than what they "
        "are written on, or cut off; write bolder, or take the picture closer and in even light"
    )


def _is_framed(image: Image.Image, size: int, box: int) -> bool:
    """Say whether it is a frame already: ink `box` pixels long, one more or less, around the middle, all else black."""
    ink = image.getbbox()
    if image.size != (size, size) or ink is None or abs(max(ink[2] - ink[0], ink[3] - ink[1]) - box) > 1:
        return False
    return all(abs(centre - size // 2) <= 1 for centre in _centre_of_mass(image))


def _centre_of_mass(ink: Image.Image) -> tuple[float, float]:
    """Return column and row of an "L" picture that is not all black."""
    pixels = np.asarray(ink)
    columns, rows = pixels.sum(0, dtype=np.int64), pixels.sum(1, dtype=np.int64)
    mass = int(columns.sum())
    return int(columns @ np.arange(ink.width)) / mass, int(rows @ np.arange(ink.height)) / mass


# -- light


def _ink_contrast(gray: Image.Image) -> tuple[Plane, bool]:
    """Return how far each pixel of an "L" picture stands out as ink, as `_contrast` has it, and whether ink is dark here.

    One of the picture's upper and lower envelope is the paper or the board, and smooth; the other follows the digit.
    """
    window = min(gray.size) * 3 // 10  # wider than any stroke
    upper, lower = _envelope(gray, window, dark=True), _envelope(gray, window, dark=False)
    dark = _roughness(upper) <= _roughness(lower)
    return _contrast(gray, window, upper if dark else lower, dark), dark


def _cell(window: int) -> int:
    """Return the side in pixels of the squares by which the ground is known, fine enough for the window."""
    return max(1, window // 16)


def _envelope(gray: Image.Image, window: int, dark: bool) -> npt.NDArray[np.uint8]:
    """Return the paper without ink, by cells: a morphological closing (dark ink) or opening, `window` pixels wide."""
    cells = np.asarray(gray.reduce(_cell(window)))
    width = window // _cell(window) | 1
    first, then = (np.maximum, np.minimum) if dark else (np.minimum, np.maximum)
    return _extreme(_extreme(cells, width, first), width, then)


def _roughness(ground: npt.NDArray[np.uint8]) -> int:
    """Return the sum of the squared steps: an edge weighs far more than a gradient of the light."""
    cells = ground.astype(np.int32)
    return int(np.square(np.diff(cells, axis=0)).sum() + np.square(np.diff(cells, axis=1)).sum())


def _contrast(gray: Image.Image, window: int, envelope: npt.NDArray[np.uint8], dark: bool) -> Plane:
    """Return how far each pixel is from the ground (H, W), as it would be in even light: -255..255, ink positive."""
    cell = _cell(window)
    # One cell is given away: at a sharp edge, a shadow's say, the smooth ground must not stick out.
    ground = _extreme(envelope, 3, np.minimum if dark else np.maximum)
    cover = (0, 0, gray.width / cell, gray.height / cell)
    smooth = Image.fromarray(ground).resize(gray.size, Image.Resampling.BILINEAR, cover)
    paper, pixels = np.asarray(smooth, np.int32), np.asarray(gray, np.int32)
    usual = int(paper.sum()) // paper.size
    away = paper - pixels if dark else pixels - paper
    gain = (usual + 16) * 256 // (np.arange(256, dtype=np.int32) + 16)  # 16: deep shade is mostly noise
    return np.clip(away * gain[paper] >> 8, -255, 255)


def _extreme(values: npt.NDArray[Any], width: int, pick: Callable[..., Any]) -> npt.NDArray[Any]:
    """Return the greatest or least of the `width` x `width` values around each (H, W), as `pick` says (np.maximum, ...)."""
    for _ in range(2):  # columns, then rows
        reach = np.arange(-(width // 2), len(values) + width // 2)
        values = values[np.clip(reach, 0, len(values) - 1)]
        span = 1
        while span < width:  # doubling: log2(width) passes
            more = min(span, width - span)
            values = pick(values[:-more], values[more:])
            span += more
        values = np.ascontiguousarray(values.T)
    return values


def _levels(contrast: Plane, *shares: float) -> list[int]:
    """Return the contrasts that these shares of the pixels do not exceed: percentiles."""
    heights = np.cumsum(np.bincount(contrast.ravel() + 255, minlength=511))
    return [int(np.searchsorted(heights, share * contrast.size)) - 255 for share in shares]


# -- ink


class _Blob(NamedTuple):
    """A connected piece of ink: its box, right and bottom exclusive, and its pixels."""

    left: int
    top: int
    right: int
    bottom: int
    area: int
    edge: int  # how many of its pixels lie on the picture's edge
    sharp: bool  # whether it ends as ink does, not as a shadow

    @property
    def sides(self) -> tuple[int, int]:
        """Return the shorter and the longer side of the box."""
        width, height = self.right - self.left, self.bottom - self.top
        return min(width, height), max(width, height)


class _Runs(NamedTuple):
    """The horizontal runs of a mask, row by row; stops exclusive."""

    rows: Indices
    starts: Indices
    stops: Indices
    labels: Indices  # which blob each belongs to: 0, 1, ...


def _find_digit(contrast: Plane, clear: bool) -> Optional[tuple[Mask, _Blob]]:
    """Return the digit's pixels (H, W) and the box around them, or None: nothing stands out (if `clear`: by far)."""
    seen, thinned = contrast, False
    for _ in range(5):
        below, paper, peak = _levels(contrast, 0.16, 0.5, 1 - max(0.00015, 5 / contrast.size))
        spread = max(1, paper - below)
        if peak - paper < max(FAINTEST, spread * (10 if clear else 5)):
            break
        mask = contrast > paper + max(5 * spread, (peak - paper) * 3 // 10)
        runs = _runs(mask)
        blobs = _blobs(runs, seen - paper)
        if not thinned and _is_ruled(blobs, mask.shape):
            thinned = True
            seen = contrast = _extreme(_extreme(contrast, 3, np.minimum), 3, np.maximum)
            continue
        fits = [i for i, blob in enumerate(blobs) if _may_be_ink(blob, mask.shape)]
        if fits:
            chosen = _strokes(blobs, fits)
            return _painted(runs, chosen, mask.shape), _around([blobs[i] for i in chosen])
        contrast = np.where(_extreme(mask, 5, np.maximum), paper, contrast)
    return None


def _may_be_ink(blob: _Blob, shape: tuple[int, ...]) -> bool:
    """Say whether it is neither a speck nor what comes in from outside: the table, a shadow, a rule."""
    shorter, longer = blob.sides
    if not blob.sharp or longer < max(4, min(shape) // 25) or blob.edge * 2 > longer:
        return False
    solid = blob.area * 100 > 14 * shorter * longer and longer < 8 * shorter
    return solid or not _runs_through(blob, shape)


def _is_ruled(blobs: list[_Blob], shape: tuple[int, ...]) -> bool:
    """Say whether the paper has rules or squares: something runs right through, or long thin pieces of it are left."""
    thin = [blob for blob in blobs if blob.sides[1] * 5 > max(shape) and blob.sides[1] > 8 * blob.sides[0]]
    return len(thin) > 2 or any(_runs_through(blob, shape) for blob in blobs)


def _runs_through(blob: _Blob, shape: tuple[int, ...]) -> bool:
    return blob.right - blob.left == shape[1] or blob.bottom - blob.top == shape[0]


def _strokes(blobs: list[_Blob], fits: list[int]) -> list[int]:
    """Return which blobs are the digit: the largest of those that may be, and what lies near and is as thick."""
    main = max(fits, key=lambda i: blobs[i].area)
    chosen, around = [main], blobs[main]
    rest = {i for i, blob in enumerate(blobs) if i != main and _is_stroke_beside(blob, around)}
    while True:
        near = [i for i in rest if _gap(around, blobs[i]) * 4 <= around.sides[1]]
        if not near:
            break
        chosen += near
        rest.difference_update(near)
        around = _around([blobs[i] for i in chosen])
    _refuse_several([blobs[i] for i in chosen], [blobs[i] for i in rest.intersection(fits)])
    return chosen


def _is_stroke_beside(blob: _Blob, main: _Blob) -> bool:
    """Say whether it may be a loose stroke: no speck, no fragment of a rule, not cut by the picture's edge."""
    thick_enough = blob.area * main.sides[1] * 6 > main.area * blob.sides[1]
    return blob.area * 50 >= main.area and thick_enough and not blob.edge


def _refuse_several(strokes: list[_Blob], others: list[_Blob]) -> None:
    """Raise where a second digit stands beside the first, or the strokes fall into two heaps that may be digits."""
    strokes = sorted(strokes)
    several = any(_abreast(_around(strokes), other) for other in others)
    for i in range(1, len(strokes)):
        left, right = _around(strokes[:i]), _around(strokes[i:])
        height = max(left.bottom - left.top, right.bottom - right.top)
        several |= _abreast(left, right) and (right.left - left.right) * 4 > height  # in MNIST never
    if several:
        raise SeveralDigits("more than one digit found: cut the picture so that one is left")


def _abreast(one: _Blob, other: _Blob) -> bool:
    """Say whether they are alike in height and ink, and side by side: two digits may be."""
    low, high = sorted((one.bottom - one.top, other.bottom - other.top))
    less, more = sorted((one.area, other.area))
    common = min(one.bottom, other.bottom) - max(one.top, other.top)
    return low * 10 > high * 6 and less * 4 > more and common * 2 > high


def _gap(one: _Blob, other: _Blob) -> int:
    """Return how far two boxes are apart, the larger of the distances aside and above; 0 where they touch."""
    aside = max(one.left, other.left) - min(one.right, other.right)
    above = max(one.top, other.top) - min(one.bottom, other.bottom)
    return max(aside, above, 0)


def _around(blobs: list[_Blob]) -> _Blob:
    """Return all of them as one."""
    left, top, right, bottom, area, edge, sharp = zip(*blobs)
    return _Blob(min(left), min(top), max(right), max(bottom), sum(area), sum(edge), all(sharp))


# -- connected pieces


def _runs(mask: Mask) -> _Runs:
    """Return the runs of a mask (H, W) and which of them hang together; corners count."""
    wide = mask.shape[1] + 2  # with a blank on either side, the rows can be read as one line
    line = np.pad(mask, ((0, 0), (1, 1))).ravel().view(np.int8)
    turns = np.flatnonzero(line[1:] != line[:-1]) + 1
    starts, stops = turns[::2], turns[1::2]
    first = np.searchsorted(stops, starts + wide)
    beyond = np.searchsorted(starts, stops + wide, side="right")
    rows = starts // wide
    return _Runs(rows, starts - rows * wide - 1, stops - rows * wide - 1, _joined(first.tolist(), beyond.tolist()))


def _joined(first: list[int], beyond: list[int]) -> Indices:
    """Return labels 0, 1, ... of items where the i-th touches those from first[i] to before beyond[i]: union-find."""
    parent = list(range(len(first)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for i, (start, stop) in enumerate(zip(first, beyond)):
        for j in range(start, stop):
            one, other = root(i), root(j)
            parent[max(one, other)] = min(one, other)
    roots = np.array([root(i) for i in range(len(parent))], np.int64)
    return np.asarray(np.unique(roots, return_inverse=True)[1], np.int64)


def _blobs(runs: _Runs, contrast: Plane) -> list[_Blob]:
    """Return the blobs by label, from their runs in the picture whose contrast to the paper (H, W) this is."""
    if not len(runs.rows):
        return []
    height, width = contrast.shape
    order = np.argsort(runs.labels, kind="stable")
    rows, starts, stops, labels = (values[order] for values in runs)
    first = np.flatnonzero(np.diff(labels, prepend=-1))
    ends = (starts == 0).astype(np.int64) + (stops == width)
    edge = np.where((rows == 0) | (rows == height - 1), stops - starts, ends)
    columns = (
        np.minimum.reduceat(starts, first),
        np.minimum.reduceat(rows, first),
        np.maximum.reduceat(stops, first),
        np.maximum.reduceat(rows, first) + 1,
        np.add.reduceat(stops - starts, first),
        np.add.reduceat(edge, first),
    )
    inside, outside = _across_edges(rows, starts, stops, contrast)
    sharp = np.add.reduceat(inside - outside, first) * 5 > np.add.reduceat(inside, first) * 2
    return [_Blob(*values) for values in zip(*(column.tolist() for column in columns), sharp.tolist())]


def _across_edges(rows: Indices, starts: Indices, stops: Indices, contrast: Plane) -> tuple[Plane, Plane]:
    """Return the contrast a little inside the ends of each run and a little outside: alike in a shadow, not in ink."""
    reach = np.minimum(stops - starts - 1, 6) // 2
    inside = contrast[rows, starts + reach] + contrast[rows, stops - 1 - reach]
    last = contrast.shape[1] - 1
    outside = contrast[rows, np.maximum(starts - 4, 0)] + contrast[rows, np.minimum(stops + 3, last)]
    return inside, outside


def _painted(runs: _Runs, chosen: list[int], shape: tuple[int, ...]) -> Mask:
    """Return the mask (H, W) of some blobs."""
    keep = np.isin(runs.labels, chosen)
    steps = np.zeros((shape[0], shape[1] + 1), np.int8)
    steps[runs.rows[keep], runs.starts[keep]] = 1
    steps[runs.rows[keep], runs.stops[keep]] = -1  # no run starts where another stops
    return np.cumsum(steps, axis=1, dtype=np.int8)[:, :-1] > 0


# -- frame


def _close_up(image: Image.Image, mask: Mask, blob: _Blob, step: int, dark: bool) -> Image.Image:
    """Return the digit alone, cut out of the picture, of which `mask` is `step` times reduced: "L", light on black."""
    margin = blob.sides[1] // 4 + 2
    left, top = max(0, blob.left - margin), max(0, blob.top - margin)
    mask = mask[top : blob.bottom + margin, left : blob.right + margin]
    crop = (
        left * step,
        top * step,
        min((left + mask.shape[1]) * step, image.width),
        min((top + mask.shape[0]) * step, image.height),
    )
    longer = blob.sides[1] * step
    fine = -(-longer // CLOSE_UP)
    gray = image.reduce(fine, crop)
    window = longer // fine * 2 // 5
    contrast = _contrast(gray, window, _envelope(gray, window, dark), dark)
    near = Image.fromarray(_extreme(mask.astype(np.uint8), 5, np.maximum))
    cover = (0, 0, (crop[2] - crop[0]) / step, (crop[3] - crop[1]) / step)
    allowed = np.asarray(near.resize(gray.size, Image.Resampling.NEAREST, cover)) > 0
    return _levelled(contrast, allowed)


def _levelled(contrast: Plane, allowed: Mask) -> Image.Image:
    """Return the contrast (H, W) as an "L" picture: noise at 0, the core of the strokes at 255, 0 where not allowed."""
    below, paper = _levels(contrast, 0.16, 0.5)
    floor = paper + 3 * (paper - below)
    inside = contrast[allowed]
    core = inside[2 * inside > paper + _levels(inside, 0.98)[0]]
    full = _levels(core, 0.7)[0]
    ink = np.clip((contrast - floor) * 255 // max(1, full - floor), 0, 255)
    return Image.fromarray(np.where(allowed, ink, 0).astype(np.uint8))


def _scaled(ink: Image.Image, box: int) -> Image.Image:
    """Return the digit out of its close-up, the longer side `box` pixels, the brightest pixel 255."""
    bounds = ink.point([255 * (value > EDGE) for value in range(256)]).getbbox()
    if bounds is None:
        raise NoDigit("no digit found: what looked like ink is noise; take the picture in better light")
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    longer = max(width, height)
    size = max(1, round(width * box / longer)), max(1, round(height * box / longer))
    small = _evened(ink, longer).resize(size, Image.Resampling.HAMMING, bounds)
    brightest = max(1, np.asarray(small).max())
    return small.point([min(255, value * 255 // int(brightest)) for value in range(256)])


def _evened(ink: Image.Image, longer: int) -> Image.Image:
    """Return a hairline's strokes thicker, a fat marker's thinner: as MNIST's are, at 20 pixels for `longer`."""
    solid = np.pad(np.asarray(ink) > 127, 1)
    outline = np.count_nonzero(solid[1:] != solid[:-1]) + np.count_nonzero(solid[:, 1:] != solid[:, :-1])
    thickness = 2.55 * np.count_nonzero(solid) / max(1, outline) * 20 / longer  # 8 / pi: outlines run aslant
    thin, fat = STROKES
    if thin <= thickness <= fat:
        return ink
    change, pick = (thin + 0.4 - thickness, np.maximum) if thickness < thin else (thickness - fat + 0.4, np.minimum)
    return Image.fromarray(_extreme(np.asarray(ink), round(change * longer / 40) * 2 + 1, pick))


def _centred(digit: Image.Image, size: int) -> Image.Image:
    """On black, its centre of mass in the middle, as far as whole pixels go."""
    x, y = _centre_of_mass(digit)
    frame = Image.new("L", (size, size))
    frame.paste(digit, (size // 2 - int(x + 0.5), size // 2 - int(y + 0.5)))
    return frame


# ---- the steps by name ----------------------------------------------------------------------------------------------

STEPS: dict[str, Callable[..., Image.Image]] = {
    "exif_orientation": exif_orientation,
    "gray": gray,
    "rgb": rgb,
    "light_on_dark": light_on_dark,
    "resize": resize,
    "center_crop": center_crop,
    "digit_frame": digit_frame,
}

NEED_GRAY = ("light_on_dark", "digit_frame")
STEP_PARAMETERS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "resize": {"size": lambda value: _is_side(value), "filter": lambda value: value in FILTERS},
    "center_crop": {"size": lambda value: _is_side(value)},
    "digit_frame": {"size": lambda value: _is_side(value), "box": lambda value: _is_side(value)},
}


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 8192


def check_parameters(step: str, parameters: Mapping[str, Any]) -> None:
    """Raise CardError for a parameter that the step does not know or whose value is impossible."""
    known = STEP_PARAMETERS.get(step, {})
    for name, value in parameters.items():
        if name not in known:
            raise CardError(f"card field preprocess: step {step!r} has no parameter {name!r}: take a newer classify.py")
        if not isinstance(value, (int, str)) or not known[name](value):
            raise CardError(f"card field preprocess: step {step!r}: impossible {name} {value!r}")
    if "size" in known and "size" not in parameters:
        raise CardError(f"card field preprocess: step {step!r} needs the parameter 'size'")


def run_steps(image: Image.Image, steps: Sequence[Step]) -> npt.NDArray[np.uint8]:
    """Run preprocessing steps in their order: (height, width, channels), uint8, 0..255."""
    width, height = image.size
    for step in steps:
        if step.name in NEED_GRAY and image.mode != "L":
            raise CardError(f"card field preprocess: step {step.name!r} needs the step 'gray' before it")
        try:
            image = STEPS[step.name](image, **step.parameters)
        except MemoryError as error:
            raise PictureError(f"is {width}×{height}, too large for the memory there is: make it smaller") from error
        except (ValueError, TypeError, IndexError) as error:  # the card's order: a resize that Pillow has not for a mode
            found = f"step {step.name!r} cannot take a {image.mode} picture of {image.width}×{image.height}: {error}"
            raise CardError(f"card field preprocess: {found}") from error
    if image.mode not in ("L", "RGB"):
        raise CardError(f"card field preprocess: the steps end in a {image.mode} picture: add gray or rgb")
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def prepare(image: Image.Image, card: Card) -> npt.NDArray[np.uint8]:
    """Turn any picture into the model's input: (height, width, channels), uint8, 0..255.

    Raises PictureError for a picture that the steps cannot use, CardError where the steps do not lead to the input.
    """
    pixels = run_steps(image, card.preprocess)
    if pixels.shape != (card.height, card.width, card.channels):
        raise CardError(
            f"card field preprocess: the steps give {pixels.shape}, "
            f"the model takes {(card.height, card.width, card.channels)}: convert again"
        )
    return pixels


def read_picture(source: Union[str, Path, io.BytesIO]) -> Image.Image:
    """Decode a picture file (or its bytes) completely. Raises PictureError that says what was found."""
    if not isinstance(source, io.BytesIO):
        path = Path(source)
        if not path.is_file():
            raise PictureError("is a folder" if path.is_dir() else "no such file" if not path.exists() else "is no file")
        source = path
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                image.load()
                return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"too large: {error}") from error
    except Exception as error:  # Pillow's decoders raise what they please on damaged data; this is the door
        raise PictureError(f"not a picture: {str(error) or type(error).__name__}") from error


# ---- runtimes -------------------------------------------------------------------------------------------------------

TFLITE_RUNTIMES = {  # the name in results: the module that holds Interpreter, the distribution that brings it
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite_runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
    "tensorflow": ("tensorflow.lite", "tensorflow"),
}


class TfliteSession:
    """A `.tflite` file opened in one TFLite runtime, ready for one picture at a time."""

    def __init__(self, path: Path, threads: int = 1, runtime: Optional[str] = None) -> None:
        """Open and allocate. Raises RuntimeMissing where no runtime is installed, ModelError where it refuses."""
        self.runtime, interpreter_class = import_tflite(runtime)
        try:
            interpreter = interpreter_class(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        except Exception as error:  # ValueError and RuntimeError mostly, MemoryError and others for what is damaged
            said = f"{self.runtime} {self.runtime_version} refuses the model: {_first_line(error)}"
            raise ModelError(f"{path}: {said}") from error
        self._take_details(path, inputs, outputs)
        self._interpreter = interpreter

    def _take_details(self, path: Path, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        """Keep shapes, types and quantization; bench's GPU session, which has no interpreter, calls it too."""
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        self.input_shape = tuple(int(side) for side in inputs[0]["shape"])
        self.input_dtype = np.dtype(inputs[0]["dtype"])
        self.output_shape = tuple(int(side) for side in outputs[0]["shape"])
        self._input_scale, self._input_zero_point = inputs[0]["quantization"]
        self._output_scale, self._output_zero_point = outputs[0]["quantization"]
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]
        kinds = self.input_dtype.kind + np.dtype(outputs[0]["dtype"]).kind
        if set(kinds) - set("fiu") or "c" in kinds:
            raise ModelError(f"{path}: takes {self.input_dtype} and gives {outputs[0]['dtype']}, expected numbers")

    @property
    def runtime_version(self) -> str:
        return _version(TFLITE_RUNTIMES[self.runtime][1])

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Quantize pixels (H, W, C), uint8, 0..255, as the file says: (1, H, W, C) in the input's dtype."""
        if self.input_dtype == np.uint8 and self._input_scale == 1.0 and self._input_zero_point == 0:
            return pixels[None]
        if np.issubdtype(self.input_dtype, np.floating):
            return pixels[None].astype(self.input_dtype)
        limits = np.iinfo(self.input_dtype)
        steps = np.round(pixels[None] / (self._input_scale or 1.0)) + self._input_zero_point
        tensor: npt.NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(self.input_dtype)
        return tensor

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Set the input tensor (1, H, W, C), invoke, get the output tensor (1, classes)."""
        self._interpreter.set_tensor(self._input_index, tensor)
        self._interpreter.invoke()
        output: npt.NDArray[Any] = self._interpreter.get_tensor(self._output_index)
        return output

    def scores(self, output: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Dequantize an output tensor (1, classes): (classes,), float32."""
        values = output.reshape(-1)
        if np.issubdtype(values.dtype, np.floating):
            return values.astype(np.float32)
        # int32 first: uint8 minus a zero point would wrap around
        real: npt.NDArray[np.float64] = (values.astype(np.int32) - self._output_zero_point) * self._output_scale
        return real.astype(np.float32)


def import_tflite(runtime: Optional[str]) -> tuple[str, Any]:
    """Return the name and Interpreter class of the named TFLite runtime, or of the first that is installed."""
    for name in [runtime] if runtime else TFLITE_RUNTIMES:
        try:
            return name, importlib.import_module(TFLITE_RUNTIMES[name][0]).Interpreter
        except ImportError as error:
            cause = error
    if runtime:
        raise RuntimeMissing(f"runtime {runtime} cannot be imported ({cause}): pip install {TFLITE_RUNTIMES[runtime][1]}")
    raise RuntimeMissing("no TFLite runtime is installed: pip install ai-edge-litert (or tflite-runtime)")


def _version(distribution: str) -> str:
    from importlib import metadata  # brings email and zipfile along: a tenth of the start-up, and rarely asked

    for name in (distribution, f"{distribution}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def import_onnxruntime() -> Any:
    """Return the module onnxruntime. Raises RuntimeMissing where it is not installed."""
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeMissing(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


ONNX_INPUTS = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}


class OnnxSession:
    """An `.onnx` file opened in onnxruntime on the CPU, ready for one picture at a time."""

    runtime = "onnxruntime"

    def __init__(self, path: Path, threads: int = 1, card: Optional[Card] = None) -> None:
        """Open, with what the card's `session` asks for. Raises RuntimeMissing or ModelError."""
        ort = import_onnxruntime()
        self.runtime_version = str(ort.__version__)
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors only
        asked = (card.document.get("session") or {}) if card else {}
        try:
            self._session = self._create(ort, path, options, asked.get("disabled_optimizers") or None)
        except Exception as error:  # onnxruntime's own exception classes share no public base
            said = f"onnxruntime {self.runtime_version} refuses the model: {_first_line(error)}"
            raise ModelError(f"{path}: {said}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        if inputs[0].type not in ONNX_INPUTS:
            raise ModelError(f"{path}: takes {inputs[0].type}, expected {' or '.join(ONNX_INPUTS)}")
        self.input_dtype = np.dtype(ONNX_INPUTS[inputs[0].type])
        # A free batch dimension has a name instead of a number
        self.input_shape = tuple(side if isinstance(side, int) else 1 for side in inputs[0].shape)
        self.output_shape = tuple(side if isinstance(side, int) else 1 for side in outputs[0].shape)
        self._input_name, self._output_names = inputs[0].name, [outputs[0].name]

    def _create(self, ort: Any, path: Path, options: Any, disabled_optimizers: Optional[Sequence[str]]) -> Any:
        """Open the file on the CPU; bench's sessions on other providers replace this."""
        providers = ["CPUExecutionProvider"]
        return ort.InferenceSession(str(path), options, providers=providers, disabled_optimizers=disabled_optimizers)

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Turn pixels (H, W, C), uint8, 0..255, into the input tensor (1, H, W, C)."""
        return pixels[None].astype(self.input_dtype)

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run the input tensor (1, H, W, C): the output tensor (1, classes)."""
        output: npt.NDArray[Any] = self._session.run(self._output_names, {self._input_name: tensor})[0]
        return output

    def scores(self, output: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the scores (classes,), float32, of an output tensor (1, classes)."""
        return output.reshape(-1).astype(np.float32)


Session = Union[TfliteSession, OnnxSession]


def open_session(path: Path, card: Optional[Card], threads: int = 1, runtime: Optional[str] = None) -> Session:
    """Open a model file and hold it against its card. Raises CardError where shape or labels do not fit."""
    onnx = path.suffix == ".onnx"
    session: Session = OnnxSession(path, threads, card) if onnx else TfliteSession(path, threads, runtime)
    if card is not None:
        check_card_fits(path, card, session.input_shape, session.output_shape)
    return session


def check_card_fits(path: Path, card: Card, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
    """Raise CardError where the card's input or labels are not those of the model."""
    expected = (1, card.height, card.width, card.channels)
    if input_shape != expected:
        raise CardError(f"{path}: card field input: the card says {expected}, the model takes {input_shape}")
    if output_shape[-1] != len(card.labels):
        raise CardError(f"{path}: card field labels: {len(card.labels)} labels, the model has {output_shape[-1]} outputs")


def card_for_unlabelled(path: Path, session: Session, labels: Sequence[str]) -> Card:
    """Make a card for a model that has none, from its labels and its input's shape.

    Raises CardError where these leave a doubt: another layout than (1, H, W, 1 or 3), or another number of labels.
    """
    shape = session.input_shape
    if len(shape) != 4 or shape[0] != 1 or min(shape) < 1 or shape[3] not in (1, 3) or shape[1] != shape[2]:
        raise CardError(f"{path}: has no card, and its input {shape} is not (1, side, side, 1 or 3): convert it with a card")
    steps = [["exif_orientation"], ["gray" if shape[3] == 1 else "rgb"]]
    sized = [["resize", {"size": shape[1]}], ["center_crop", {"size": shape[1]}]]
    card = Card.from_json(
        {
            "schema": CARD_SCHEMA,
            "model": path.stem,
            "variant": "unknown",
            "labels": list(labels),
            "input": {"height": shape[1], "width": shape[2], "channels": shape[3], "pixels": "0..255"},
            "preprocess": [*steps, *sized],
        }
    )
    check_card_fits(path, card, shape, session.output_shape)
    return card


# ---- classifying ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """The scores of one picture, float32 (classes,), and where the time went, in nanoseconds."""

    scores: npt.NDArray[np.float32]
    decode_ns: int
    prepare_ns: int
    invoke_ns: int
    postprocess_ns: int

    @property
    def total_ns(self) -> int:
        return self.decode_ns + self.prepare_ns + self.invoke_ns + self.postprocess_ns


def classify(source: Union[str, Image.Image], session: Session, card: Card) -> Answer:
    """Decode ("-": standard input), prepare, invoke, dequantize. Raises PictureError for what is no usable picture."""
    start_ns = time.perf_counter_ns()
    if isinstance(source, str):
        source = read_picture(io.BytesIO(sys.stdin.buffer.read()) if source == "-" else source)
    image = source
    decoded_ns = time.perf_counter_ns()
    tensor = session.tensor(prepare(image, card))
    prepared_ns = time.perf_counter_ns()
    output = _infer(session, tensor)
    invoked_ns = time.perf_counter_ns()
    scores = _scores(session, output, card)
    if not np.isfinite(scores).all():
        raise ModelError("the model answers no numbers (NaN or infinite): its weights are damaged: copy it again")
    end_ns = time.perf_counter_ns()
    return Answer(scores, decoded_ns - start_ns, prepared_ns - decoded_ns, invoked_ns - prepared_ns, end_ns - invoked_ns)


def _infer(session: Session, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Run the model. Raises ModelError where the runtime fails; loops that measure call `session.infer` itself."""
    try:
        return session.infer(tensor)
    except Exception as error:  # the runtimes raise what they please
        said = f"{session.runtime} {session.runtime_version} cannot run the model: {_first_line(error)}"
        raise ModelError(said) from error


def _scores(session: Session, output: npt.NDArray[Any], card: Card) -> npt.NDArray[np.float32]:
    """Return the scores (classes,), float32. Raises ModelError where not every label has one."""
    scores = session.scores(output)
    if card.labels and len(scores) != len(card.labels):  # a damaged model's shapes may change as it runs
        raise ModelError(f"the model answers {len(scores)} scores for {len(card.labels)} labels: copy it again")
    return scores


def top_k(scores: npt.NDArray[np.float32], k: int) -> list[int]:
    """Return the indices of the k highest scores, highest first; ties go to the lowest index."""
    return [int(index) for index in np.argsort(-scores, kind="stable")[:k]]


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22: 209), as fractions of one."""
    if total == 0:
        return 0.0, 1.0
    z = 1.959963984540054  # the 97.5 % point of the normal distribution
    share = correct / total
    middle = share + z * z / (2 * total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def answer_json(file: str, answer: Answer, labels: Sequence[str], top: int, min_score: float) -> str:
    """Format an answer as one JSON line."""
    latency = {
        "decode": answer.decode_ns,
        "prepare": answer.prepare_ns,
        "invoke": answer.invoke_ns,
        "postprocess": answer.postprocess_ns,
        "total": answer.total_ns,
    }
    best = [{"label": labels[index], "score": round(float(answer.scores[index]), 6)} for index in top_k(answer.scores, top)]
    unsure = {"unsure": True} if float(answer.scores.max()) < min_score else {}
    return json.dumps({"file": file, **unsure, "top": best, "latency_ms": {name: ns / 1e6 for name, ns in latency.items()}})


def answer_text(file: str, answer: Answer, labels: Sequence[str], top: int, min_score: float) -> str:
    """Format an answer as one line for people."""
    unsure = "unsure: " if float(answer.scores.max()) < min_score else ""
    best = "   ".join(
        f"{printable(labels[index])} {100 * answer.scores[index]:.1f} %" for index in top_k(answer.scores, top)
    )
    return (
        f"{printable(file)}: {unsure}{best}   (decode {answer.decode_ns / 1e6:.2f}, prepare {answer.prepare_ns / 1e6:.2f}, "
        f"invoke {answer.invoke_ns / 1e6:.3f}, total {answer.total_ns / 1e6:.2f} ms)"
    )


# ---- where pictures come from ---------------------------------------------------------------------------------------

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")  # taken from folders


def expand(images: Sequence[str]) -> Iterator[str]:
    """Yield the files that are meant: a folder's pictures at any depth, a pattern's matches, both sorted, or the name."""
    for name in images:
        found, path = [name], Path(name)
        if path.is_dir():
            found = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
        elif glob.has_magic(name) and not path.exists():
            found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute patterns
        yield from found or [name]  # nothing: the name itself, which then is an error of its own


def camera_frames(number: int) -> Iterator[Image.Image]:
    """Yield frames of a camera, "RGB": picamera2 where there is one, else OpenCV. Both deliver B, G, R.

    Raises EdgeproofError where neither is installed or the camera gives no picture.
    """
    try:
        return _picamera2_frames(importlib.import_module("picamera2").Picamera2, number)
    except ImportError:
        pass
    try:
        return _opencv_frames(importlib.import_module("cv2").VideoCapture(number), number)
    except ImportError as error:
        raise EdgeproofError(
            "--camera needs picamera2 (sudo apt install python3-picamera2, and a venv with --system-site-packages) "
            "or OpenCV (pip install opencv-python-headless): neither can be imported"
        ) from error


def _picamera2_frames(camera_class: Any, number: int) -> Iterator[Image.Image]:
    try:
        camera = camera_class(number)
        camera.configure(camera.create_video_configuration(main={"format": "RGB888", "size": (640, 480)}))
        camera.start()
    except (RuntimeError, IndexError, OSError) as error:
        raise CheckFailed(f"camera {number}: {error}: look at `rpicam-hello --list-cameras`") from error
    try:
        while True:
            yield Image.fromarray(np.ascontiguousarray(camera.capture_array("main")[:, :, 2::-1]))
    finally:
        camera.stop()
        camera.close()


def _opencv_frames(camera: Any, number: int) -> Iterator[Image.Image]:
    try:
        while True:
            arrived, frame = camera.read()
            if not arrived:
                raise CheckFailed(f"camera {number}: gives no picture: look at `ls /dev/video*` and its cable")
            yield Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))
    finally:
        camera.release()


# ---- the self-test --------------------------------------------------------------------------------------------------


# Quantized scores near the decision border leap: up to 0.19 between onnxruntime on x86 and on ARM, where clear ones differ
# by 0.016. Only what is exact is held there: float, and int8 within one step of 1/256 in LiteRT.
MOST_NEAR_THE_BORDER = 1.01 / 256


@dataclass(frozen=True)
class Check:
    """One thing that the self-test compared: the card's field, whether it held, and what was found."""

    field: str
    passed: bool
    found: str


def self_test(session: Session, card: Card) -> list[Check]:
    """Classify the golden pictures inside the card and compare input, top-1 and scores with what stands there.

    The prepared input has to be the same in every bit. Top-1 and scores are compared for pictures whose margin is clear;
    near the decision border only scores, and only where runtime and version are those that wrote the card and it asks
    for one step or less. Raises CardError without golden pictures.
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
    scores = _scores(session, _infer(session, session.tensor(pixels)), card)
    expected, clear = {int(index): score for index, score in entry["scores"].items()}, bool(entry["clear"])
    worst = max(abs(float(scores[index]) - score) for index, score in expected.items())
    if clear:
        best = top_k(scores, 1)[0]
        answer = f"{card.labels[best]}, expected {card.labels[entry['top1']]}"
        yield Check(f"{name}.top1", best == entry["top1"], answer)
    limit = card.document["golden_tolerance"]["own_scores" if own else "scores"]
    if clear or (own and limit <= MOST_NEAR_THE_BORDER):
        yield Check(f"{name}.scores", worst <= limit, f"differ by at most {worst:.2g}, allowed {limit:.2g}")


# ---- timing ---------------------------------------------------------------------------------------------------------
# One loop for everybody: the bench on a workstation measures through these functions, and so does a device.

WARM_UP_BLOCK = 16  # calls at least, whose median is compared with the blocks before
WARM_UP_BLOCK_NS = 20_000_000  # and this long at least: clocks and caches need time, not calls
WARM_UP_LIMIT_NS = 2_000_000_000
STEADY_WITHIN = 0.02


class WarmUp(NamedTuple):
    """How a warm-up went."""

    calls: int
    steady_ns: int  # from its begin to the begin of the block after which none was faster
    steady: bool  # False: the bound was reached while the calls still became faster


def warm_up(infer: Callable[[Any], Any], tensors: Sequence[Any]) -> WarmUp:
    """Call `infer` until two blocks of calls in a row are no faster, by their medians, than the best before them.

    Steady state is found, not assumed; the bound is WARM_UP_LIMIT_NS.
    """
    clock = time.perf_counter_ns
    begin_ns = clock()
    best_ns, steady_ns, calls, not_faster = float("inf"), 0, 0, 0
    while not_faster < 2:
        block: list[int] = []
        block_ns = clock() - begin_ns
        while len(block) < WARM_UP_BLOCK or clock() - begin_ns < block_ns + WARM_UP_BLOCK_NS:
            start_ns = clock()
            infer(tensors[calls % len(tensors)])
            end_ns = clock()
            block.append(end_ns - start_ns)
            calls += 1
            if end_ns - begin_ns >= WARM_UP_LIMIT_NS:
                return WarmUp(calls, steady_ns, False)
        median_ns = sorted(block)[len(block) // 2]
        if median_ns < best_ns * (1 - STEADY_WITHIN):
            steady_ns, not_faster = block_ns, 0
        else:
            not_faster += 1
        best_ns = min(best_ns, median_ns)
    return WarmUp(calls, steady_ns, True)


def time_queries(
    infer: Callable[[Any], Any], tensors: Sequence[Any], queries: int, duration_ns: int
) -> npt.NDArray[np.int64]:
    """Time single calls of `infer`, the tensors in turn, until there are `queries` and `duration_ns` has passed.

    Returns the latency of each call in nanoseconds, int64 (calls,).
    """
    clock = time.perf_counter_ns
    samples: list[int] = []
    keep = samples.append
    end_ns = clock() + duration_ns
    count = 0
    while count < queries or clock() < end_ns:
        tensor = tensors[count % len(tensors)]
        start_ns = clock()
        infer(tensor)
        keep(clock() - start_ns)
        count += 1
    return np.array(samples, np.int64)


# ---- the command ----------------------------------------------------------------------------------------------------


def read_labels(path: Path) -> list[str]:
    """Read one label a line. Raises EdgeproofError for a file that holds none."""
    try:
        labels = [line.strip() for line in read_bytes(path).decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise EdgeproofError(f"{path}: cannot be read as labels: {error}") from error
    if not labels or any("\0" in label for label in labels):
        raise EdgeproofError(f"{path}: holds {'NUL bytes' if labels else 'no labels'}, expected one label a line")
    return labels


def open_model(path: Path, labels: Optional[Path], threads: int, runtime: Optional[str]) -> tuple[Session, Card]:
    """Open a model with its card, or with `labels` where it has none. Raises EdgeproofError with the reason."""
    card = read_card(path)
    if card is None and labels is None:
        raise CardError(
            f"{path}: has no card, so its labels and preprocessing are unknown: "
            "give --labels FILE (one label a line), or convert it with `python -m convert run`"
        )
    session = open_session(path, card, threads, runtime)
    if card is not None:
        return session, card
    assert labels is not None
    told = read_labels(labels)
    try:
        card = card_for_unlabelled(path, session, told)
    except CardError as error:
        raise CardError(f"{error} ({len(told)} labels of {labels})") from error
    print(
        printable(f"{path}: has no card; pictures are cropped, not framed, and pixels are given as 0..255"), file=sys.stderr
    )
    return session, card


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not 1 or more")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return value


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(description="Classify pictures with one model file.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .tflite or .onnx file")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="picture files, folders, patterns; - is standard input")
    parser.add_argument("--camera", type=int, nargs="?", const=0, metavar="N", help="classify camera N's (0) frames as JSON")
    parser.add_argument("--frames", type=_positive, metavar="N", help="with --camera: end after N (Ctrl-C)")
    parser.add_argument("--info", action="store_true", help="say what the model is and takes, and what runs it here")
    parser.add_argument("--bench", action="store_true", help="time inferences on IMAGEs or the pictures inside MODEL")
    parser.add_argument("--queries", type=_positive, default=64, metavar="N", help="with --bench: at least so many (64)")
    parser.add_argument("--seconds", type=float, default=6.0, metavar="S", help="with --bench: and at least so long (6)")
    parser.add_argument("--self-test", action="store_true", help="check the model with the golden pictures inside it")
    parser.add_argument("--json", action="store_true", help="print one JSON line a picture")
    parser.add_argument("--top", type=_positive, default=3, metavar="N", help="classes to print a picture (3)")
    parser.add_argument("--threads", type=_positive, default=1, metavar="N", help="threads of the runtime (1)")
    parser.add_argument("--runtime", choices=sorted(TFLITE_RUNTIMES), help="TFLite runtime (the first that is installed)")
    parser.add_argument("--min-score", type=_share, default=0.0, metavar="S", help="answer 'unsure' below this score")
    parser.add_argument("--score", action="store_true", help="IMAGE is a folder of class folders: print the accuracy")
    parser.add_argument(
        "--max-memory-mb", type=_positive, default=1000, metavar="N", help="end where this would take more memory (1000)"
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="one label a line, for a model without a card")
    return parser


def run_self_test(arguments: argparse.Namespace) -> int:
    """Print one line a check and a verdict; 1 where something deviates."""
    session, card = open_model(arguments.model, None, arguments.threads, arguments.runtime)
    checks = self_test(session, card)
    for check in checks:
        print(f"{'ok  ' if check.passed else 'FAIL'} {check.field}: {check.found}")
    failed = [check.field for check in checks if not check.passed]
    where = f"{arguments.model} in {session.runtime} {session.runtime_version}"
    print(f"FAIL: {where}: {', '.join(failed)}" if failed else f"PASS: {where}: {len(checks)} checks")
    return EXIT_FAILED if failed else EXIT_OK


def classify_all(arguments: argparse.Namespace) -> int:
    """Classify each picture in the order given; one that cannot be is reported and the others go on."""
    session, card = open_model(arguments.model, arguments.labels, arguments.threads, arguments.runtime)
    failed = False
    for file in expand(arguments.images):
        try:
            answer = classify(file, session, card)
        except PictureError as error:
            failed = True
            if arguments.json:
                print(json.dumps({"file": file, "error": str(error)}), flush=True)
            else:
                print(printable(f"{file}: {error}"), file=sys.stderr)
            continue
        form = answer_json if arguments.json else answer_text
        print(form(file, answer, card.labels, arguments.top, arguments.min_score), flush=True)
    return EXIT_FAILED if failed else EXIT_OK


def classify_camera(arguments: argparse.Namespace) -> int:
    """Classify a camera's frames, a JSON line each, until --frames or Ctrl-C. Ctrl-C is how it is meant to end: 0."""
    session, card = open_model(arguments.model, arguments.labels, arguments.threads, arguments.runtime)
    frames = camera_frames(arguments.camera)
    try:
        for number, frame in enumerate(frames):
            name = f"camera{arguments.camera}#{number}"
            try:
                answer = classify(frame, session, card)
                print(answer_json(name, answer, card.labels, arguments.top, arguments.min_score), flush=True)
            except PictureError as error:  # no digit in sight, say: the next frame may have one
                print(json.dumps({"file": name, "error": str(error)}), flush=True)
            if number + 1 == arguments.frames:
                break
    except KeyboardInterrupt:
        pass
    finally:
        frames.close()  # type: ignore[attr-defined]  # a generator: the camera is let go
    return EXIT_OK


def info(arguments: argparse.Namespace) -> int:
    """Print what the card says, and with what the file was opened here."""
    session, card = open_model(arguments.model, arguments.labels, arguments.threads, arguments.runtime)
    said = card.document
    document = {
        "file": str(arguments.model),
        "size_bytes": arguments.model.stat().st_size,
        "model": card.model,
        "variant": card.variant,
        "labels": list(card.labels),
        "input": [card.height, card.width, card.channels],
        "input_dtype": str(session.input_dtype),
        "preprocess": [step.to_json() for step in card.preprocess],
        "golden": len(said.get("golden") or []),
        "accuracy": said.get("accuracy"),
        "min_runtime": said.get("min_runtime"),
        "runtime": session.runtime,
        "runtime_version": session.runtime_version,
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": np.__version__,
        "pillow": _version("pillow"),
        "machine": os.uname().machine,
    }
    if arguments.json:
        print(json.dumps(document))
    else:
        for name, value in document.items():
            text = str(value) if isinstance(value, (str, int)) else json.dumps(value)
            print(f"{name.replace('_', ' '):16} {printable(text)}")
    return EXIT_OK


def bench(arguments: argparse.Namespace) -> int:
    """Time single inferences in this process, with its start-up; --json prints every sample, in nanoseconds."""
    clock = time.perf_counter_ns
    start_ns = clock()
    import_onnxruntime() if arguments.model.suffix == ".onnx" else import_tflite(arguments.runtime)
    imported_ns = clock()
    session, card = open_model(arguments.model, arguments.labels, arguments.threads, arguments.runtime)
    loaded_ns = clock()
    tensors = [session.tensor(pixels) for pixels in _bench_pixels(arguments.images, card)]
    first_ns = clock()
    _infer(session, tensors[0])
    first_took_ns = clock() - first_ns
    warmed = warm_up(session.infer, tensors)
    startup_ns = [imported_ns - start_ns, loaded_ns - imported_ns, first_took_ns, first_took_ns + warmed.steady_ns]
    samples = time_queries(session.infer, tensors, arguments.queries, int(arguments.seconds * 1e9))
    peak_bytes = peak_rss_bytes()
    if arguments.json:
        document: dict[str, Any] = {"runtime": session.runtime, "runtime_version": session.runtime_version}
        document.update(warmup_calls=warmed.calls, startup_ns=startup_ns, peak_rss_bytes=peak_bytes)
        document.update(latency_ns=samples.tolist())
        print(json.dumps(document))
    else:
        import_ms, load_ms, first_ms, steady_ms = (ns / 1e6 for ns in startup_ns)
        memory = "unknown" if peak_bytes is None else f"{peak_bytes / 1e6:.0f} MB"
        print(
            f"{arguments.model} in {session.runtime} {session.runtime_version}, {arguments.threads} thread(s): "
            f"p50 {np.median(samples) / 1e6:.4f} ms, least {samples.min() / 1e6:.4f} ms of {len(samples)}; "
            f"import {import_ms:.0f}, load {load_ms:.1f}, first {first_ms:.3f}, "
            f"steady after {steady_ms:.1f} ms; at most {memory} of memory"
        )
    return EXIT_OK


def _bench_pixels(images: Sequence[str], card: Card) -> list[npt.NDArray[np.uint8]]:
    """Return up to 64 prepared pictures: the given ones that can be, or without any those inside the card."""
    golden = [base64.b64decode(entry["png"]) for entry in card.document.get("golden") or []]
    sources: Iterator[Any] = expand(images) if images else (io.BytesIO(png) for png in golden)
    prepared: list[npt.NDArray[np.uint8]] = []
    for source in sources:
        try:
            prepared.append(prepare(read_picture(source), card))
        except PictureError as error:
            print(printable(f"{source}: {error}"), file=sys.stderr)
        if len(prepared) == 64:
            break
    if not prepared:
        raise EdgeproofError("--bench: no usable picture: name IMAGEs, or take a model with pictures inside (--info)")
    return prepared


def peak_rss_bytes() -> Optional[int]:
    """Return this process's largest resident memory so far (VmHWM), or None where the system does not tell (not Linux)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def labelled_pictures(folder: Path, labels: Sequence[str]) -> list[tuple[Path, int]]:
    """Return the pictures in a folder of class folders with the index of their label.

    Raises EdgeproofError where a class folder is not one of the labels, or where there are no pictures.
    """
    if not folder.is_dir():
        raise EdgeproofError(f"{folder}: no such folder, expected one folder a class with pictures in it")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    strange = [name for name in names if name not in labels]
    if strange:
        raise EdgeproofError(f"{folder}: class folders {', '.join(strange)} are none of the labels {', '.join(labels)}")
    files = [(path, labels.index(name)) for name in names for path in sorted((folder / name).iterdir()) if path.is_file()]
    if not files:
        raise EdgeproofError(f"{folder}: holds no pictures in class folders")
    return files


def score_folders(arguments: argparse.Namespace) -> int:
    """Classify labelled pictures and print the accuracy with its interval and the confusion table."""
    session, card = open_model(arguments.model, arguments.labels, arguments.threads, arguments.runtime)
    files = [entry for folder in arguments.images for entry in labelled_pictures(Path(folder), card.labels)]
    classes = len(card.labels)
    table = np.zeros((classes, classes + 2), np.int64)  # truth by answer; then unsure, then not classified
    for path, truth in files:
        try:
            scores = classify(str(path), session, card).scores
        except PictureError as error:
            table[truth, classes + 1] += 1
            print(printable(f"{path}: {error}"), file=sys.stderr)
            continue
        best = top_k(scores, 1)[0]
        table[truth, best if scores[best] >= arguments.min_score else classes] += 1
    correct, total = int(np.trace(table[:, :classes])), len(files)
    low, high = wilson_interval(correct, total)
    unsure, failed = (int(column) for column in table[:, classes:].sum(axis=0))
    if arguments.json:
        print(json.dumps({"correct": correct, "total": total, "ci95": [low, high], "unsure": unsure, "failed": failed}))
    else:
        print(confusion_text(table, card.labels))
        print(
            f"{correct} of {total} right: {100 * correct / total:.1f} % "
            f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %), {unsure} unsure, {failed} not classified"
        )
    return EXIT_FAILED if failed else EXIT_OK


def confusion_text(table: npt.NDArray[np.int64], labels: Sequence[str]) -> str:
    """Format a confusion table (classes, classes + 2): a row a true class, a column an answer, then unsure and failed."""
    header = ["is \\ read as", *map(printable, labels), "unsure", "failed"]
    rows = [
        [printable(label), *(str(count) if count else "." for count in counts)]
        for label, counts in zip(labels, table.tolist())
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in [header, *rows])


def _asked_for(arguments: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    if arguments.self_test:
        return run_self_test
    if arguments.info:
        return info
    if arguments.bench:
        return bench
    if arguments.camera is not None:
        return classify_camera
    return score_folders if arguments.score else classify_all


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command and return its exit code: 0 all classified, 1 one could not be, 2 wrong usage, 130 interrupted."""
    parser = build_parser()
    arguments = parser.parse_intermixed_args(argv)  # IMAGE may stand before and after options
    alone = arguments.self_test or arguments.info or arguments.bench or arguments.camera is not None
    if not arguments.images and not alone:
        parser.error("name at least one IMAGE, or give --camera, --self-test, --info or --bench")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a label that the terminal's encoding lacks is written out
        sys.stdout.reconfigure(errors="backslashreplace")
    if argv is None:  # this process is the command's own
        confine_memory(arguments.max_memory_mb * 1_000_000)
    try:
        code = _asked_for(arguments)(arguments)
        sys.stdout.flush()
        return code
    except EdgeproofError as error:
        where = "" if str(arguments.model) in str(error) else f"{arguments.model}: "
        print(f"classify.py: {printable(where + str(error), keep=NEWLINE)}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output went away, as in `classify.py ... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        if error.filename is None:  # files are told of by their own messages: this is where the output goes
            print(f"classify.py: standard output: {error.strerror}: make room", file=sys.stderr)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAILED
        print(f"classify.py: {error.filename}: {error.strerror or error}", file=sys.stderr)
        return EXIT_USAGE
    except MemoryError:
        print(f"classify.py: {arguments.model}: out of memory: see --max-memory-mb", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


# ---- the process ----------------------------------------------------------------------------------------------------


def reopen_closed_output() -> None:
    """Open standard output on nothing where the caller closed it: else the next file opened would be descriptor 1."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # until the end


def supervised(command: Callable[[], int]) -> int:
    """Run the command in a child process and end with its exit code; where a runtime or a decoder crashes, a line and 1.

    C code that a hostile file brings to a crash takes its process with it: this one is left to say so. The child is
    forked before a runtime is imported or a model opened, so that nothing is loaded twice.
    """
    if not (hasattr(os, "fork") and hasattr(signal, "sigwaitinfo")):
        return command()  # Windows and macOS
    awaited = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    child = os.fork()
    if child == 0:
        _end_with_parent()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _end_at_once(command())
    code = _ended(child, awaited)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if code >= 0:
        _end_at_once(code)
    if -code in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # somebody's wish, so it is passed on as how this one ends
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return _tell_crash(signal.Signals(-code).name)


def _ended(child: int, awaited: set[signal.Signals]) -> int:
    """Wait for the child, pass on what only this process was sent, and return its exit code or minus its signal."""
    while True:
        got = signal.sigwaitinfo(awaited)
        if got.si_signo != signal.SIGCHLD:
            if got.si_pid:  # else it is the terminal's Ctrl-C, which the child got too
                os.kill(child, got.si_signo)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)  # 0: it was only stopped, by Ctrl-Z
        if ended:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def _end_at_once(code: int) -> NoReturn:
    """End this process: there is nothing to tidy up, and an interpreter with a runtime in it takes its time for that."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError):  # closed by the caller; gone away or full, which was told of already
            stream.flush()
    os._exit(code)


def _end_with_parent() -> None:
    """Let this process be killed where its parent is, and leave no core file."""
    import ctypes  # numpy has imported it already
    import resource

    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _tell_crash(name: str) -> int:
    arguments = build_parser().parse_intermixed_args()
    why = {
        "SIGKILL": "was killed, by a lack of memory or by somebody",
        "SIGABRT": f"aborted, as for a lack of memory (--max-memory-mb is {arguments.max_memory_mb})",
    }.get(name, "crashed")
    print(
        f"classify.py: {arguments.model}: the process that worked with it {why} ({name}): a damaged model or picture, "
        "or a defect of the runtime: copy the file again, or take another runtime (--runtime)",
        file=sys.stderr,
    )
    return EXIT_FAILED


def confine_memory(limit_bytes: int) -> None:
    """Bound this process's own memory (RLIMIT_DATA, getrlimit(2)): an allocation beyond it fails at once."""
    try:
        import resource
    except ImportError:  # Windows: the run goes on without a bound
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or hard > limit_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))


if __name__ == "__main__":
    reopen_closed_output()
    sys.exit(supervised(main))
