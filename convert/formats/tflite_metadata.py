"""The standard metadata of a `.tflite` (the TFLITE_METADATA entry), for the Android and MediaPipe tools that read it.

Layout: metadata_schema.fbs, schema version 1.1.0, file identifier M001, of tensorflow/tflite-support (commit
02e5df0f84949c0db713916d1147e4499f73c06a, tensorflow_lite_support/metadata/); the numbers of fields, enumerations and
union members below are its order. tflite-support, which could write it, is unmaintained and needs an old protobuf.

Readers compute (x - mean) / std on pixels 0..255. Our graphs take 0..255, so mean is 0 and std is 1: float models get the
pixels as they are, and so do uint8 models, whose input has scale 1 and zero point 0. The labels are an associated file:
labels.txt in the ZIP archive that convert/formats/card_writer.py appends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convert.formats.tflite_reader import read_model
from convert.formats.tflite_writer import keeps_weights_outside, pack
from device.errors import CheckFailed
from device.formats.model_file import LABELS_MEMBER

ENTRY = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
MIN_PARSER_VERSION = "1.0.0"  # every field used here was in the first version
RGB, GRAYSCALE = 1, 2  # ColorSpaceType
TENSOR_AXIS_LABELS = 2  # AssociatedFileType
FEATURE_PROPERTIES, IMAGE_PROPERTIES = 1, 2  # members of the union ContentProperties
NORMALIZATION_OPTIONS = 1  # member of the union ProcessUnitOptions


@dataclass(frozen=True)
class _Byte:
    value: int


@dataclass(frozen=True)
class _Table:
    """A flatbuffer table: its fields in the schema's order, None where one is left out."""

    fields: tuple["_Value", ...]


_Value = str | _Byte | _Table | Sequence[float] | Sequence[_Table] | None


def with_metadata(model: bytes, card: Mapping[str, Any]) -> bytes:
    """Return a `.tflite` flatbuffer with the metadata that follows from a card, in place of any that it had.

    Tensors, operations and the other metadata entries stay as they are. Raises CheckFailed for a model whose buffers lie
    outside the flatbuffer (over 2 GB), which cannot be packed again.
    """
    from ai_edge_litert import schema_py_generated as schema

    unpacked = read_model(model)
    if keeps_weights_outside(unpacked):
        raise CheckFailed("the model keeps its weights outside the flatbuffer: models over 2 GB get no metadata")
    entries = [entry for entry in unpacked.metadata or [] if entry.name != ENTRY]
    old = [entry for entry in unpacked.metadata or [] if entry.name == ENTRY]
    entry = old[0] if old else schema.MetadataT()
    if not old:
        entry.name, entry.buffer = ENTRY, len(unpacked.buffers)
        unpacked.buffers.append(schema.BufferT())
    unpacked.metadata = [*entries, entry]
    unpacked.buffers[entry.buffer].data = model_metadata(card)
    return pack(unpacked)


def model_metadata(card: Mapping[str, Any]) -> bytes:
    """Return the ModelMetadata flatbuffer that describes a card's model."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, _described(card)), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _described(card: Mapping[str, Any]) -> _Table:
    """Return ModelMetadata: name, description, version, subgraph_metadata, then author, license, files, parser version."""
    subgraph = _Table((None, None, [_input(card)], [_output()]))
    # The last field identifies the trained model: readers show it as the version
    version = str(card.get("provenance", {}).get("source_sha256", ""))[:12] or "1"
    description = f"{len(card['labels'])} classes, converted by edgeproof as {card['variant']}"
    return _Table((card["model"], description, version, [subgraph], None, None, None, MIN_PARSER_VERSION))


def _input(card: Mapping[str, Any]) -> _Table:
    """Return TensorMetadata: name, description, dimension_names, content, process_units, stats, associated_files."""
    steps = ", ".join(step[0] for step in card["preprocess"])
    description = f"Pixels 0..255 (1, height, width, channels) after these steps of the edgeproof card: {steps}"
    color_space = _Byte(RGB if card["input"]["channels"] == 3 else GRAYSCALE)
    size = None  # the tensor's own shape is fixed
    content = _Table((_Byte(IMAGE_PROPERTIES), _Table((color_space, size))))
    normalization = _Table((_Byte(NORMALIZATION_OPTIONS), _Table(([0.0], [1.0]))))  # mean, std
    stats = _Table(([255.0], [0.0]))  # max, min
    return _Table(("image", description, None, content, [normalization], stats))


def _output() -> _Table:
    content = _Table((_Byte(FEATURE_PROPERTIES), _Table(())))
    stats = _Table(([1.0], [0.0]))  # max, min
    labels = _Table((LABELS_MEMBER, "One label a line, in the order of the outputs", _Byte(TENSOR_AXIS_LABELS)))
    return _Table(("probabilities", "The probability of each class", None, content, None, stats, [labels]))


def _write(builder: Any, table: _Table) -> int:
    """Write a table and its content; return its offset. Children come first: a flatbuffer is built from its end."""
    children = [
        None if isinstance(value, _Byte) or value is None else _write_child(builder, value) for value in table.fields
    ]
    builder.StartObject(len(table.fields))
    for slot, (value, offset) in enumerate(zip(table.fields, children, strict=True)):
        if isinstance(value, _Byte):
            builder.PrependInt8Slot(slot, value.value, 0)
        elif offset is not None:
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return int(builder.EndObject())


def _write_child(builder: Any, value: str | _Table | Sequence[float] | Sequence[_Table]) -> int:
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, _Table):
        return _write(builder, value)
    written = [_write(builder, item) if isinstance(item, _Table) else item for item in value]
    are_tables = isinstance(value[0], _Table)
    builder.StartVector(4, len(written), 4)  # offsets and floats both have 4 bytes
    for item in reversed(written):
        if are_tables:
            builder.PrependUOffsetTRelative(item)
        else:
            builder.PrependFloat32(item)
    return int(builder.EndVector())
