"""Files that a command is told to write: none of them may be what it reads, or another one of them."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from device.errors import EdgeproofError


def refuse_overwriting(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None]) -> None:
    """Raise EdgeproofError where an output, by its option, is an input, lies in one, or is written twice."""
    read = [_real(path) for path in inputs if path is not None]
    written: dict[Path, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        place = _real(path)
        if any(place == one or one in place.parents for one in read):
            raise EdgeproofError(f"{option} {path}: would be written over what is read: name another file")
        if place in written:
            raise EdgeproofError(f"{option} {path}: {written[place]} writes there, too: name another file")
        written[place] = option


def _real(path: Path) -> Path:
    """Return where a path leads; a link to itself, at which Path.resolve() raises, leads to itself."""
    return Path(os.path.realpath(path))
