"""Taking in a model that was not trained here: what it takes and gives is settled, and it becomes one of build/'s models.

From then on it is a TrainedModel like any other (convert/run.py): a keras.Model that takes pixels 0..255 and gives a
probability a class, a common card beside it, and pictures that can be opened again.
"""

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from convert.input_range import InputRange, parse_range
from convert.outside import Source, open_source
from convert.preprocess_file import Preprocess, read_preprocess
from convert.run import SAVED_MODEL
from convert.wrap import SHOWN, Entrance, gives_logits, network_of, settled_range
from device.classify import CARD_SCHEMA, EdgeproofError, Step, read_labels, wilson_interval
from train.alone import alone
from train.calibration_folder import calibration_reference, load_calibration, unusable_files
from train.data import Dataset, Pixels, stratified_order
from train.evaluate import probabilities
from train.files import BUILD, json_bytes, read_json, replacing_together, sha256_of
from train.spec import model_names, whole_picture_steps

Say = Callable[[str], None]  # takes a line for people

TOOLS = ("tensorflow-cpu", "keras", "numpy", "pillow")
FEW_PICTURES = 100  # fewer to calibrate with are said
ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that the same model gives the same bytes


@dataclass(frozen=True)
class Outside:
    """A model from elsewhere and what is told of it."""

    path: Path
    labels: Path
    calibration: Path
    validation: Path | None = None
    preprocess: Path | None = None
    input_range: str | None = None
    size: int | None = None
    name: str | None = None
    skip_bad: bool = False
    unsafe: bool = False

    @property
    def folder(self) -> Path:
        """Return build/NAME. Raises EdgeproofError for a name that a folder or a model of this project cannot have."""
        name = self.name
        if name is None:
            stem = self.path.resolve().name if self.path.is_dir() else self.path.stem
            name = "".join(letter if _may_stand(letter) else "_" for letter in stem).strip("._-") or "model"
        if not name or not all(_may_stand(letter) for letter in name) or not name[0].isalnum():
            raise EdgeproofError(
                f"--name {name!r}: expected letters, digits, '-', '_' and '.' only, first a letter or digit"
            )
        if name in model_names():
            raise EdgeproofError(f"--name {name}: is a model of this project: choose another with --name")
        return BUILD / name


def _may_stand(letter: str) -> bool:
    return letter.isascii() and (letter.isalnum() or letter in "-_.")


def adopt(outside: Outside, say: Say) -> Path:
    """Check a model and its pictures, put what it lacks around it and write it to build/NAME/; return its file.

    Raises EdgeproofError where something is unclear or does not fit, before anything is written.
    """
    folder = outside.folder
    _check_folder(folder)
    labels = read_labels(outside.labels)
    asked = Preprocess() if outside.preprocess is None else read_preprocess(outside.preprocess)
    told = _told_range(outside, asked)
    source = open_source(outside.path, outside.unsafe)
    _check_labels(source, labels, outside.labels)
    entrance = _entrance(source, outside.size, asked)
    dataset = _pictures(outside, labels, entrance.steps)
    shown = _shown(dataset, entrance)
    input_range = settled_range(source, told, entrance, dataset, shown, say)
    raw = network_of(source, entrance, input_range)
    logits = gives_logits(source, probabilities(raw, shown))
    network = network_of(source, entrance, input_range, softmax=True) if logits else raw
    added = [] if input_range.is_pixels else [f"input range {input_range.name}"]
    added += ["Softmax (its outputs are logits)"] if logits else []
    put = f"; put around it: {', '.join(added)}" if added else ""
    size = "×".join(str(side) for side in entrance.shape)
    say(f"{source.path}: {source.parameters:,} parameters, pictures {size}, {len(labels)} labels{put}")
    _say_pictures(dataset, say)
    card = _card(folder.name, labels, source, entrance, input_range, added, dataset)
    card["accuracy"] |= _accuracy(network, dataset, entrance.steps, say)
    return _write(folder, source, network, card)


