"""Folders of class folders of pictures as a data set."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

import numpy as np

from common.files import sha256_of
from device.card import Step
from device.errors import EdgeproofError, PictureError
from device.pictures.picture_files import class_folders, folders_in, left_out_text, parts_of
from device.pictures.sources import labelled_pictures
from device.preprocessing.prepare import run_steps
from device.safe_text import printable
from train.data.dataset import DataReference, Dataset, Split, file_split

PARTS = ("train", "val", "test")


def load_folder(folder: Path, seed: int = 0, skipped: Sequence[str] = ()) -> Dataset:
    """Open a folder of class folders of pictures; the labels are the folders' names in alphabetical order.

    DIR/train, DIR/val and DIR/test (or other usual names, such as training, valid, Test) are the parts where they
    hold class folders; missing parts are drawn from DIR/train by class and by `seed`. Without these folders DIR itself
    holds the class folders and is split 80/10/10. Files in `skipped` (relative to the folder) are left out. All files that
    are left out are counted.
    Raises EdgeproofError for an empty folder or class, fewer than two classes, or classes that differ between parts.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise EdgeproofError(f"{folder}: no such folder, expected one folder a class with pictures in it")
    given, left_out = _given_parts(folder, {folder / name for name in skipped})
    classes = sorted(given["train"])
    for part, files in given.items():
        if sorted(files) != classes:
            odd = sorted(set(files) ^ set(classes))
            raise EdgeproofError(f"{folder / part}: its classes are not those of train: {', '.join(odd)} in one only")
    if odd := [name for name in classes if printable(name) != name]:
        raise EdgeproofError(f"{folder}: the names of class folders hold control characters: rename {', '.join(odd)}")
    if len(classes) < 2:
        raise EdgeproofError(f"{folder}: found {len(classes)} class folders with pictures, expected at least 2")
    parts = _complete_parts(folder, given, seed)
    return Dataset(
        reference=DataReference(folder.name, str(folder), seed, tuple(skipped)),
        labels=tuple(classes),
        **{part: _class_split(parts[part], classes) for part in PARTS},
        left_out=left_out,
    )


def _given_parts(folder: Path, leave_out: Set[Path]) -> tuple[dict[str, dict[str, list[Path]]], Counter[str]]:
    """Return the class folders' files of each part that exists, and what is left out."""
    parts = parts_of(folder)
    if not parts:
        found = class_folders(folder, leave_out)
        return {"train": dict(found.files)}, found.left_out
    if "train" not in parts:
        named = " and ".join(path.name for path in parts.values())
        raise EdgeproofError(f"{folder}: has {named} but no train folder: add train/CLASS/pictures")
    left_out: Counter[str] = Counter()
    given: dict[str, dict[str, list[Path]]] = {}
    for part, path in parts.items():
        found = class_folders(path, leave_out)
        given[part] = dict(found.files)
        left_out += found.left_out
    others = [path.name for path in folders_in(folder) if path not in parts.values()]
    if others:
        left_out[f"folders beside the parts ({', '.join(others)})"] += len(others)
    return given, left_out


def unusable(dataset: Dataset, steps: Sequence[Step]) -> dict[str, str]:
    """Decode and prepare every picture of a folder; return those that cannot be used, relative to it, with the reason.

    A picture that is also in an earlier part, byte for byte, is unusable too: tests on training pictures prove nothing.
    """
    folder = Path(str(dataset.reference.path))
    found: dict[str, str] = {}
    seen: dict[str, str] = {}  # of the earlier parts
    for split in (dataset.train, dataset.val, dataset.test):
        own: dict[str, str] = {}
        for index, source in enumerate(split.sources):
            path = Path(str(source))
            name = str(path.relative_to(folder))
            try:
                run_steps(split.open(index), steps)
            except PictureError as error:
                found[name] = str(error)
                continue
            digest = sha256_of(path)
            if digest in seen:
                found[name] = f"the same picture as {seen[digest]}, in another part"
            own[digest] = name
        seen = own | seen
    return found


def labelled_split(folder: Path, labels: Sequence[str], say: Callable[[str], None] = lambda _: None) -> Split:
    """Open a folder of class folders whose names are among a model's labels, as a test part for that model."""
    found = labelled_pictures(folder, labels)
    if found.left_out:
        say(f"{folder}: left out: {left_out_text(found.left_out)}")
    return file_split([path for path, _ in found.files], np.array([label for _, label in found.files], np.int64))


def _complete_parts(folder: Path, given: dict[str, dict[str, list[Path]]], seed: int) -> dict[str, dict[str, list[Path]]]:
    """Draw each missing part from the training files, a tenth of each class."""
    missing = [part for part in ("val", "test") if part not in given]
    parts: dict[str, dict[str, list[Path]]] = {part: dict(given.get(part, {})) for part in PARTS}
    shuffle = np.random.default_rng(seed)
    for name, files in sorted(given["train"].items()):
        if missing and len(files) <= len(missing):
            raise EdgeproofError(
                f"{folder}: class {name!r} has {len(files)} pictures, too few to draw {' and '.join(missing)} from: "
                f"expected at least {len(missing) + 1}"
            )
        order = [files[index] for index in shuffle.permutation(len(files))] if missing else files
        tenth = max(1, round(len(files) / 10))
        for place, part in enumerate(missing):
            parts[part][name] = order[place * tenth : (place + 1) * tenth]
        parts["train"][name] = order[len(missing) * tenth :]
    return parts


def _class_split(files: Mapping[str, Sequence[Path]], classes: Sequence[str]) -> Split:
    sources = [path for name in classes for path in files[name]]
    return file_split(sources, np.array([index for index, name in enumerate(classes) for _ in files[name]], np.int64))
