"""Packing a `.tflite` flatbuffer again after a change of its objects (convert/formats/tflite_reader.py reads it)."""

from typing import Any

DATA_ALIGNMENT = 16  # Buffer.data's force_align in TensorFlow's schema.fbs


def keeps_weights_outside(model: Any) -> bool:
    """Say whether buffers of a ModelT are behind the flatbuffer (offset and size): packing it again would lose them."""
    return any((buffer.offset or 0) > 1 for buffer in model.buffers)


def pack(model: Any) -> bytes:
    """Return a ModelT, which stays as it is, as the bytes of a file."""
    import flatbuffers

    builder, buffers = flatbuffers.Builder(1024), model.buffers
    model.buffers = [_AlignedBuffer(buffer.data) for buffer in buffers]
    try:
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    finally:
        model.buffers = buffers
    return bytes(builder.Output())


class _AlignedBuffer:
    """A buffer that is packed as the schema requires: the generated Python code leaves out its `force_align: 16`."""

    def __init__(self, data: Any) -> None:
        self._data = None if data is None else bytes(data)

    def Pack(self, builder: Any) -> int:  # noqa: N802  # called by the generated code
        """Write the buffer and return its offset."""
        from ai_edge_litert import schema_py_generated as schema

        start = None
        if self._data is not None:
            builder.StartVector(1, len(self._data), DATA_ALIGNMENT)
            builder.head -= len(self._data)
            builder.Bytes[builder.head : builder.head + len(self._data)] = self._data
            start = builder.EndVector()
        schema.BufferStart(builder)
        if start is not None:
            schema.BufferAddData(builder, start)
        return int(schema.BufferEnd(builder))
