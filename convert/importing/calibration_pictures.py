"""The pictures that come with a model from elsewhere: to calibrate with, and to verify with."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from convert.importing.import_options import ImportOptions
from device.card import Step
from device.errors import EdgeproofError
from device.pictures.picture_files import left_out_text
from train.data.calibration import calibration_reference, load_calibration, unusable_files
from train.data.dataset import Dataset

FEW_PICTURES = 100  # with fewer to calibrate with, a note is printed


def opened_pictures(options: ImportOptions, labels: Sequence[str], steps: Sequence[Step]) -> Dataset:
    """Open the pictures. Raises EdgeproofError that lists unusable ones, unless these are skipped."""
    reference = calibration_reference(options.calibration, options.validation)
    dataset = load_calibration(reference, labels)
    bad = unusable_files(dataset, steps)
    if not bad:
        return dataset
    if not options.skip_bad:
        listed = "".join(f"\n  {path}: {reason}" for path, reason in bad.items())
        raise EdgeproofError(
            f"{options.calibration}: {len(bad)} unusable pictures; repair them, or give --skip-bad:{listed}"
        )
    return load_calibration(calibration_reference(options.calibration, options.validation, skipped=sorted(bad)), labels)


def say_pictures(dataset: Dataset, say: Callable[[str], None]) -> None:
    """Say how many pictures there are of how many classes, and what is left out of them."""
    train, held, reference = dataset.train, dataset.val, dataset.reference
    verifying = "held out of them" if reference.validation is None else f"of {reference.validation}"
    known = len(np.unique(train.labels)) if train.labelled else None
    of = f"without labels{_strange_folders(dataset)}" if known is None else f"of {known} of {len(dataset.labels)} classes"
    say(f"pictures {of}: {len(train)} to calibrate with, {len(held)} {verifying} (seed {reference.seed}) to verify with")
    if reference.skipped:
        say(f"note: left out {len(reference.skipped)} unusable pictures: {', '.join(reference.skipped[:5])}")
    if dataset.left_out:
        say(f"note: left out: {left_out_text(dataset.left_out)}")
    if len(train) < FEW_PICTURES:
        say(f"note: {len(train)} pictures are few to calibrate with: what they do not reach is cut off; 300 are usual")


def _strange_folders(dataset: Dataset) -> str:
    """Name the class folders of pictures without a label: the labels may be written otherwise."""
    top = Path(str(dataset.reference.path))
    names = sorted({Path(str(source)).parent.name for source in dataset.train.sources if Path(str(source)).parent != top})
    return f" (their folders {', '.join(names[:3])} are none of {', '.join(dataset.labels[:3])}, ...)" if names else ""
