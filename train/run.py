"""One training run from its request to the files that it leaves: model, card, history, pictures."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.files import json_bytes, replacing_together, sha256_of
from common.lock import exclusive
from device.card import Step
from device.errors import EdgeproofError
from device.pictures.picture_files import left_out_text
from train.common_card import common_card
from train.data.dataset import Dataset
from train.data.pen_digits import prepared_pen_digits
from train.examples import Examples, prepared_examples, steps_for
from train.fitting.checkpoint import Checkpoint
from train.fitting.fit import fit
from train.fitting.history import Epoch
from train.fitting.predict import probabilities
from train.fitting.teachers import provenance, trained_teachers, with_teachers_epochs
from train.fitting.unsure import unsure_below
from train.models import Model, find_model
from train.outcome import Outcome, evaluated
from train.plots import plot_history, plot_layers
from train.request import Request, check_folder_name, request_dataset
from train.settings import apply_settings, build_settings
from train.spec import DEFAULT_RECIPE, Recipe

CALIBRATION_DIGITS = 1_000  # drawn by code


def run(request: Request, say: Callable[[str], None], resume: bool = False) -> Outcome:
    """Train, evaluate on the test part once, and write the files. `say` takes lines for people.

    With `resume` the run goes on after the last epoch that an interrupted one finished, with the same result.
    Raises EdgeproofError for a request that cannot be met, before anything on disk is changed.
    """
    model = find_model(request.model).at_side(request.side)
    model.spec.recipe(request.recipe or DEFAULT_RECIPE)
    check_folder_name(request)
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
    checkpoint = Checkpoint(request.folder / "checkpoint", _checkpoint_settings(request, recipe_name, dataset, weights))
    if resume:
        say(checkpoint.describe())
    else:
        checkpoint.discard()
    teachers = trained_teachers(recipe, train, val, len(dataset.labels), request.seed, checkpoint, say)
    networks = [teacher.network for teacher in teachers]
    history = fit(network, recipe, train, val, request.seed, checkpoint, say, teachers=networks)
    outcome = evaluated(network, dataset, steps, request.folder)
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


def head_alone(model: str, recipe: Recipe) -> Recipe:
    """Return the recipe without its fine-tuning: the base stays frozen, the head sees all training pictures.

    Raises EdgeproofError for a model that has no frozen base.
    """
    head = recipe.phases[0]
    if head.frozen_through is None:
        raise EdgeproofError(f"--freeze: {model} has no pretrained base to freeze")
    return replace(recipe, phases=(replace(head, images=None),))


def _checkpoint_settings(request: Request, recipe_name: str, dataset: Dataset, weights: str | None) -> dict[str, Any]:
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
