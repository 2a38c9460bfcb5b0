"""The teachers of a distillation: deeper networks, made for training alone and trained in the same run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from train.examples import Examples
from train.fitting.checkpoint import Checkpoint
from train.fitting.epoch_lines import Say, silent
from train.fitting.fit import fit
from train.fitting.fused_batch_norm import with_fused_normalization
from train.fitting.history import Epoch
from train.spec import Distillation, Recipe

SIDE = 28
MARGIN = 2  # of MNIST's four empty pixels: 24×24 fit exactly (24-22-20-10-8-6-3)
DROPOUT = 0.4


@dataclass(frozen=True)
class Teacher:
    """A trained teacher, a keras.Model, with its seed and its epochs."""

    network: Any
    seed: int
    history: Sequence[Epoch]


def trained_teachers(
    recipe: Recipe,
    train: Examples,
    val: Examples,
    classes: int,
    seed: int,
    checkpoint: Checkpoint | None = None,
    say: Say = silent,
) -> list[Teacher]:
    """Train the teachers of a recipe one after the other, or none where it has no distillation.

    Each has a seed of its own, made from the run's. With `checkpoint`, epochs that are saved in it are not trained again.
    """
    import keras

    about = recipe.distillation
    teachers = []
    for number, own in enumerate(teacher_seeds(seed, about.teachers) if about else [], start=1):
        assert about is not None
        name = f"teacher {number}"
        keras.utils.set_random_seed(own)
        network = build(classes, about.filters)
        part = None if checkpoint is None else checkpoint.part(name.replace(" ", "_"))
        history = fit(network, Recipe((replace(about.teacher, name=name),)), train, val, own, part, say)
        teachers.append(Teacher(with_fused_normalization(network), own, history))
    return teachers


def teacher_seeds(seed: int, count: int) -> list[int]:
    """Return `count` seeds of 31 bits that depend only on `seed`; none is the seed of another run's teacher."""
    return [int(np.random.SeedSequence((seed, number)).generate_state(1)[0] >> 1) for number in range(count)]


def with_teachers_epochs(teachers: Sequence[Teacher], history: Sequence[Epoch]) -> list[Epoch]:
    """Return the teachers' epochs and then those of the network that learnt from them, numbered through."""
    epochs = [*(epoch for teacher in teachers for epoch in teacher.history), *history]
    return [replace(epoch, epoch=number) for number, epoch in enumerate(epochs, start=1)]


def provenance(about: Distillation, teachers: Sequence[Teacher]) -> dict[str, Any]:
    """Return what the card says of a distillation, as JSON."""
    told = [{"seed": teacher.seed, "val_accuracy": teacher.history[-1].val_accuracy} for teacher in teachers]
    return {
        "teachers": told,
        "parameters": int(teachers[0].network.count_params()),
        "filters": about.filters,
        "epochs": about.teacher.epochs,
        "temperature": about.temperature,
        "share": about.share,
    }


def build(classes: int, filters: int) -> Any:
    """Return an untrained teacher, a keras.Model: (N, 28, 28, 1) pixels 0..255 to (N, classes) probabilities.

    Two pairs of convolutions with BatchNormalization, as in the networks of Simonyan and Zisserman (2015, arXiv:1409.1556).
    """
    import keras
    from keras import layers

    image = keras.Input((SIDE, SIDE, 1))
    x = layers.Rescaling(1 / 255)(layers.Cropping2D(MARGIN)(image))
    for width in (filters, 2 * filters):
        for _ in range(2):
            x = layers.Conv2D(width, 3, use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(DROPOUT)(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x), name="teacher")
