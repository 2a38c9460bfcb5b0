"""Open the data set that a model's card names."""

from collections.abc import Sequence
from pathlib import Path

from train.data.calibration import load_calibration
from train.data.dataset import DataReference, Dataset
from train.data.folders import load_folder
from train.data.mnist import load_mnist


def open_dataset(reference: DataReference, labels: Sequence[str] = ()) -> Dataset:
    """Open the data set that a reference (from a command line or a card) names.

    `labels` are those of a model that was trained elsewhere; its pictures need not have any.
    """
    if reference.role == "calibration":
        return load_calibration(reference, labels)
    if reference.path is None:
        return load_mnist(reference.held_out)
    return load_folder(Path(reference.path), reference.seed, reference.skipped)
