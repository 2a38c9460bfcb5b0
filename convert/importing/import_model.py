"""Import a model that was not trained here: decide what it takes and gives, and write it to build/ as a model of its own.

From then on it is a TrainedModel like any other (convert/pipeline.py): a keras.Model that takes pixels 0..255 and gives a
probability a class, a common card beside it, and pictures that can be opened again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.files import json_bytes, read_json, replacing_together, sha256_of
from common.interval import of_share
from common.lock import exclusive
from common.paths import BUILD
from common.verdict import Verdict, judge
from common.version import tool_versions
from convert import calibration as calibrate
from convert.child import Workplace
from convert.importing.earlier_artifacts import remove_others
from convert.importing.model_io import InputSpec, resolve_activation, resolve_fit, resolve_range
from convert.importing.preprocessing import Preprocess, read_preprocess
from convert.importing.source_check import check_against_source, check_numbers
from convert.importing.sources import Opening, Source, Wrapped, Wrapping, open_source
from convert.importing.trials import SamplePictures, check_steps
from convert.importing.understood import Activation, Fact, Understood, shape_text, understood_text
from convert.trained_model import MODEL_ENDINGS
from convert.variants import GIVEN
from device.card import CARD_SCHEMA, Step
from device.cardless import INPUT_RANGE
from device.errors import EdgeproofError
from device.formats.labels import read_labels, twice_text
from device.pictures.input_range import InputRange, parse_range
from device.pictures.picture_files import left_out_text
from device.pictures.steps import sides
from device.preprocessing.whole_picture import CROP, whole_picture_steps
from train.data.calibration import calibration_reference, load_calibration, unusable_files
from train.data.dataset import Dataset, stratified_order
from train.models import model_names

Say = Callable[[str], None]  # takes a line for people

TOOLS = ("numpy", "pillow")
KERAS_TOOLS = ("tensorflow-cpu", "keras")
FRAMEWORK_TOOLS = {"Keras": KERAS_TOOLS, "TensorFlow": KERAS_TOOLS, "tf_keras": (*KERAS_TOOLS, "tf-keras")}
FEW_PICTURES = 100  # with fewer to calibrate with, a note is printed


@dataclass(frozen=True)
class ImportOptions:
    """A model from elsewhere and the options for it."""

    path: Path
    labels: Path | None
    calibration: Path
    validation: Path | None = None
    preprocess: str | None = None  # a file, or the name of a preset
    input_range: str | None = None
    size: int | None = None
    name: str | None = None
    skip_bad: bool = False
    unsafe: bool = False
    signature: str | None = None
    fit: str | None = None
    confirm_range: bool = False

    @property
    def folder(self) -> Path:
        return build_folder(self.path, self.name)


def build_folder(path: Path, name: str | None) -> Path:
    """Return build/NAME. Raises EdgeproofError for a name that a folder or a model of this project cannot have."""
    if name is None:
        stem = path.resolve().name if path.is_dir() else path.stem
        name = "".join(letter if _may_stand(letter) else "_" for letter in stem).strip("._-") or "model"
    if not name or not all(_may_stand(letter) for letter in name) or not name[0].isalnum():
        raise EdgeproofError(f"--name {name!r}: expected letters, digits, '-', '_' and '.' only, first a letter or digit")
    if name in model_names():
        raise EdgeproofError(f"--name {name}: is a model of this project: choose another with --name")
    return BUILD / name


def _may_stand(letter: str) -> bool:
    return letter.isascii() and (letter.isalnum() or letter in "-_.")


def import_model(options: ImportOptions, say: Say) -> Path:
    """Check a model and its pictures, put what it lacks around it and write it to build/NAME/; return its file.

    Raises EdgeproofError where something is unclear or does not fit, before anything is written.
    """
    folder = options.folder
    _check_folder(folder)
    asked = Preprocess() if options.preprocess is None else read_preprocess(options.preprocess)
    given = asked.labels if options.labels is None else read_labels(options.labels)
    stated = stated_range(options.input_range, asked, options.preprocess)
    source = open_source(options.path, Opening(options.unsafe, options.signature, asked.layout))
    say(understood_text(source.understood, with_missing=False))
    if source.understood.converted:
        raise EdgeproofError(
            f"{options.path}: is converted already, and nothing else is made of it: `convert card` takes it as it is"
        )
    if (used := folder / f"{folder.name}.{GIVEN}.tflite").exists():
        raise EdgeproofError(f"{used}: is a model that is used as it is: choose another --name, or remove it")
    labels = _resolve_labels(source, given, options.labels or options.preprocess)
    input_spec = _input_spec(source, options, asked)
    dataset = _pictures(options, labels, input_spec.steps)
    calibrate.check(calibrate.choose(dataset.train, input_spec.steps), labels, f"--calibration {options.calibration}")
    samples = SamplePictures.of(dataset, input_spec.steps)
    check_steps(samples, input_spec.shape)
    input_range = resolve_range(source, stated, options.confirm_range, samples, say)
    check_numbers(source.understood.path, source.answers(samples.values(input_range)))
    input_spec = resolve_fit(source, input_range, input_spec, samples, say)
    samples = samples.again(input_spec.steps)
    activation = resolve_activation(source, source.answers(samples.values(input_range)))
    wrapping = Wrapping(input_spec.shape, input_range, activation)
    model = source.wrapped(wrapping)
    checked = check_against_source(source, model, wrapping, samples.pixels)
    say(f"{checked.agree} of {checked.pictures} pictures as {checked.framework} answers them; scores to {checked.worst:.1g}")
    added = [] if input_range.is_pixels else [f"input range {input_range.name}"]
    added += _behind(source, activation)
    put = f"; put around it: {', '.join(added)}" if added else ""
    size = "×".join(str(side) for side in input_spec.shape)
    say(f"{options.path}: {source.parameters:,} parameters, pictures {size}, {len(labels)} labels{put}")
    if twice := twice_text(labels):
        say(f"note: {twice}")
    _say_pictures(dataset, say)
    card = _card(folder.name, labels, source, input_spec, input_range, added, dataset)
    card["provenance"]["source"]["checked"] = checked.to_json()
    card["accuracy"] |= _accuracy(source.understood.framework.split()[0], model, dataset, input_spec.steps, say)
    return _write(folder, model, card, say)


def _behind(source: Source, activation: Activation) -> list[str]:
    """Say what is put behind the outputs."""
    if source.understood.classes == 1:
        return [f"the first of two classes ({'its output is a logit' if activation == 'logits' else 'sigmoid'})"]
    return ["Softmax (its outputs are logits)"] if activation == "logits" else []


def import_in_child(workplace: Workplace, options: ImportOptions) -> Path:
    """Import a model, in the child process."""
    return import_model(options, workplace.say)


def inspect_in_child(_workplace: Workplace, path: Path, opening: Opening) -> Understood:
    """Return what is understood of a file, in the child process."""
    return open_source(path, opening).understood


def _check_folder(folder: Path) -> None:
    """Raise EdgeproofError for a folder that holds a model which was trained here."""
    card_path = folder / f"{folder.name}.card.json"
    card = read_json(card_path) if card_path.exists() else None
    if card is not None and "source" not in (card.get("provenance", {}) if isinstance(card, dict) else {}):
        raise EdgeproofError(f"{folder}: holds a model that was trained here: choose another --name")


def stated_range(text: str | None, asked: Preprocess, preprocess: str | None) -> Fact[InputRange] | None:
    """Return the range that an option states, and which one. Raises EdgeproofError where a person's own file differs."""
    given = None if text is None else parse_range(text)
    if given is not None:
        if asked.input_range not in (None, given) and not asked.of_training:
            raise EdgeproofError(f"{INPUT_RANGE} {given.name}: {preprocess} says otherwise: leave one of them out")
        return Fact(given, INPUT_RANGE)
    return None if asked.input_range is None else Fact(asked.input_range, f"--preprocess {preprocess}")


