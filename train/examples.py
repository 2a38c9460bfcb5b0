"""The examples of a training: which pictures a recipe uses, prepared and in a seeded order, with digits drawn by code."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from device.card import Step
from device.preprocessing.whole_picture import whole_picture_steps
from train.data.dataset import Dataset, Labels, Pixels, empty_array, seeded_order
from train.data.pen_digits import prepared_pen_digits
from train.spec import ModelSpec, Recipe


@dataclass(frozen=True)
class Examples:
    """Prepared pictures (N, H, W, C), uint8, 0..255, in memory or mapped from disk, with their labels (N,)."""

    pixels: Pixels
    labels: Labels


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
