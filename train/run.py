"""One training run from its request to the files that it leaves: model, card, history, pictures."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common.cli import is_name
from common.files import json_bytes, replacing_together, sha256_of
from common.lock import exclusive
from common.paths import BUILD
from common.version import tool_versions
from device.card import CARD_SCHEMA, Step, check_name
from device.errors import CardError, EdgeproofError
from device.pictures.picture_files import left_out_text
from device.preprocessing.whole_picture import whole_picture_steps
from device.scoring import wilson_interval
from train.data.dataset import DataReference, Dataset, empty_array, seeded_order
from train.data.folders import load_folder, unusable
from train.data.open_dataset import open_dataset
from train.data.pen_digits import prepared_pen_digits
from train.fitting.checkpoint import Checkpoint
from train.fitting.fit import Epoch, Examples, fit
from train.fitting.predict import probabilities
from train.fitting.teachers import provenance, trained_teachers, with_teachers_epochs
from train.fitting.unsure import unsure_below
from train.models import Model, find_model
from train.plots import plot_history, plot_layers
from train.settings import apply_settings, build_settings
from train.spec import DEFAULT_RECIPE, ModelSpec, Recipe, Weights

TOOLS = ("tensorflow-cpu", "keras", "numpy", "pillow")
SAMPLES_SHOWN = 8
CALIBRATION_DIGITS = 1_000  # drawn by code

Frame = Literal["whole", "digit"]


@dataclass(frozen=True)
class Request:
    """What to train: everything that a result depends on."""

    model: str
    recipe: str | None = None  # None: the one that suits the number of training pictures
    data: Path | None = None
    name: str | None = None  # of the folder, build/MODEL@NAME
    weights: Weights = "imagenet"
    seed: int = 0
    frame: Frame = "whole"  # of pictures in folders; MNIST's are framed digits
    freeze: bool = False  # train only the head
    skip_bad: bool = False  # leave unreadable pictures out
    side: int | None = None  # of the model's pictures; None: the model's own
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the recipe and of build(): a search's winner has some
    place: Path | None = None  # the folder to write to; None: one in build/

    @property
    def folder(self) -> Path:
        """Return build/MODEL for the defaults, build/MODEL@NAME for anything else."""
        if self.place is not None:
            return self.place
        parts = [] if self.data is None else [self.data.resolve().name]
        parts += [] if self.side is None or self.side == find_model(self.model).spec.height else [str(self.side)]
        parts += [] if self.recipe in (None, DEFAULT_RECIPE) else [self.recipe]
        parts += [] if self.weights == "imagenet" else [f"weights-{self.weights}"]
        parts += ["frozen"] if self.freeze else []
        parts += [] if self.seed == 0 else [f"seed{self.seed}"]
        name = self.name or "-".join(parts)
        return BUILD / (f"{self.model}@{name}" if name else self.model)


@dataclass(frozen=True)
class Sample:
    """One test picture's label, the model's answer and its score."""

    truth: str
    answer: str
    score: float


@dataclass(frozen=True)
class Outcome:
    """The result of a run: its figures on the test part, its files, and a few of its answers."""

    folder: Path
    correct: int
    total: int
    samples: Sequence[Sample]
    skipped: Sequence[str] = ()  # unreadable pictures that were left out

    @property
    def top1(self) -> float:
        return self.correct / self.total

    @property
    def ci95(self) -> tuple[float, float]:
        return wilson_interval(self.correct, self.total)


def run(request: Request, say: Callable[[str], None], resume: bool = False) -> Outcome:
    """Train, evaluate on the test part once, and write the files. `say` takes lines for people.

    With `resume` the run goes on after the last epoch that an interrupted one finished, with the same result.
    Raises EdgeproofError for a request that cannot be met, before anything on disk is changed.
    """
    model = find_model(request.model).at_side(request.side)
    model.spec.recipe(request.recipe or DEFAULT_RECIPE)
    _check_folder_name(request)
    steps = steps_for(model.spec, request.data is None or request.frame == "digit")
    dataset = request_dataset(request, steps)
    parts = f"{len(dataset.train):,} training, {len(dataset.val):,} validation, {len(dataset.test):,} test pictures"
    recipe_name = request.recipe or model.spec.recipe_name_for(len(dataset.train))
    recipe = model.spec.recipe(recipe_name)
    if request.settings:
        recipe = apply_settings(model.spec, request.settings, recipe_name)
    if request.freeze:
        recipe = head_alone(request.model, recipe)
    if dataset.left_out:
        say(f"left out: {left_out_text(dataset.left_out)}")
    say(f"{request.model}, recipe {recipe_name}: {len(dataset.labels)} classes, {parts}")
    if dataset.reference.path is None and recipe.drawn_share:
        say(f"with {100 * recipe.drawn_share:.0f} digits drawn by code for each 100 training pictures")
    with exclusive(request.folder / request.model):
        return _trained(request, model, recipe_name, recipe, dataset, steps, say, resume)


def _check_folder_name(request: Request) -> None:
    """Raise EdgeproofError for a name that the model's card could not hold: better now than after hours of training."""
    if request.name and not is_name(request.name):
        raise EdgeproofError(f"--name {request.name!r}: expected letters, digits, '-', '_' and '.' only")
    name = request.folder.name.partition("@")[2]
    try:
        check_name("name", name or request.model)
    except CardError as error:
        raise EdgeproofError(f"{request.folder}: {error}: give another name with --name NAME") from error


