"""The doctor's work in a child process: if a converter crashes on one variant, the other variants are still examined."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from common.lock import exclusive
from common.progress import task_progress
from convert.child import Child, Crashed, Workplace
from convert.doctor.checks import Finding
from convert.doctor.diagnose import Diagnosis, Examination, describe_sample, examine, examine_calibration, quantized_variants
from convert.doctor.examined_model import ExaminedModel
from convert.doctor.fix import Fix, fix
from convert.pipeline import possible
from convert.trained_model import TrainedModel
from convert.variants import find_variants
from device.errors import CheckFailed

Say = Callable[[str], None]  # takes a line for people


def diagnosed(
    child: Child, path: Path, name: str, *, locked: bool, max_drop: float, say: Say, failed: Callable[[str, str], None]
) -> Diagnosis:
    """Examine the calibration pictures and the artifacts of variants of that name.

    `failed` gets the key and the reason of a variant that cannot be examined. Raises EdgeproofError for unusable files.
    """
    keys = child.run(open_there, path, name, locked)
    say("calibration pictures …")
    with task_progress("examining the calibration pictures"):
        findings, notes = child.run(calibration_there)
    examinations = []
    for key in keys:
        say(f"{key} …")
        try:
            with task_progress(f"examining {key}"):
                examinations.append(child.run(examine_there, key, max_drop))
        except CheckFailed as error:
            failed(key, str(error))
            if isinstance(error, Crashed):
                child.run(open_there, path, name, locked)
    return Diagnosis(findings, notes, examinations)


def fixed(
    child: Child, examinations: Sequence[Examination], max_drop: float, failed: Callable[[str, str], None]
) -> Iterator[tuple[Examination, Fix]]:
    """Fix each examined variant, and yield what was done. `failed` gets the key and the reason if that is not possible."""
    for one in examinations:
        try:
            with task_progress(f"fixing {one.variant.key}"):
                yield one, child.run(fix_there, one, max_drop)
        except CheckFailed as error:
            failed(one.variant.key, str(error))
            if isinstance(error, Crashed):
                return


def open_there(workplace: Workplace, path: Path, name: str, locked: bool) -> list[str]:
    """Open a model, with `locked` also lock its folder, and return the keys of its variants of that name."""
    trained = workplace.exit.enter_context(closing(TrainedModel(path)))
    variants = possible(quantized_variants(name), trained.formats)
    if locked:
        workplace.exit.enter_context(exclusive(trained.folder / trained.name))
    workplace.kept["examined"] = ExaminedModel(trained)
    return [variant.key for variant in variants]


def calibration_there(workplace: Workplace) -> tuple[list[Finding], list[str]]:
    """Examine the calibration pictures of the open model."""
    trained = workplace.kept["examined"].trained
    findings, notes = examine_calibration(trained)
    return findings, [*notes, describe_sample(len(trained.dataset.val))]


def examine_there(workplace: Workplace, key: str, max_drop: float) -> Examination:
    """Examine one variant of the open model."""
    return examine(workplace.kept["examined"], find_variants([key])[0], max_drop)


def fix_there(workplace: Workplace, one: Examination, max_drop: float) -> Fix:
    """Fix one variant of the open model."""
    return fix(workplace.kept["examined"], one.variant, one.layers, max_drop, workplace.say)
