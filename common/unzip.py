"""Unpacking an untrusted ZIP: no path outside of the folder, no link, no ZIP bomb."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from device.errors import EdgeproofError
from device.files import archive_errors

MAX_BYTES = 4_000_000_000  # of all members unpacked
MAX_MEMBERS = 10_000
MAX_RATIO, SMALL_BYTES = 100, 200_000_000  # weights compress little: a larger ratio and size is a ZIP bomb


def unpack(archive: Path, folder: Path, max_bytes: int = MAX_BYTES) -> list[Path]:
    """Unpack a ZIP into a folder that exists; return the files. Raises EdgeproofError before anything unsafe is written."""
    try:
        with zipfile.ZipFile(archive) as members:
            entries = [entry for entry in members.infolist() if not entry.is_dir()]
            _check(archive, entries, max_bytes)
            return [_write(members, entry, folder) for entry in entries]
    except archive_errors() as error:
        raise EdgeproofError(f"{archive}: cannot be unpacked ({error}): download it again") from error


def check_archive(archive: Path) -> None:
    """Raise EdgeproofError for a ZIP that is not safe for a library to unpack, and for a file that is no ZIP."""
    try:
        with zipfile.ZipFile(archive) as members:
            _check(archive, [entry for entry in members.infolist() if not entry.is_dir()], MAX_BYTES)
    except archive_errors() as error:
        raise EdgeproofError(f"{archive}: is no whole ZIP ({error}): copy or download it again") from error


def _check(archive: Path, entries: list[zipfile.ZipInfo], max_bytes: int) -> None:
    if len(entries) > MAX_MEMBERS:
        raise EdgeproofError(f"{archive}: holds {len(entries):,} files, expected at most {MAX_MEMBERS:,}: not unpacked")
    for entry in entries:
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in entry.filename or stat.S_ISLNK(entry.external_attr >> 16):
            raise EdgeproofError(f"{archive}: holds {entry.filename!r}, which leaves its folder: nothing was unpacked")
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes or (total > SMALL_BYTES and total > MAX_RATIO * archive.stat().st_size):
        raise EdgeproofError(
            f"{archive}: would unpack to {total / 1e6:,.0f} MB, from {archive.stat().st_size / 1e6:,.1f} MB; expected at "
            f"most {max_bytes / 1e6:,.0f} MB and {MAX_RATIO} times its size: not unpacked"
        )


def _write(members: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> Path:
    """Write one member. Python's reader stops at the checked size, and raises if there is more."""
    path = folder / entry.filename.replace("\\", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    with members.open(entry) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    return path
