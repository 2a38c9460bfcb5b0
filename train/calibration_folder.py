"""Pictures for a model that was not trained here: a folder that calibrates, a held-out part of it that verifies."""

import os
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

from device.classify import EdgeproofError, PictureError, Step, run_steps
from train.data import (
    NO_LABEL,
    PICTURE_ENDINGS,
    DataReference,
    Dataset,
    Labels,
    Split,
    class_files,
    file_split,
    stratified_order,
)

HELD_OUT_SHARE = 3  # one picture in so many verifies and does not calibrate
LEAST_PICTURES = 10


def calibration_reference(
    folder: Path, validation: Path | None = None, seed: int = 0, skipped: Sequence[str] = ()
) -> DataReference:
    """Return the reference of a calibration folder, which may have a folder of pictures to verify with beside it."""
    other = None if validation is None else str(validation.resolve())
    return DataReference(folder.resolve().name, str(folder.resolve()), seed, tuple(skipped), "calibration", other)


def load_calibration(reference: DataReference, labels: Sequence[str]) -> Dataset:
    """Open the pictures of a model that was trained elsewhere, whose `labels` are given.

    The folder holds pictures, or class folders of pictures. A third of them, by class and seed, is held out: it is both
    the validation and the test part, and its complement the training part, which calibrates. With a validation folder
    nothing is held out. Files in `skipped` (relative to the folder) are left out. Pictures whose class is not known have
    NO_LABEL. Raises EdgeproofError for a folder that cannot be used.
    """
    folder = Path(str(reference.path))
    leave_out = {Path(os.path.normpath(folder / name)) for name in reference.skipped}
    files, truth = labelled_files(folder, labels, leave_out)
    if reference.validation is not None:
        chosen, held_out = _split(files, truth), labelled_files(Path(reference.validation), labels, leave_out)
        return Dataset(reference, tuple(labels), chosen, *[_split(*held_out)] * 2)
    if len(files) < LEAST_PICTURES:
        raise EdgeproofError(
            f"{folder}: holds {len(files)} usable pictures, too few to calibrate and verify with: expected at least "
            f"{LEAST_PICTURES}, better 300 and more, of every class"
        )
    order = stratified_order(truth, reference.seed)
    border = len(files) // HELD_OUT_SHARE
    verifying, calibrating = (sorted(part.tolist()) for part in (order[:border], order[border:]))
    train, held = (_split([files[i] for i in part], truth[part]) for part in (calibrating, verifying))
    return Dataset(reference, tuple(labels), train, held, held)


def _split(files: Sequence[Path], truth: Labels) -> Split:
    return file_split(list(files), truth)


def labelled_files(folder: Path, labels: Sequence[str], leave_out: Set[Path] = frozenset()) -> tuple[list[Path], Labels]:
    """Return a folder's pictures and their labels (N,): NO_LABEL for those that lie in the folder itself.

    Class folders whose names are none of the labels (as ImageNet's numbers are not) give NO_LABEL too; where some are
    labels and some not, EdgeproofError names these.
    """
    if not folder.is_dir():
        raise EdgeproofError(f"{folder}: no such folder, expected pictures, or one folder a class with pictures in it")
    flat = sorted(path for path in folder.iterdir() if _is_picture(path) and path not in leave_out)
    classes = class_files(folder, leave_out)
    if flat and classes:
        raise EdgeproofError(
            f"{folder}: holds {len(flat)} pictures and {len(classes)} folders of pictures: expected one or the other"
        )
    if not flat and not classes:
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise EdgeproofError(f"{folder}: holds no pictures, neither itself nor in class folders; found {inside}")
    if flat:
        return flat, np.full(len(flat), NO_LABEL, np.int64)
    indices = _class_indices(folder, list(classes), labels)
    files = [path for name in classes for path in classes[name]]
    return files, np.array([indices[name] for name in classes for _ in classes[name]], np.int64)


def _class_indices(folder: Path, names: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    """Map class folders to the places of their labels, all to NO_LABEL where none is one."""
    strange = [name for name in names if name not in labels]
    if len(strange) == len(names):
        return dict.fromkeys(names, NO_LABEL)
    if strange:
        raise EdgeproofError(
            f"{folder}: class folders {', '.join(strange[:5])} are none of the {len(labels)} labels, others are: "
            "rename them as their labels, or leave all pictures in one folder"
        )
    counts = Counter(labels)
    twice = [name for name in names if counts[name] > 1]
    if twice:
        raise EdgeproofError(f"{folder}: class folder {twice[0]} could be {counts[twice[0]]} labels of that name")
    return {name: labels.index(name) for name in names}


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_ENDINGS and path.is_file()


def unusable_files(dataset: Dataset, steps: Sequence[Step]) -> dict[str, str]:
    """Decode and prepare every picture; return those that cannot be, relative to the calibration folder, with the reason."""
    folder = Path(str(dataset.reference.path))
    found: dict[str, str] = {}
    for split in (dataset.train, dataset.val):
        for index, source in enumerate(split.sources):
            try:
                run_steps(split.open(index), steps)
            except PictureError as error:
                found[os.path.relpath(str(source), folder)] = str(error)
    return found
