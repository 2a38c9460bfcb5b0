"""Writing files so that a killed run leaves the old file or the new one, never a part of one.

A file is written beside its final place under a hidden temporary name, and its writer holds a kernel lock on it: a
temporary file without a lock is from a dead run, and is removed. Files that belong together get their names together: a
journal lists the moves, and the next run finishes the moves that a killed run began.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from device.errors import EdgeproofError
from device.files import parse_json, read_bytes

TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp(\..+)?")  # what `_temporary` and tempfile make: hidden, with eight letters
SCRATCH = "edgeproof-run-"
SETTLED_S = 60
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL = (*NO_SPACE, errno.EIO, errno.EROFS)  # a disk that takes no more
ONLY_READ = (errno.EROFS, errno.EACCES, errno.EPERM)
JOURNAL = re.compile(r"\.[0-9a-f]{16}\.moves")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its endings. On success it replaces `path`, else it is removed.

    Raises EdgeproofError where the folder cannot be written to.
    """
    with ExitStack() as stack:
        with _telling(path):
            temporary = stack.enter_context(_temporary(path))
        with _telling(path, (temporary,)):
            yield temporary
        with _telling(path):
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)


@contextmanager
def replacing_together(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Yield a temporary path for each of `paths`, all in one folder. On success they replace the old files together.

    A killed run leaves all old files or all new ones for those who read them within `reading_together`.
    """
    folder = paths[0].parent
    with ExitStack() as stack:
        with _telling(paths[0]):
            temporaries = tuple(stack.enter_context(_temporary(path)) for path in paths)
        with _telling(paths[0], temporaries):
            yield temporaries
        with _telling(paths[0]):
            for temporary in temporaries:
                _flush(temporary)
            _move(folder, {temporary.name: path.name for temporary, path in zip(temporaries, paths, strict=True)})


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder` that replaces it on success; a killed run leaves the old or the new one."""
    with ExitStack() as stack:
        with _telling(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
            stack.callback(_discard, temporary)
            stack.enter_context(_held(temporary, fcntl.LOCK_EX))
            new = temporary / "new"
            new.mkdir()
        with _telling(folder, (new,)):
            yield new
        with _telling(folder):
            for path in [file for file in new.rglob("*") if file.is_file()]:
                _flush(path)
            _move(folder.parent, {f"{temporary.name}/{new.name}": folder.name})


@contextmanager
def reading_together(folder: Path) -> Iterator[None]:
    """Keep a folder's files unchanged, all moved or none; moves that a killed run began are finished first.

    Raises EdgeproofError where it cannot be.
    """
    if not folder.is_dir():  # the reader will say what is missing
        yield
        return
    while True:
        with _held(folder, fcntl.LOCK_SH):
            if not _journals(folder):
                yield
                return
        sweep(folder)


def sweep(folder: Path) -> None:
    """Finish the moves that killed runs began in a folder, then remove their unfinished files."""
    with _telling(folder), _held(folder, fcntl.LOCK_EX):
        _finish_moves(folder)
        for path in folder.iterdir():
            if TEMPORARY.fullmatch(path.name):
                _remove_if_dead(path)


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold a folder for a short time: other processes that want it wait."""
    with ExitStack() as stack:
        with _telling(folder):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_held(folder, fcntl.LOCK_EX))
        with _telling(folder, ()):
            yield


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a scratch folder in the system's temporary folder; those of dead runs are removed."""
    place = Path(tempfile.gettempdir())
    with _telling(place):
        for path in place.glob(f"{SCRATCH}*"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > SETTLED_S:  # else it may not be locked yet
                    _remove_if_dead(path)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
    try:
        with _held(folder, fcntl.LOCK_EX):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_temporary_files_in(folder: Path) -> None:
    """Let this process and those that it starts make their temporary files in a folder that another process removes.

    A process that ends at once leaves some behind, as a child of multiprocessing does: TensorFlow removes its generated
    code when Python ends.
    """
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # else Python goes on with the folder that it found first


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, document: Any) -> None:
    """Write JSON atomically, readable for people. Raises ValueError for NaN, which JSON does not have."""
    write_bytes(path, json_bytes(document))


def json_bytes(document: Any) -> bytes:
    """Return JSON as files hold it. Raises ValueError for NaN."""
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def read_json(path: Path, advice: str = "restore it or delete it and run again") -> Any:
    """Read JSON, also with a byte order mark. Raises EdgeproofError with the file, the place of the defect and `advice`."""
    try:
        return parse_json(read_bytes(path).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise EdgeproofError(f"{path}: is no readable JSON: {error}: {advice}") from error


def read_document(path: Path, schema: int, instead: str) -> dict[str, Any]:
    """Read a JSON object of ours. Raises EdgeproofError for one of another schema, with what to do instead of updating."""
    document = read_json(path)
    found = document.get("schema") if isinstance(document, dict) else None
    if found != schema:
        raise EdgeproofError(f"{path}: schema is {found!r}, this version reads {schema}: {instead} or update")
    return dict(document)


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cannot_write(path: Path, error: OSError) -> EdgeproofError:
    """Return the error for a path that the system refuses to write; only a full disk is told to free some space."""
    return EdgeproofError(f"{path}: cannot be written: {error.strerror or error}: {_advice(path, error)}")


def _advice(path: Path, error: OSError) -> str:
    """Return what to do about an error of writing there."""
    if _is_one_of(error, NO_SPACE):
        return "free some space or choose another folder"
    file = next((parent for parent in path.parents if parent.is_file()), None)
    if file is not None:
        return f"{file} is a file, and a folder of that name is needed: rename it, or work in another folder"
    if _is_one_of(error, ONLY_READ):
        return "this user may only read there: work in another folder, or change its rights"
    return "choose another folder"


# ---- implementation -------------------------------------------------------------------------------------------------


@contextmanager
def _telling(path: Path, written: Sequence[Path] | None = None) -> Iterator[None]:
    """Turn an error of the system into a message that names the path.

    In a block of the caller's, only errors of writing to `written` are turned: it may read other files, too, and one that
    is missing there is no reason to free some space.
    """
    try:
        yield
    except OSError as error:
        if written is not None and not _is_of_writing(error, written):
            raise
        raise cannot_write(path, error) from error


def _is_of_writing(error: OSError, written: Sequence[Path]) -> bool:
    """Say whether an error is about one of these paths, or is that of a full disk, which names no file."""
    if isinstance(error.filename, str | bytes):
        return any(Path(os.fsdecode(error.filename)).is_relative_to(path) for path in written)
    return _is_one_of(error, FULL)


def _is_one_of(error: OSError, numbers: Sequence[int]) -> bool:
    """Say whether an error has one of these numbers; h5py and zipfile raise some with only its text."""
    return error.errno in numbers or (error.errno is None and any(os.strerror(number) in str(error) for number in numbers))


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path`, locked for as long as it is written; removed unless it was moved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    endings = "".join(path.suffixes)  # all of them: Keras insists on .weights.h5
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{endings}")
    # Not mkstemp: its files are private, and only the kernel knows whom the user lets read new ones (umask)
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with suppress(OSError):  # a file system without locks
            _lock_file(handle)
        yield temporary
    finally:
        _discard(temporary)
        os.close(handle)


def _flush(path: Path) -> None:
    """Flush a file or folder to the disk: a file before it gets its name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _held(path: Path, how: int) -> Iterator[None]:
    """Wait for the kernel's lock on a folder or file and hold it; it ends with this process."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _move(folder: Path, moves: dict[str, str]) -> None:
    """Move temporary files to their names, all or none: all as soon as the journal is written."""
    journal = folder / f".{secrets.token_hex(8)}.moves"
    with _held(folder, fcntl.LOCK_EX):
        _finish_moves(folder)
        write_json(journal, moves)
        _finish_moves(folder)


def _finish_moves(folder: Path) -> None:
    """Do what the journals in a folder say; what of it is done already is left. The folder is held."""
    for journal in _journals(folder):
        for new, place in _moves_of(journal).items():
            _take_place(folder / new, folder / place)
        _flush(folder)
        journal.unlink(missing_ok=True)


def _take_place(new: Path, place: Path) -> None:
    if not new.exists():  # moved already
        return
    if place.is_dir():  # a rename replaces a file, but a folder only if it is empty
        old = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".tmp", dir=place.parent))
        place.replace(old)
        new.replace(place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        new.replace(place)


def _journals(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if JOURNAL.fullmatch(path.name)]


def _moves_of(journal: Path) -> dict[str, str]:
    """Read a journal: temporary names and their final names. Nothing is moved out of the folder, or into it."""
    moves = read_json(journal)
    if not isinstance(moves, dict):
        return {}
    return {new: place for new, place in moves.items() if _is_temporary(new) and _is_plain(place)}


def _is_temporary(name: str) -> bool:
    first, _, inside = name.partition("/")
    return TEMPORARY.fullmatch(first) is not None and (not inside or _is_plain(inside))


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and name == Path(name).name and name not in ("", ".", "..")


def _discard(temporary: Path) -> None:
    """Remove what was not moved, unless a journal names it: after an interruption the next run moves it."""
    with suppress(OSError, EdgeproofError):
        named = [new.partition("/")[0] for journal in _journals(temporary.parent) for new in _moves_of(journal)]
        if temporary.exists() and temporary.name not in named:
            _remove(temporary)


def _remove_if_dead(path: Path) -> None:
    """Remove a temporary file or folder that no process has locked."""
    is_folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    except OSError:  # removed in the meantime
        return
    try:
        if is_folder:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _lock_file(handle)
        _remove(path)
    except OSError:  # another process is writing it
        return
    finally:
        os.close(handle)


def _lock_file(handle: int) -> None:
    """Lock an open file, else raise OSError. HDF5 uses flock on the same file, so this is an open file description lock."""
    whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)  # struct flock of 64-bit Linux
    fcntl.fcntl(handle, fcntl.F_OFD_SETLK, whole)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