def _resolve_labels(source: Source, given: Sequence[str] | None, path: Path | str | None) -> list[str]:
    """Return the labels that were given, or those that come with the model. Raises EdgeproofError where they do not fit."""
    understood = source.understood
    outputs = understood.classes
    if outputs is None:
        raise EdgeproofError(
            f"{understood.path}: its output is {shape_text(understood.output_shape.value)}, expected (batch, classes): save "
            "the model with its classifying head"
        )
    classes = 2 if outputs == 1 else outputs  # one output is that of the second class
    if given is None and understood.labels is None:
        raise EdgeproofError(f"{understood.path}: nothing in it says its {classes} labels: give --labels FILE")
    labels = list(given if given is not None else understood.labels.value if understood.labels else ())
    if classes != len(labels):
        more = ": its first class may be 'background', which then needs a label too" if classes == len(labels) + 1 else ""
        meant = "1 output, for two classes" if outputs == 1 else f"{outputs} outputs"
        raise EdgeproofError(f"{path or understood.path}: holds {len(labels)} labels, the model has {meant}{more}")
    return labels


def _input_spec(source: Source, options: ImportOptions, asked: Preprocess) -> InputSpec:
    """Settle size and steps. Raises EdgeproofError where they are not known or contradict each other."""
    path, fixed, channels = source.understood.path, source.understood.sides, source.understood.channels
    assert channels is not None  # open_source has looked
    layout = source.understood.layout.value
    if asked.layout not in (None, layout):
        raise EdgeproofError(f"{path}: takes {layout}, --preprocess says {asked.layout}")
    if asked.channels not in (None, channels):
        raise EdgeproofError(f"{path}: takes {channels} channels, --preprocess says {asked.channels}")
    wanted = (options.size, options.size) if options.size is not None else asked.size
    if wanted is None and asked.steps and None in fixed:
        last = next((step.parameters["size"] for step in reversed(asked.steps) if "size" in step.parameters), None)
        wanted = None if last is None else sides(last)
    if wanted is None and None in fixed:
        wanted = source.understood.resized_to
    if wanted is None and None in fixed:
        raise EdgeproofError(f"{path}: takes pictures of any size: give --size N, in pixels, as 224")
    height, width = (side or wanted or 0 for side, wanted in zip(fixed, wanted or fixed, strict=True))
    if wanted is not None and wanted != (height, width):
        raise EdgeproofError(f"{path}: takes {height}×{width} pixels, asked for are {wanted[0]}×{wanted[1]}")
    steps = asked.steps_for((height, width, channels))
    shape = (height, width, channels)
    if steps and options.fit is not None:
        raise EdgeproofError(f"--fit {options.fit}: --preprocess {options.preprocess} says it: leave one of them out")
    if steps:
        return InputSpec(steps, shape)
    known = source.understood.fit.value if source.understood.fit else None
    return InputSpec(whole_picture_steps(*shape, options.fit or known or CROP), shape, bool(options.fit or known))


