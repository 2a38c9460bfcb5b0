"""Writing files so that a killed run leaves the old file or the new one, never half of one."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from device.classify import EdgeproofError, parse_json, read_bytes

BUILD = Path("build")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its ending; on success it takes the place of `path`, else it is removed.

    Raises EdgeproofError where the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}", dir=path.parent)
    except OSError as error:
        raise EdgeproofError(f"{path}: cannot be written: {error.strerror}: make room or choose another folder") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp's files are private
        temporary.replace(path)
    except OSError as error:
        raise EdgeproofError(f"{path}: cannot be written: {error.strerror}: make room or choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, document: Any) -> None:
    """Write JSON atomically, for people to read too. Raises ValueError for NaN, which JSON does not have."""
    write_bytes(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON. Raises EdgeproofError that names the file and the place of the defect."""
    try:
        return parse_json(read_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise EdgeproofError(f"{path}: is no readable JSON: {error}: restore it or delete it and run again") from error


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
