"""Pictures for a model that was not trained here: a folder to calibrate with, and a held-out part of it to verify with."""

import os
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

from device.card import Step
from device.errors import EdgeproofError, PictureError
from device.pictures.picture_files import (
    class_folders,
    folders_in,
    left_out_reason,
    left_out_text,
    parts_of,
    pictures_below,
    refuse_ambiguous,
)
from device.preprocessing.prepare import run_steps
from train.data.dataset import NO_LABEL, DataReference, Dataset, Labels, Split, file_split, stratified_order

HELD_OUT_SHARE = 3  # one picture in so many is held out to verify with
MIN_TO_CALIBRATE = 20
MIN_PICTURES = 29  # of which MIN_TO_CALIBRATE are left where a third is held out


def calibration_reference(
    folder: Path, validation: Path | None = None, seed: int = 0, skipped: Sequence[str] = ()
) -> DataReference:
    """Return the reference of a calibration folder, with an optional folder of pictures to verify with."""
    other = None if validation is None else str(validation.resolve())
    return DataReference(folder.resolve().name, str(folder.resolve()), seed, tuple(skipped), "calibration", other)


def load_calibration(reference: DataReference, labels: Sequence[str]) -> Dataset:
    """Open the pictures of a model that was trained elsewhere, whose `labels` are given.

    The folder holds pictures, or class folders of pictures. A third of them, by class and seed, is held out: it is both
    the validation and the test part, and its complement the training part, which calibrates. With a validation folder
    nothing is held out. Files in `skipped` (relative to the folder) are left out. Pictures of an unknown class have
    NO_LABEL. Raises EdgeproofError for a folder that cannot be used.
    """
    folder = Path(str(reference.path))
    leave_out = {Path(os.path.normpath(folder / name)) for name in reference.skipped}
    left_out: Counter[str] = Counter()
    files, truth = labelled_files(folder, labels, leave_out, left_out)
    _check_enough(reference, len(files), left_out)
    if reference.validation is not None:
        chosen, held_out = _split(files, truth), labelled_files(Path(reference.validation), labels, leave_out, left_out)
        held = _split(*held_out)
        return Dataset(reference, tuple(labels), chosen, held, held, left_out)
    order = stratified_order(truth, reference.seed)
    border = len(files) // HELD_OUT_SHARE
    verifying, calibrating = (sorted(part.tolist()) for part in (order[:border], order[border:]))
    train, held = (_split([files[i] for i in part], truth[part]) for part in (calibrating, verifying))
    return Dataset(reference, tuple(labels), train, held, held, left_out)


def _check_enough(reference: DataReference, found: int, left_out: Counter[str]) -> None:
    """Raise EdgeproofError where too few of a folder's pictures are left to calibrate with."""
    alone = reference.validation is None
    least = MIN_PICTURES if alone else MIN_TO_CALIBRATE
    if found >= least:
        return
    why = f" (left out: {left_out_text(left_out)})" if left_out else ""
    held = f" (a third is held out to verify with, {MIN_TO_CALIBRATE} have to be left to calibrate with)" if alone else ""
    raise EdgeproofError(
        f"{reference.path}: holds {found} usable pictures{why}, expected at least {least}{held}, better 300 and more, of "
        "every class: add pictures"
    )


def _split(files: Sequence[Path], truth: Labels) -> Split:
    return file_split(list(files), truth)


def labelled_files(
    folder: Path, labels: Sequence[str], leave_out: Set[Path], left_out: Counter[str]
) -> tuple[list[Path], Labels]:
    """Return a folder's pictures and their labels (N,): NO_LABEL where it holds no class folders.

    Other files in it are counted in `left_out`. Of a folder with parts, train is used.

    Class folders whose names are no labels (such as ImageNet's numbers) give NO_LABEL too; where some are
    labels and some not, EdgeproofError names these.
    """
    if not folder.is_dir():
        raise EdgeproofError(f"{folder}: no such folder, expected pictures, or one folder a class with pictures in it")
    folder = parts_of(folder).get("train", folder)
    lying = [path for path in folder.iterdir() if path.is_file() and path not in leave_out]
    flat = sorted(path for path in lying if left_out_reason(path) is None)
    below: Counter[str] = Counter()
    if not any(True for inner in folders_in(folder) for _ in pictures_below(inner, below)):
        if not flat:
            inside = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
            raise EdgeproofError(f"{folder}: holds no pictures, neither itself nor in class folders; found {inside}")
        left_out.update(reason for path in lying if (reason := left_out_reason(path)))
        return flat, np.full(len(flat), NO_LABEL, np.int64)
    _check_depth(folder)
    found = class_folders(folder, leave_out, labels)
    classes = found.files
    left_out += found.left_out
    indices = _class_indices(folder, list(classes), labels)
    files = [path for name in classes for path in classes[name]]
    return files, np.array([indices[name] for name in classes for _ in classes[name]], np.int64)


def _check_depth(folder: Path) -> None:
    """Raise EdgeproofError where all pictures of a folder lie in the class folders of one folder inside it."""
    inner = [one for one in folders_in(folder) if any(True for _ in pictures_below(one, Counter()))]
    if len(inner) == 1 and folders_in(inner[0]) and not any(left_out_reason(path) is None for path in inner[0].iterdir()):
        classes = ", ".join(path.name for path in folders_in(inner[0])[:3])
        raise EdgeproofError(f"{folder}: its class folders ({classes}, ...) lie one level deeper: give {inner[0]}")


def _class_indices(folder: Path, names: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    """Map class folders to the indices of their labels; all to NO_LABEL where no name is a label."""
    strange = [name for name in names if name not in labels]
    if len(strange) == len(names):
        return dict.fromkeys(names, NO_LABEL)
    if strange:
        raise EdgeproofError(
            f"{folder}: class folders {', '.join(strange[:5])} are none of the {len(labels)} labels, others are: "
            "rename them as their labels, or leave all pictures in one folder"
        )
    refuse_ambiguous(folder, names, labels)
    return {name: labels.index(name) for name in names}


def unusable_files(dataset: Dataset, steps: Sequence[Step]) -> dict[str, str]:
    """Decode and prepare every picture; return those that fail, relative to the calibration folder, with the reason."""
    folder = Path(str(dataset.reference.path))
    found: dict[str, str] = {}
    for split in (dataset.train, dataset.val):
        for index, source in enumerate(split.sources):
            try:
                run_steps(split.open(index), steps)
            except PictureError as error:
                found[os.path.relpath(str(source), folder)] = str(error)
    return found