def _pictures(options: ImportOptions, labels: Sequence[str], steps: Sequence[Step]) -> Dataset:
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


# ---- what is written ------------------------------------------------------------------------------------------------


def _say_pictures(dataset: Dataset, say: Say) -> None:
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


def _accuracy(by: str, model: Wrapped, dataset: Dataset, steps: Sequence[Step], say: Say) -> dict[str, Any]:
    """Count what the model answers rightly of the held-out pictures, where their labels are known."""
    held = dataset.val
    chosen = stratified_order(held.labels, seed=0)[:1_000]
    answers = model.scores(held.prepared(steps, chosen)).argmax(axis=1)
    if len(np.unique(answers)) == 1:
        say(f"note: {by} answers every picture {dataset.labels[answers[0]]!r}: untrained, or a wrong --input-range?")
    if not held.labelled:
        return {}
    correct, total = int((answers == held.labels[chosen]).sum()), len(chosen)
    say(f"{by} answers {correct} of {total} of the pictures to verify with rightly")
    guessing = 1 / len(dataset.labels)
    if judge(of_share(correct, total), guessing, at_most=False) is not Verdict.PASS:
        say("note: that is no better than guessing: wrong --input-range, or labels in another order?")
    return {"keras_held_out": {"correct": correct, "total": total, "dataset_sha256": held.sha256}}


def _card(
    name: str,
    labels: Sequence[str],
    source: Source,
    input_spec: InputSpec,
    input_range: InputRange,
    added: Sequence[str],
    dataset: Dataset,
) -> dict[str, Any]:
    """Return the common card, as train/common_card.py does of a model that was trained here."""
    height, width, channels = input_spec.shape
    by = source.understood.framework.split()[0]
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return {
        "schema": CARD_SCHEMA,
        "model": name,
        "name": None,
        "labels": list(labels),
        "input": {"height": height, "width": width, "channels": channels, "pixels": "0..255"},
        "preprocess": [step.to_json() for step in input_spec.steps],
        "accuracy": {},
        "provenance": {
            "source": {
                **source.understood.origin,
                "sha256": source.sha256,
                "parameters": source.parameters,
                "input_range": input_range.to_json(),
                "added": list(added),
            },
            "weights": None,
            "dataset": dataset.reference.to_json(),
            "dataset_sha256": {part: split.sha256 for part, split in parts.items()},
            "dataset_count": {part: len(split) for part, split in parts.items()},
            "tools": tool_versions((*FRAMEWORK_TOOLS.get(by, ()), *TOOLS)),
        },
    }


def _write(folder: Path, model: Wrapped, card: dict[str, Any], say: Say) -> Path:
    """Write the model and its card. Only then is removed what an earlier model of this name has left."""
    path = folder / f"{folder.name}{model.ending}"
    card_path = folder / f"{folder.name}.card.json"
    with exclusive(folder / folder.name):
        with replacing_together(card_path, path) as (about, file):
            model.save(file)
            card["provenance"]["source_sha256"] = sha256_of(file)
            about.write_bytes(json_bytes(card))
        for other in MODEL_ENDINGS:
            if other != model.ending:
                (folder / f"{folder.name}{other}").unlink(missing_ok=True)
        removed = remove_others(folder, card)
    if removed:
        say(f"note: {folder} held another model, or this one imported otherwise: removed {', '.join(removed)} made of it")
    return path
