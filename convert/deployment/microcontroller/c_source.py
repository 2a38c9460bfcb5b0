"""Values and texts as C source that compiles without warnings."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from device.errors import ModelError

C_TYPES = {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "float32": "float"}
A_LINE = 24  # values
PLAIN = frozenset(map(ord, " !#$%&'()*+,-./0123456789:;<=>@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"))


def c_type(dtype: np.dtype[Any]) -> str:
    """Return the type in C of a tensor's values. Raises ModelError for one that microcontrollers are not given."""
    if dtype.name not in C_TYPES:
        raise ModelError(f"takes or gives {dtype.name}, expected {', '.join(C_TYPES)}: convert it as int8")
    return C_TYPES[dtype.name]


def c_values(values: npt.NDArray[Any]) -> str:
    """Return values (N,) as the inside of an initializer, some a line."""
    texts = [_number(value) for value in values.tolist()]
    lines = (", ".join(texts[at : at + A_LINE]) for at in range(0, len(texts), A_LINE))
    return ",\n  ".join(lines)


def c_rows(values: npt.NDArray[Any]) -> str:
    """Return values (N, M) as the inside of an initializer of an array of arrays."""
    return ",\n  ".join(f"{{{c_values(row)}}}" for row in values)


def c_float(value: float) -> str:
    """Return a number as a float of C: the shortest text that is read as the same float32. Raises ModelError for NaN."""
    if not np.isfinite(value):
        raise ModelError("answers a golden picture with NaN or an infinite number: its weights are damaged: copy it again")
    return f"{np.float32(value)!s}f"


def c_string(text: str) -> str:
    """Return a text as a string of C, UTF-8. What is not plain ASCII is escaped; so is "?", which begins trigraphs."""
    return '"' + "".join(_escaped(text.encode("utf-8", "surrogateescape"))) + '"'


def _escaped(data: bytes) -> Iterator[str]:
    for byte in data:
        yield chr(byte) if byte in PLAIN else f"\\{byte:03o}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else c_float(value)
