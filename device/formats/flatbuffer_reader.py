"""Reads flatbuffers (flatbuffers.dev/internals), so that a device needs no package for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

import numpy as np

# A table's fields by their numbers: the item size of a vector in bytes, the name of a table, a list of tables of a name. A
# field that is not listed is a number, and its position is returned.
Kind = Union[int, str, list[str], None]
Span = tuple[int, int]  # of a vector: where its items begin, how many there are


class Flatbuffer:
    """Reads tables. Raises ValueError for an offset that leads out of the file."""

    def __init__(self, data: bytes, tables: Mapping[str, Mapping[int, Kind]]) -> None:
        self._data, self._tables = data, tables
        self._left = len(data) // 4  # tables that fit into the file: with shared offsets a walk could be endless
        self._offsets: dict[int, tuple[int, ...]] = {}  # by the vtable's position: tables of one kind share it

    def number(self, at: int, size: int = 4, signed: bool = False) -> int:
        """Return the whole number of `size` bytes at a position."""
        self._inside(at, size)
        return int.from_bytes(self._data[at : at + size], "little", signed=signed)

    def numbers(self, span: Span) -> list[int]:
        """Return the items of a vector of int32."""
        return np.frombuffer(self._data, "<i4", span[1], span[0]).tolist() if span[1] else []

    def table(self, at: int, kind: str) -> dict[int, Any]:
        """Return a table's fields: the position of a number, the span of a vector, or tables."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("more tables than it has room for")
        offsets = self._vtable(at - self.number(at, signed=True))
        self._inside(at, offsets[0])
        kinds = self._tables.get(kind, {})
        return {number: self.field(at + offset, kinds.get(number)) for number, offset in enumerate(offsets[1:]) if offset}

    def field(self, at: int, kind: Kind) -> Any:
        """Return a field at a position, in the form that `table` gives it."""
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
        """Return the size of a table and the offsets of its fields; 0 for a field that is absent."""
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

    def bytes(self, span: Span) -> bytes:
        """Return the items of a vector of bytes; a string is one too."""
        return self._data[span[0] : span[0] + span[1]]

    def floats(self, span: Span) -> list[float]:
        """Return the items of a vector of float32."""
        return np.frombuffer(self._data, "<f4", span[1], span[0]).tolist() if span[1] else []
