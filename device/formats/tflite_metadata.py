"""Reads the standard metadata of a `.tflite` (the TFLITE_METADATA entry): the values that it takes, its labels.

Layout: metadata_schema.fbs of tensorflow/tflite-support, file identifier M001. convert/formats/tflite_metadata.py writes it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from device.files import archive_errors
from device.formats.flatbuffer_reader import Flatbuffer, Kind
from device.formats.labels import labels_of_lines
from device.formats.tflite_graph import metadata_content
from device.pictures.input_range import InputRange

ENTRY = b"TFLITE_METADATA"
TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS = 2, 3  # AssociatedFileType
NORMALIZATION = 1  # member of the union ProcessUnitOptions
LABELS_LIMIT_BYTES = 4 << 20
_TABLES: Mapping[str, Mapping[int, Kind]] = {
    "metadata": {3: ["subgraph"]},
    "subgraph": {2: ["tensor"], 3: ["tensor"]},
    "tensor": {4: ["process unit"], 6: ["file"]},
    "file": {0: 1},
    "normalization": {0: 4, 1: 4},
}


@dataclass(frozen=True)
class Metadata:
    """What standard metadata says; None for a field that it does not have."""

    input_range: Optional[InputRange] = None
    labels_file: Optional[str] = None


NO_METADATA = Metadata()


def read_metadata(data: bytes) -> Metadata:
    """Read the standard metadata of a model's bytes. A damaged part counts as absent."""
    try:
        content = metadata_content(data, ENTRY)
        if not content:
            return NO_METADATA
        file = Flatbuffer(content, _TABLES)
        graph = file.table(file.number(0), "metadata")[3][0]
        return Metadata(_normalization(file, graph), next(_label_files(file, graph), None))
    except (ValueError, KeyError, IndexError):
        return NO_METADATA


def _normalization(file: Flatbuffer, graph: Mapping[int, Any]) -> Optional[InputRange]:
    """Return the range that (value - mean) / std of the first input gives."""
    units = [unit for tensor in graph.get(2, [])[:1] for unit in tensor.get(4, ())]
    for unit in units:
        if 0 not in unit or 1 not in unit or file.number(unit[0], 1) != NORMALIZATION:
            continue
        options = file.field(unit[1], "normalization")
        mean, std = (file.floats(options[field]) if field in options else [] for field in (0, 1))
        if len(mean) in (1, 3) and len(std) in (1, 3) and all(std):
            wide = max(len(mean), len(std))
            mean, std = mean * (wide // len(mean)), std * (wide // len(std))
            offset = tuple(-m / s for m, s in zip(mean, std))
            return InputRange("as its metadata says", tuple(1 / s for s in std), offset)
    return None


def _label_files(file: Flatbuffer, graph: Mapping[int, Any]) -> Iterator[str]:
    for entry in (entry for tensor in graph.get(3, [])[:1] for entry in tensor.get(6, ())):
        kind = file.number(entry[2], 1) if 2 in entry else 0
        if kind in (TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS) and 0 in entry:
            yield file.bytes(entry[0]).decode("utf-8", "replace")


def metadata_labels(data: bytes, name: str) -> Optional[list[str]]:
    """Return the labels in a file of the ZIP archive behind a model, or None where they cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(name) as member:
            return labels_of_lines(member.read(LABELS_LIMIT_BYTES).decode("utf-8-sig")) or None
    except archive_errors():
        return None