def _trained(
    request: Request,
    model: Model,
    recipe_name: str,
    recipe: Recipe,
    dataset: Dataset,
    steps: Sequence[Step],
    say: Callable[[str], None],
    resume: bool,
) -> Outcome:
    """Train as requested, once the request is known to be possible."""
    import keras

    train, val = prepared_examples(dataset, steps, recipe, request.seed)

    keras.utils.set_random_seed(request.seed)
    network = model.build(len(dataset.labels), **build_settings(model, request.settings))
    weights = None
    if model.load_pretrained is not None and request.weights != "none":
        weights = model.load_pretrained(network, request.weights, say)
    checkpoint = Checkpoint(request.folder / "checkpoint", _settings(request, recipe_name, dataset, weights))
    if resume:
        say(checkpoint.describe())
    else:
        checkpoint.discard()
    teachers = trained_teachers(recipe, train, val, len(dataset.labels), request.seed, checkpoint, say)
    networks = [teacher.network for teacher in teachers]
    history = fit(network, recipe, train, val, request.seed, checkpoint, say, teachers=networks)
    outcome = _evaluate(network, dataset, steps, request.folder)
    card = common_card(request, recipe_name, model.spec, dataset, steps, weights, outcome)
    if request.settings:
        card["provenance"]["settings"] = dict(request.settings)
    if dataset.reference.path is None:  # a digit model: for other pictures nothing says what is unlike them
        card["provenance"]["drawn_share"] = recipe.drawn_share
        card["min_score"] = _min_score(network, val, steps, request.seed)
    if recipe.distillation is not None:
        card["provenance"]["distillation"] = provenance(recipe.distillation, teachers)
    _write(outcome.folder, request.model, network, with_teachers_epochs(teachers, history), card)
    checkpoint.discard()
    return outcome


def _min_score(network: Any, val: Examples, steps: Sequence[Step], seed: int) -> float:
    """Return below which score an answer is unsure, by validation pictures and by digits drawn by code."""
    drawn, labels = prepared_pen_digits(CALIBRATION_DIGITS, steps, seed)
    return unsure_below(probabilities(network, val.pixels), val.labels, probabilities(network, drawn), labels)


def request_dataset(request: Request, steps: Sequence[Step]) -> Dataset:
    """Open the pictures of a request. Raises EdgeproofError that lists unusable ones, unless they are skipped."""
    if request.data is None:
        recipe = find_model(request.model).spec.recipe(request.recipe or DEFAULT_RECIPE)
        return open_dataset(DataReference("mnist", held_out=recipe.held_out))
    dataset = load_folder(request.data, request.seed)
    skipped: list[str] = []
    while bad := unusable(dataset, steps):  # skipping some changes the random split, so check again
        if not request.skip_bad:
            listed = "".join(f"\n  {path}: {reason}" for path, reason in bad.items())
            raise EdgeproofError(f"{request.data}: {len(bad)} unusable pictures; repair them, or give --skip-bad:{listed}")
        skipped = sorted([*skipped, *bad])
        dataset = load_folder(request.data, request.seed, skipped=skipped)
    return dataset


def head_alone(model: str, recipe: Recipe) -> Recipe:
    """Return the recipe without its fine-tuning: the base stays frozen, the head sees all training pictures.

    Raises EdgeproofError for a model that has no frozen base.
    """
    head = recipe.phases[0]
    if head.frozen_through is None:
        raise EdgeproofError(f"--freeze: {model} has no pretrained base to freeze")
    return replace(recipe, phases=(replace(head, images=None),))


def _settings(request: Request, recipe_name: str, dataset: Dataset, weights: str | None) -> dict[str, Any]:
    """Return all that the weights after an epoch depend on, for the checkpoint."""
    return {
        "model": request.model,
        "recipe": recipe_name,
        "freeze": request.freeze,
        "frame": request.frame,
        "side": request.side,
        **({"settings": dict(request.settings)} if request.settings else {}),
        "seed": request.seed,
        "weights": weights,
        "train_sha256": dataset.train.sha256,
    }


def steps_for(spec: ModelSpec, digits: bool) -> tuple[Step, ...]:
    """Return the model's own preprocessing for digits; for other pictures: turned upright, scaled, the middle cut out."""
    if digits:
        return spec.preprocess
    return whole_picture_steps(spec.height, spec.width, spec.channels)