def _check_folder(folder: Path) -> None:
    """Raise EdgeproofError for a folder that holds a model which was trained here."""
    card_path = folder / f"{folder.name}.card.json"
    card = read_json(card_path) if card_path.exists() else None
    if card is not None and "source" not in (card.get("provenance", {}) if isinstance(card, dict) else {}):
        raise EdgeproofError(f"{folder}: holds a model that was trained here: choose another --name")


def _told_range(outside: Outside, asked: Preprocess) -> InputRange | None:
    given = None if outside.input_range is None else parse_range(outside.input_range)
    if given and asked.input_range and given != asked.input_range:
        raise EdgeproofError(f"--input-range {given.name}: {outside.preprocess} says otherwise: leave one of both out")
    return given or asked.input_range


def _check_labels(source: Source, labels: Sequence[str], path: Path) -> None:
    shape = source.output_shape
    if len(shape) != 2 or shape[1] is None or shape[1] < 2:
        inside = ", ".join("?" if side is None else str(side) for side in shape)
        raise EdgeproofError(
            f"{source.path}: its output is ({inside}), expected (batch, classes) with at least 2 classes: save the model "
            "with its classifying head"
        )
    if shape[1] != len(labels):
        more = ": its first class may be 'background', which then needs a label too" if shape[1] == len(labels) + 1 else ""
        raise EdgeproofError(f"{path}: holds {len(labels)} labels, the model has {shape[1]} outputs{more}")


def _entrance(source: Source, size: int | None, asked: Preprocess) -> Entrance:
    """Settle size and steps. Raises EdgeproofError where they are not known or contradict each other."""
    _, *fixed, channels = source.input_shape
    assert channels is not None  # open_source has looked
    if asked.channels not in (None, channels):
        raise EdgeproofError(f"{source.path}: takes {channels} channels, --preprocess says {asked.channels}")
    told = (size, size) if size is not None else asked.size
    if told is None and asked.steps and None in fixed:
        last = next((step.parameters["size"] for step in reversed(asked.steps) if "size" in step.parameters), None)
        told = None if last is None else (last, last)
    if told is None and None in fixed:
        raise EdgeproofError(f"{source.path}: takes pictures of any size: give --size N, in pixels, as 224")
    height, width = (side or wanted or 0 for side, wanted in zip(fixed, told or fixed, strict=True))
    if told is not None and told != (height, width):
        raise EdgeproofError(f"{source.path}: takes {height}×{width} pixels, asked for are {told[0]}×{told[1]}")
    if asked.steps is None and height != width:
        raise EdgeproofError(
            f"{source.path}: takes {height}×{width} pixels; the steps of a card make squares: build it with a square input"
        )
    return Entrance(asked.steps or whole_picture_steps(height, channels), (height, width, channels))


def _pictures(outside: Outside, labels: Sequence[str], steps: Sequence[Step]) -> Dataset:
    """Open the pictures. Raises EdgeproofError that lists unusable ones, unless these are skipped."""
    reference = calibration_reference(outside.calibration, outside.validation)
    dataset = load_calibration(reference, labels)
    bad = unusable_files(dataset, steps)
    if not bad:
        return dataset
    if not outside.skip_bad:
        listed = "".join(f"\n  {path}: {reason}" for path, reason in bad.items())
        raise EdgeproofError(f"{outside.calibration}: {len(bad)} unusable pictures; mend them, or give --skip-bad:{listed}")
    return load_calibration(calibration_reference(outside.calibration, outside.validation, skipped=sorted(bad)), labels)


def _shown(dataset: Dataset, entrance: Entrance) -> Pixels:
    """Prepare some held-out pictures. Raises EdgeproofError where the steps do not lead to the model's input."""
    pixels = dataset.val.prepared(entrance.steps, stratified_order(dataset.val.labels, seed=0)[:SHOWN])
    if pixels.shape[1:] != entrance.shape:
        raise EdgeproofError(
            f"--preprocess: the steps make {pixels.shape[1:]} of a picture, the model takes {entrance.shape}: end with "
            f'["resize", {{"size": {entrance.shape[0]}}}], ["center_crop", {{"size": {entrance.shape[0]}}}]'
        )
    return pixels


# ---- what is written ------------------------------------------------------------------------------------------------


