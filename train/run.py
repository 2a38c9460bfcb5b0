"""One training run from its request to the files that it leaves: model, card, history, pictures."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from device.classify import CARD_SCHEMA, EdgeproofError, Step, wilson_interval
from train.data import DataReference, Dataset, open_dataset, seeded_order
from train.files import BUILD, replacing, sha256_of, write_bytes, write_json
from train.fit import Epoch, Examples, fit
from train.plots import plot_history, plot_layers
from train.spec import DEFAULT_RECIPE, ModelSpec, Recipe, Weights, find_model

TOOLS = ("tensorflow-cpu", "keras", "numpy", "pillow")
SAMPLES_SHOWN = 8


@dataclass(frozen=True)
class Request:
    """What to train: everything that a result depends on."""

    model: str
    recipe: str | None = None  # None: the one that is meant for so many training pictures
    data: Path | None = None
    name: str | None = None  # of the folder, build/MODEL@NAME
    weights: Weights = "imagenet"
    seed: int = 0

    @property
    def folder(self) -> Path:
        """Return build/MODEL for the defaults, build/MODEL@NAME for anything else."""
        parts = [] if self.data is None else [self.data.resolve().name]
        parts += [] if self.recipe in (None, DEFAULT_RECIPE) else [self.recipe]
        parts += [] if self.weights == "imagenet" else [f"weights-{self.weights}"]
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
    """What a run reached on the test part, where its files are, and a few of its answers."""

    folder: Path
    correct: int
    total: int
    samples: Sequence[Sample]

    @property
    def top1(self) -> float:
        return self.correct / self.total

    @property
    def ci95(self) -> tuple[float, float]:
        return wilson_interval(self.correct, self.total)


def run(request: Request, say: Callable[[str], None], verbose: int = 0) -> Outcome:
    """Train, evaluate on the test part once, and write the files. `say` takes lines for people; `verbose` is Keras's.

    Raises EdgeproofError for a request that cannot be met, before anything on disk is touched.
    """
    model = find_model(request.model)
    model.spec.recipe(request.recipe or DEFAULT_RECIPE)
    if request.name and not request.name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise EdgeproofError(f"--name {request.name!r}: expected letters, digits, '-', '_' and '.' only")
    reference = DataReference("mnist") if request.data is None else DataReference("", str(request.data), request.seed)
    dataset = open_dataset(reference)
    steps = model.spec.preprocess if request.data is None else folder_steps(model.spec)
    parts = f"{len(dataset.train):,} training, {len(dataset.val):,} validation, {len(dataset.test):,} test pictures"
    recipe_name = request.recipe or model.spec.recipe_name_for(len(dataset.train))
    recipe = model.spec.recipe(recipe_name)
    say(f"{request.model}, recipe {recipe_name}: {len(dataset.labels)} classes, {parts}")
    train, val = _examples(dataset, steps, recipe, request.seed)

    import keras

    keras.utils.set_random_seed(request.seed)
    network = model.build(len(dataset.labels))
    weights = None
    if model.load_pretrained is not None and request.weights != "none":
        weights = model.load_pretrained(network, request.weights, say)
    history = fit(network, recipe, train, val, request.seed, verbose)
    outcome = _evaluate(network, dataset, steps, request.folder)
    card = common_card(request, recipe_name, model.spec, dataset, steps, weights, outcome)
    _write(outcome.folder, request.model, network, history, card)
    return outcome


def folder_steps(spec: ModelSpec) -> tuple[Step, ...]:
    """Return the preprocessing for folders of pictures of anything: upright, sized with the aspect kept, middle cut."""
    return (
        Step("exif_orientation"),
        Step("gray" if spec.channels == 1 else "rgb"),
        Step("resize", {"size": spec.height, "filter": "bilinear"}),
        Step("center_crop", {"size": spec.height}),
    )


def _examples(dataset: Dataset, steps: Sequence[Step], recipe: Recipe, seed: int) -> tuple[Examples, Examples]:
    """Prepare the training and validation pictures that the recipe uses, in a seeded order."""
    limits = [phase.images for phase in recipe.phases]
    most = None if None in limits else max(limit for limit in limits if limit is not None)
    train_order = seeded_order(len(dataset.train), seed)[:most]
    val_order = seeded_order(len(dataset.val), seed)[: recipe.validation_images]
    return (
        Examples(dataset.train.prepared(steps, train_order), dataset.train.labels[train_order]),
        Examples(dataset.val.prepared(steps, val_order), dataset.val.labels[val_order]),
    )


def _evaluate(network: Any, dataset: Dataset, steps: Sequence[Step], folder: Path) -> Outcome:
    """Answer every test picture once."""
    truth = dataset.test.labels
    probabilities = network.predict(dataset.test.prepared(steps), batch_size=250, verbose=0)
    answers = probabilities.argmax(axis=1)
    shown = np.linspace(0, len(truth) - 1, min(SAMPLES_SHOWN, len(truth))).astype(int)
    samples = [
        Sample(dataset.labels[truth[i]], dataset.labels[answers[i]], float(probabilities[i, answers[i]])) for i in shown
    ]
    return Outcome(folder, int((answers == truth).sum()), len(truth), samples)


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
            "dataset": {"name": reference.name, "path": reference.path, "seed": reference.seed},
            "dataset_sha256": {part: split.sha256 for part, split in parts.items()},
            "dataset_count": {part: len(split) for part, split in parts.items()},
            "tools": {tool: metadata.version(tool) for tool in TOOLS},
        },
    }


def _write(folder: Path, name: str, network: Any, history: Sequence[Epoch], card: dict[str, Any]) -> None:
    """Write the model, its card and its pictures; the model last: it is what make goes by, and the card holds its hash."""
    keras_path = folder / f"{name}.keras"
    summary = io.StringIO()
    network.summary(print_fn=lambda line: summary.write(line + "\n"))
    write_bytes(folder / "summary.txt", summary.getvalue().encode())
    write_json(folder / "history.json", [epoch.to_json() for epoch in history])
    plot_history(history, folder.name, folder / "history.png")
    plot_layers(network, folder / "layers.png")
    with replacing(keras_path) as temporary:
        network.save(temporary)
        card["provenance"]["source_sha256"] = sha256_of(temporary)
        write_json(folder / f"{name}.card.json", card)