def prepared_examples(
    dataset: Dataset, steps: Sequence[Step], recipe: Recipe, seed: int, max_training: int | None = None
) -> tuple[Examples, Examples]:
    """Prepare the training (at most `max_training`) and validation pictures that the recipe uses, in a seeded order.

    Digits drawn by code come to MNIST's training pictures, where the recipe has some.
    """
    limits = [phase.images if max_training is None else max_training for phase in recipe.phases]
    most = None if None in limits else max(limit for limit in limits if limit is not None)
    train_order = seeded_order(len(dataset.train), seed)[:most]
    val_order = seeded_order(len(dataset.val), seed)[: recipe.validation_images]
    train = Examples(dataset.train.prepared(steps, train_order), dataset.train.labels[train_order])
    if drawn := _drawn_digits(dataset, recipe, len(train_order)):
        train = _with_drawn_digits(train, drawn, steps, seed)
    return train, Examples(dataset.val.prepared(steps, val_order), dataset.val.labels[val_order])


def _drawn_digits(dataset: Dataset, recipe: Recipe, training: int) -> int:
    """Return how many digits drawn by code a recipe mixes with so many training pictures: with a folder's, none."""
    return round(recipe.drawn_share * training) if dataset.reference.path is None else 0


def _with_drawn_digits(examples: Examples, count: int, steps: Sequence[Step], seed: int) -> Examples:
    """Return the examples and `count` digits drawn by code, mixed in a seeded order."""
    drawn, labels = prepared_pen_digits(count, steps, seed)
    order = seeded_order(len(examples.labels) + count, seed)
    mixed = empty_array((len(order), *drawn.shape[1:]), np.uint8)
    is_drawn = order >= len(examples.labels)
    mixed[~is_drawn] = examples.pixels[order[~is_drawn]]
    mixed[is_drawn] = drawn[order[is_drawn] - len(examples.labels)]
    return Examples(mixed, np.concatenate([examples.labels, labels])[order])


def _evaluate(network: Any, dataset: Dataset, steps: Sequence[Step], folder: Path) -> Outcome:
    """Answer every test picture once."""
    truth = dataset.test.labels
    scores = probabilities(network, dataset.test.prepared(steps))
    answers = scores.argmax(axis=1)
    shown = np.linspace(0, len(truth) - 1, min(SAMPLES_SHOWN, len(truth))).astype(int)
    samples = [Sample(dataset.labels[truth[i]], dataset.labels[answers[i]], float(scores[i, answers[i]])) for i in shown]
    skipped = dataset.reference.skipped
    return Outcome(folder, int((answers == truth).sum()), len(truth), samples, skipped)


def common_card(
    request: Request,
    recipe_name: str,
    spec: ModelSpec,
    dataset: Dataset,
    steps: Sequence[Step],
    weights: str | None,
    outcome: Outcome,
) -> dict[str, Any]:
    """Return the part of the card that all artifacts of a model share, as JSON; convert adds each artifact's own."""
    reference = dataset.reference
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return {
        "schema": CARD_SCHEMA,
        "model": request.model,
        "name": outcome.folder.name.partition("@")[2] or None,
        "labels": list(dataset.labels),
        "input": {"height": spec.height, "width": spec.width, "channels": spec.channels, "pixels": "0..255"},
        "preprocess": [step.to_json() for step in steps],
        "accuracy": {
            "keras_test": {"correct": outcome.correct, "total": outcome.total, "dataset_sha256": dataset.test.sha256}
        },
        "provenance": {
            "recipe": recipe_name,
            "seed": request.seed,
            "weights": weights,
            "dataset": reference.to_json(),
            "dataset_sha256": {part: split.sha256 for part, split in parts.items()},
            "dataset_count": {part: len(split) for part, split in parts.items()},
            "tools": tool_versions(TOOLS),
        },
    }


def _write(folder: Path, name: str, network: Any, history: Sequence[Epoch], card: dict[str, Any]) -> None:
    """Write the model, its card and its pictures, all or none; the model last, because make checks for it."""
    summary = io.StringIO()
    network.summary(print_fn=lambda line: summary.write(line + "\n"))
    names = ("summary.txt", "history.json", "history.png", "layers.png", f"{name}.card.json", f"{name}.keras")
    with replacing_together(*(folder / file for file in names)) as (text, epochs, curves, layers, about, model):
        text.write_text(summary.getvalue(), encoding="utf-8")
        epochs.write_bytes(json_bytes([epoch.to_json() for epoch in history]))
        plot_history(history, folder.name, curves)
        plot_layers(network, layers)
        network.save(model)
        card["provenance"]["source_sha256"] = sha256_of(model)
        about.write_bytes(json_bytes(card))