def _say_pictures(dataset: Dataset, say: Say) -> None:
    train, held, reference = dataset.train, dataset.val, dataset.reference
    verifying = "held out of them" if reference.validation is None else f"of {reference.validation}"
    known = len(np.unique(train.labels)) if train.labelled else None
    of = "without labels" if known is None else f"of {known} of {len(dataset.labels)} classes"
    say(f"pictures {of}: {len(train)} to calibrate with, {len(held)} {verifying} (seed {reference.seed}) to verify with")
    if reference.skipped:
        say(f"note: left out {len(reference.skipped)} unusable pictures: {', '.join(reference.skipped[:5])}")
    if len(train) < FEW_PICTURES:
        say(f"note: {len(train)} pictures are few to calibrate with: what they do not reach is cut off; 300 are usual")


def _accuracy(network: Any, dataset: Dataset, steps: Sequence[Step], say: Say) -> dict[str, Any]:
    """Count what Keras answers rightly of the held-out pictures, where their labels are known."""
    held = dataset.val
    chosen = stratified_order(held.labels, seed=0)[:1_000]
    answers = probabilities(network, held.prepared(steps, chosen)).argmax(axis=1)
    if len(np.unique(answers)) == 1:
        say(f"note: Keras answers every picture {dataset.labels[answers[0]]!r}: untrained, or a wrong --input-range?")
    if not held.labelled:
        return {}
    correct, total = int((answers == held.labels[chosen]).sum()), len(chosen)
    say(f"Keras answers {correct} of {total} of the pictures to verify with rightly")
    if wilson_interval(correct, total)[0] <= 1 / len(dataset.labels):
        say("note: that is no better than guessing: wrong --input-range, or labels in another order?")
    return {"keras_held_out": {"correct": correct, "total": total, "dataset_sha256": held.sha256}}


def _card(
    name: str,
    labels: Sequence[str],
    source: Source,
    entrance: Entrance,
    input_range: InputRange,
    added: Sequence[str],
    dataset: Dataset,
) -> dict[str, Any]:
    """Return the common card, as train/run.py's common_card does of a model that was trained here."""
    height, width, channels = entrance.shape
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return {
        "schema": CARD_SCHEMA,
        "model": name,
        "name": None,
        "labels": list(labels),
        "input": {"height": height, "width": width, "channels": channels, "pixels": "0..255"},
        "preprocess": [step.to_json() for step in entrance.steps],
        "accuracy": {},
        "provenance": {
            "source": {
                "file": source.path.resolve().name,
                "format": source.kind,
                "sha256": source.sha256,
                "parameters": source.parameters,
                "input_range": input_range.to_json(),
                "added": list(added),
            },
            "weights": None,
            "dataset": dataset.reference.to_json(),
            "dataset_sha256": {part: split.sha256 for part, split in parts.items()},
            "dataset_count": {part: len(split) for part, split in parts.items()},
            "tools": {tool: metadata.version(tool) for tool in TOOLS},
        },
    }


def _write(folder: Path, source: Source, network: Any, card: dict[str, Any]) -> Path:
    """Write the model and its card; a model without layers, or with code among them, as a zipped SavedModel."""
    endings = (SAVED_MODEL, ".keras")
    ending, other = endings if source.network is None or source.holds_code else endings[::-1]
    path = folder / f"{folder.name}{ending}"
    card_path = folder / f"{folder.name}.card.json"
    with alone(folder / folder.name), replacing_together(card_path, path) as (about, model):
        if ending == SAVED_MODEL:
            _export(network, model)
        else:
            network.save(model)
        card["provenance"]["source_sha256"] = sha256_of(model)
        about.write_bytes(json_bytes(card))
    (folder / f"{folder.name}{other}").unlink(missing_ok=True)  # of an earlier model of this name
    return path


def _export(network: Any, path: Path) -> None:
    """Write a keras.Model as a SavedModel in one file."""
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as name:
        exported = Path(name) / "model"
        network.export(str(exported), format="tf_saved_model", verbose=False)
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(file for file in exported.rglob("*") if file.is_file()):
                archive.writestr(zipfile.ZipInfo(file.relative_to(exported).as_posix(), ZIP_DATE), file.read_bytes())
