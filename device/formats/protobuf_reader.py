"""Walks protobuf's wire format (protobuf.dev/programming-guides/encoding), so that a device does not need onnx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

Bytes = Union[bytes, memoryview]


def varint(data: Bytes, at: int = 0) -> tuple[int, int]:
    """Return the number at a position, and the position behind it. Raises IndexError or ValueError for a damaged one."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number of over 64 bits")


def fields(data: Bytes) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield (field number, value, the field's whole bytes) of a message. Raises IndexError or ValueError for a cut one."""
    data, at = memoryview(data), 0
    while at < len(data):
        start = at
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        begin = at
        if wire == 0:
            _, at = varint(data, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, begin = varint(data, at)
            at = begin + length
        else:
            raise ValueError(f"wire type {wire} at byte {start}")
        if number == 0 or at > len(data):
            raise ValueError(f"field {number} at byte {start} ends at {at} of {len(data)}")
        yield number, data[begin:at], data[start:at]
