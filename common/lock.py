"""Only one process at a time writes a file or folder: a second one is refused, with the name of the first."""

import errno
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from common.files import sweep
from device.errors import CheckFailed, EdgeproofError

LINE_SHOWN = 80
FULL = (errno.ENOSPC, errno.EDQUOT)
ONLY_READ = (errno.EROFS, errno.EACCES, errno.EPERM)
HELD = (errno.EAGAIN, errno.EACCES)
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # the file system has no locks: nothing is locked there


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock on a file or folder that a command writes: a file beside it. The kernel frees it when a process ends.

    First, what killed runs left there is finished or removed. Raises CheckFailed where another process holds it,
    EdgeproofError where nothing can be written.
    """
    folder = path.parent
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _locked(folder / f".{path.name}.lock", path)
    except OSError as error:
        raise EdgeproofError(f"{path}: cannot be written: {error.strerror}: {_advice(error, path)}") from error
    try:
        sweep(folder)
        yield
    finally:
        (folder / f".{path.name}.lock").unlink(missing_ok=True)  # still locked: a process that waits sees that it is gone
        os.close(handle)
        with suppress(OSError):  # a folder with files in it stays
            for parent in made:
                parent.rmdir()


def _advice(error: OSError, path: Path) -> str:
    """Return what to do about an error of writing there."""
    if error.errno in FULL:
        return "free some space or choose another folder"
    file = next((parent for parent in path.parents if parent.is_file()), None)
    if file is not None:
        return f"{file} is a file, and a folder of that name is needed: rename it, or work in another folder"
    if error.errno in ONLY_READ:
        return "this user may only read there: work in another folder, or change its rights"
    return "choose another folder"


def _locked(lock: Path, path: Path) -> int:
    """Open and lock the lock file, with our name in it."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), lock.stat()):  # else its holder has removed it in the meantime
                    _sign(handle)
                    return handle
        except OSError as error:
            holder = _holder(handle)
            os.close(handle)
            if error.errno not in HELD:
                raise
            raise CheckFailed(f"{path}: {holder} is writing there: wait until it has ended, or write elsewhere") from None
        os.close(handle)


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise


def _sign(handle: int) -> None:
    os.truncate(handle, 0)
    words = [Path(sys.argv[0]).parent.name, *sys.argv[1:]]
    os.pwrite(handle, json.dumps({"process": os.getpid(), "command": " ".join(words)}).encode(), 0)


def _holder(handle: int) -> str:
    """Say which process holds the lock."""
    try:
        said = json.loads(os.pread(handle, 4096, 0))
        return f"process {int(said['process'])} ({str(said['command'])[:LINE_SHOWN]!r})"
    except (ValueError, KeyError, TypeError):  # it has the lock but has not written its name yet
        return "another process"
