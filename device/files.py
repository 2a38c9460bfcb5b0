"""Reading files of limited size, and JSON."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, Union

from device.errors import EdgeproofError

# Python says it in other words in each version
NOT_A_NAME = "cannot be read: its name has a character that no file's name can have"


def read_bytes(path: Path) -> bytes:
    """Read a whole file. Raises EdgeproofError for a missing file, and for what is none: a FIFO would block for ever."""
    try:
        if path.is_dir():
            raise EdgeproofError(f"{path}: is a folder")
        if path.exists() and not path.is_file():
            raise EdgeproofError(f"{path}: is no regular file")
        archive = next((parent for parent in path.parents if parent.is_file()), None)
        return path.read_bytes() if archive is None else _member(archive, path)
    except OSError as error:
        raise EdgeproofError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise EdgeproofError(f"{str(path)!r}: {NOT_A_NAME}") from error


def _member(archive: Path, path: Path) -> bytes:
    """Read a file inside a ZIP: `x.pyz/model.tflite`."""
    import zipfile

    try:
        with zipfile.ZipFile(archive) as members:
            return members.read(path.relative_to(archive).as_posix())
    except OSError:  # told as that of any file
        raise
    except archive_errors() as error:
        raise EdgeproofError(
            f"{path}: cannot be read from {archive.name} ({error}): copy {archive.name} again, or pack it without a password"
        ) from error


def archive_errors() -> tuple[type[Exception], ...]:
    """Return what zipfile raises for an archive that is damaged, encrypted, or packed in a strange way."""
    import struct
    import zipfile

    of_formats = (zipfile.BadZipFile, zlib.error, struct.error)
    errors = (*of_formats, EOFError, KeyError, OSError, OverflowError, RuntimeError, ValueError)
    try:
        import lzma
    except ImportError:  # this Python was built without it
        return errors
    return (*errors, lzma.LZMAError)


def parse_json(text: Union[str, bytes]) -> Any:
    """Parse JSON as the standard has it. Raises ValueError for NaN, Infinity and a key that occurs twice in an object.

    Python's parser accepts all of these. Of two values it takes the last, another parser may take the first.
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON has")
