"""What a bad input is, and the defects that any file can have."""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bad:
    """One input of the corpus. Its file's or folder's name is its defect."""

    path: Path
    kind: str  # what the table counts it under
    says: str = ""  # a pattern that the message about it holds, beside the file's name
    valid: bool = False  # odd, but to be taken: exit code 0
    any_end: bool = False  # it may be harmless (a flip in a weight): taken, or refused with a message
    by: str = ""  # a pattern: only commands that it matches have to refuse it; what the others do not look at is no defect
    named: str = ""  # what may stand in a message for the file's name: its folder, or what it belongs to
    nobody: bool = False  # to be read without root's rights, which permissions do not bind


def write(path: Path, data: bytes) -> Path:
    """Write a file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def no_files(folder: Path, ending: str, good: bytes) -> Iterator[Bad]:
    """Yield what is not a file, or cannot be read, although a file is expected."""
    yield Bad(write(folder / f"zero-bytes{ending}", b""), "zero bytes")
    yield Bad(write(folder / f"random-bytes{ending}", random.Random(0).randbytes(5_000)), "random bytes")
    yield Bad(write(folder / f"nul-bytes{ending}", bytes(5_000)), "NUL bytes")
    yield Bad(folder / f"missing{ending}", "missing", "no such file|No such file")
    (folder / f"a-folder{ending}").mkdir()
    yield Bad(folder / f"a-folder{ending}", "a folder", "folder|no such file|Is a directory")
    os.mkfifo(folder / f"a-fifo{ending}")
    yield Bad(folder / f"a-fifo{ending}", "a FIFO", "regular file|no file|no such file")
    (folder / f"a-loop{ending}").symlink_to(f"a-loop{ending}")
    yield Bad(folder / f"a-loop{ending}", "a link to itself")
    unreadable = write(folder / f"unreadable{ending}", good)
    unreadable.chmod(0)
    yield Bad(unreadable, "unreadable", "[Pp]ermission|not readable", nobody=True)
