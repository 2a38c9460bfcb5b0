"""Which files are pictures, and how they are arranged in folders: class folders, training and test parts."""

from __future__ import annotations

import importlib.util
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from device.errors import EdgeproofError

PICTURE_ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".avif", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip
HEIC_ENDINGS = (".heic", ".heif")  # from telephones; pillow-heif reads them
PART_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
ARCHIVERS = ("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini")


def reads_heic() -> bool:
    """Say whether pillow-heif is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def left_out_reason(path: Path) -> Optional[str]:
    """Say why a file in a folder is no picture, in words that follow a number; None for a picture."""
    ending = path.suffix.lower()
    if _is_hidden(path.name):
        return "hidden"
    if ending in HEIC_ENDINGS:
        return None if reads_heic() else "HEIC (pip install pillow-heif)"
    return None if ending in PICTURE_ENDINGS else f"no picture ({path.suffix or 'no ending'})"


def left_out_text(left_out: Mapping[str, int]) -> str:
    """Return what was left out, counted by reason: "3 no picture (.txt), 1 hidden"."""
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()))


def pictures_below(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    """Yield a folder's pictures at any depth, sorted, also those in linked folders; what is left out is counted."""
    for path in sorted(_files_below(folder, left_out)):
        inner = path.relative_to(folder).parts[:-1]
        reason = "hidden" if any(map(_is_hidden, inner)) else left_out_reason(path)
        if reason is None:
            yield path
        else:
            left_out[reason] += 1


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in ARCHIVERS


def _files_below(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    """Yield a folder's regular files at any depth; each folder is read once, by its own name before those of links to it."""
    folders, linked, read = [folder], list[Path](), set[tuple[int, int]]()
    while folders or linked:
        path = folders.pop() if folders else linked.pop(0)
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in read:
                left_out["link to a folder that is read anyway"] += 1
                continue
            read.add((status.st_dev, status.st_ino))
            entries = list(path.iterdir())
        except OSError as error:
            left_out[f"folder that cannot be read ({path}: {error.strerror})"] += 1
            continue
        for inside in entries:
            kind = _kind(inside)
            if kind is None:
                yield inside
            elif kind == "folder":
                folders.append(inside)
            elif kind == "linked folder" and not _is_hidden(inside.name):
                linked.append(inside)
            else:
                left_out["hidden" if _is_hidden(inside.name) else kind] += 1


def _kind(path: Path) -> Optional[str]:
    """Say what a path is, in words that follow a number; None for a regular file or a link to one."""
    is_link = os.path.islink(path)  # noqa: PTH114  # Path.is_symlink raises OSError where it may not look
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "link to nothing" if is_link else f"not to be read ({error.strerror})"
    if stat.S_ISDIR(mode):
        return "linked folder" if is_link else "folder"
    return None if stat.S_ISREG(mode) else "no regular file"


@dataclass(frozen=True)
class ClassFolders:
    """The pictures of each class folder in alphabetical order, and what was left out, counted by reason."""

    files: Mapping[str, list[Path]]
    left_out: Counter[str] = field(default_factory=Counter)


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones and those that programs make."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name not in ARCHIVERS
    )


def class_folders(folder: Path, leave_out: Set[Path] = frozenset(), labels: Optional[Sequence[str]] = None) -> ClassFolders:
    """Read a folder of class folders. Raises EdgeproofError for a class without a usable picture.

    Where the labels are known, an empty folder of another name is only counted.
    """
    found: dict[str, list[Path]] = {}
    left_out: Counter[str] = Counter()
    for path in folder.iterdir():
        if path.is_file():
            left_out["beside the class folders" if left_out_reason(path) is None else str(left_out_reason(path))] += 1
    for class_folder in folders_in(folder):
        own: Counter[str] = Counter()
        found[class_folder.name] = _class_files(class_folder, leave_out, own)
        if not found[class_folder.name] and labels is not None and class_folder.name not in labels:
            del found[class_folder.name]
            own["folders without pictures"] += 1
        elif not found[class_folder.name]:
            why = f" (left out: {left_out_text(own)})" if own else ""
            raise EdgeproofError(
                f"{class_folder}: class {class_folder.name!r} holds no usable picture{why}: add some, or remove the folder"
            )
        left_out += own
    return ClassFolders(found, left_out)


def _class_files(folder: Path, leave_out: Set[Path], left_out: Counter[str]) -> list[Path]:
    files = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            inside = Counter[str]()
            count = sum(1 for _ in pictures_below(path, inside)) if not path.name.startswith(".") else 0
            left_out["in folders inside of class folders"] += count
            continue
        reason = "unusable" if path in leave_out else left_out_reason(path)
        if reason is None:
            files.append(path)
        else:
            left_out[reason] += 1
    for reason in [reason for reason, count in left_out.items() if not count]:
        del left_out[reason]
    return files


def parts_of(folder: Path) -> dict[str, Path]:
    """Map train, val and test to the folders with these or other usual names that hold class folders.

    Returns {} where there are none. Raises EdgeproofError for two folders that would be the same part.
    """
    found: dict[str, Path] = {}
    for path in folders_in(folder):
        part = PART_NAMES.get(path.name.lower())
        if part is None or not folders_in(path):
            continue
        if part in found:
            raise EdgeproofError(f"{folder}: {found[part].name} and {path.name} would both be the part {part}: keep one")
        found[part] = path
    return found


def refuse_ambiguous(folder: Path, names: Sequence[str], labels: Sequence[str]) -> None:
    """Raise EdgeproofError where the name of a class folder stands among the labels more than once."""
    counts = Counter(labels)
    for name in names:
        if counts[name] > 1:
            raise EdgeproofError(f"{folder}: class folder {name} could be {counts[name]} labels of that name: leave it out")
