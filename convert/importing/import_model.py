"""Import a model that was not trained here: decide what it takes and gives, and write it to build/ as a model of its own.

From then on it is a TrainedModel like any other (convert/pipeline.py): a keras.Model that takes pixels 0..255 and gives a
probability a class, a common card beside it, and pictures that can be opened again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.files import json_bytes, replacing_together, sha256_of
from common.interval import of_share
from common.lock import exclusive
from common.verdict import Verdict, judge
from convert import calibration as calibrate
from convert.child import Say, Workplace
from convert.importing.calibration_pictures import opened_pictures, say_pictures
from convert.importing.earlier_artifacts import remove_others
from convert.importing.import_options import ImportOptions, check_folder
from convert.importing.imported_card import imported_card
from convert.importing.model_io import InputSpec, resolve_activation, resolve_fit, resolve_range
from convert.importing.preprocessing import Preprocess, read_preprocess
from convert.importing.source_check import check_against_source, check_numbers
from convert.importing.sources import Opening, Source, Wrapped, Wrapping, open_source
from convert.importing.stated import stated_input, stated_labels, stated_range
from convert.importing.trials import SamplePictures, check_steps
from convert.importing.understood import Fact, Understood, understood_text
from convert.trained_model import MODEL_ENDINGS
from convert.variants import GIVEN
from device.card import Step
from device.errors import EdgeproofError
from device.formats.labels import read_labels, twice_text
from device.pictures.input_range import InputRange
from train.data.dataset import Dataset, stratified_order


def import_model(options: ImportOptions, say: Say) -> Path:
    """Check a model and its pictures, put what it lacks around it and write it to build/NAME/; return its file.

    Raises EdgeproofError where something is unclear or does not fit, before anything is written.
    """
    folder = options.folder
    check_folder(folder)
    asked = Preprocess() if options.preprocess is None else read_preprocess(options.preprocess)
    given = asked.labels if options.labels is None else read_labels(options.labels)
    stated = stated_range(options.input_range, asked, options.preprocess)
    source = _opened(options, asked, say)
    labels = stated_labels(source, given, options.labels or options.preprocess)
    input_spec = stated_input(source, options, asked)
    dataset = opened_pictures(options, labels, input_spec.steps)
    calibrate.check(calibrate.choose(dataset.train, input_spec.steps), labels, f"--calibration {options.calibration}")
    input_spec, wrapping, samples = _decided(source, input_spec, stated, options.confirm_range, dataset, say)
    model = source.wrapped(wrapping)
    checked = check_against_source(source, model, wrapping, samples.pixels)
    say(f"{checked.agree} of {checked.pictures} pictures as {checked.framework} answers them; scores to {checked.worst:.1g}")
    added = _added(source, wrapping)
    _say_model(options.path, source, wrapping, labels, added, say)
    say_pictures(dataset, say)
    card = imported_card(folder.name, labels, source, input_spec, wrapping.input_range, added, dataset)
    card["provenance"]["source"]["checked"] = checked.to_json()
    card["accuracy"] |= _accuracy(source.understood.framework.split()[0], model, dataset, input_spec.steps, say)
    return _write(folder, model, card, say)


def _opened(options: ImportOptions, asked: Preprocess, say: Say) -> Source:
    """Open the model and say what is understood of it. Raises EdgeproofError for one that is converted already."""
    source = open_source(options.path, Opening(options.unsafe, options.signature, asked.layout))
    say(understood_text(source.understood, with_missing=False))
    if source.understood.converted:
        raise EdgeproofError(
            f"{options.path}: is converted already, and nothing else is made of it: `convert card` takes it as it is"
        )
    if (used := options.folder / f"{options.folder.name}.{GIVEN}.tflite").exists():
        raise EdgeproofError(f"{used}: is a model that is used as it is: choose another --name, or remove it")
    return source


def _decided(
    source: Source, input_spec: InputSpec, stated: Fact[InputRange] | None, confirmed: bool, dataset: Dataset, say: Say
) -> tuple[InputSpec, Wrapping, SamplePictures]:
    """Decide by held-out pictures what the model takes and gives: its steps, its range of values, its activation.

    Raises EdgeproofError where that is unclear, or where a range that is not confirmed contradicts the pictures' labels.
    """
    samples = SamplePictures.of(dataset, input_spec.steps)
    check_steps(samples, input_spec.shape)
    input_range = resolve_range(source, stated, confirmed, samples, say)
    check_numbers(source.understood.path, source.answers(samples.values(input_range)))
    input_spec = resolve_fit(source, input_range, input_spec, samples, say)
    samples = samples.again(input_spec.steps)
    activation = resolve_activation(source, source.answers(samples.values(input_range)))
    return input_spec, Wrapping(input_spec.shape, input_range, activation), samples


def _added(source: Source, wrapping: Wrapping) -> list[str]:
    """Say what is put around the model: before its input, and behind its outputs."""
    added = [] if wrapping.input_range.is_pixels else [f"input range {wrapping.input_range.name}"]
    logits = wrapping.activation == "logits"
    if source.understood.classes == 1:
        return [*added, f"the first of two classes ({'its output is a logit' if logits else 'sigmoid'})"]
    return [*added, "Softmax (its outputs are logits)"] if logits else added


def _say_model(
    path: Path, source: Source, wrapping: Wrapping, labels: Sequence[str], added: Sequence[str], say: Say
) -> None:
    put = f"; put around it: {', '.join(added)}" if added else ""
    size = "×".join(str(side) for side in wrapping.shape)
    say(f"{path}: {source.parameters:,} parameters, pictures {size}, {len(labels)} labels{put}")
    if twice := twice_text(labels):
        say(f"note: {twice}")


def import_in_child(workplace: Workplace, options: ImportOptions) -> Path:
    """Import a model, in the child process."""
    return import_model(options, workplace.say)


def inspect_in_child(_workplace: Workplace, path: Path, opening: Opening) -> Understood:
    """Return what is understood of a file, in the child process."""
    return open_source(path, opening).understood


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
