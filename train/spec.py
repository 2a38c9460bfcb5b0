"""What a model is: its input, its preprocessing and the recipes that train it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from device.card import Step
from device.errors import EdgeproofError

DEFAULT_RECIPE = "default"


@dataclass(frozen=True)
class Augmentation:
    """Bounds of a random affine map of each image; each value is drawn evenly from minus to plus its bound."""

    rotation_degrees: float = 0.0
    scale: float = 0.0  # as a fraction, for each axis separately
    shift_pixels: float = 0.0
    shear: float = 0.0
    stroke: float = 0.0  # by this part of a pixel strokes are thickened or thinned


@dataclass(frozen=True)
class Phase:
    """A part of training with one optimizer.

    With `frozen_through`, all layers up to and including that one stay as they are: their output is computed once for
    `images` pictures in `copies` (the first unchanged, the others augmented) and kept, which makes an epoch several times
    faster; an epoch then draws `copies_an_epoch` times as many as there are pictures. Without it, every layer trains and
    every epoch augments again.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    cosine: bool = False  # warm up over the first tenth, then fall to 0.2 % along a cosine; else constant
    label_smoothing: float = 0.0
    dropout: float | None = None  # of the network's Dropout layers; None: as they are
    weight_decay: float = 0.0  # times the rate: the share of a weight that a step takes; 0: the default, 0.004 for adamw
    weight_average: float = 0.0  # momentum of an exponential moving average of the weights; 0: none
    augmentation: Augmentation | None = None
    frozen_through: str | None = None
    copies: int = 1
    copies_an_epoch: int = 1
    images: int | None = None  # use the first N training pictures of a seeded order; None: all
    train_batch_normalization: bool = True


@dataclass(frozen=True)
class Distillation:
    """Deeper networks, the teachers, train first; then the model learns from labels and from their averaged answers.

    Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531. It is for phases that train
    every layer, and for pictures of 28×28×1 (train/fitting/teachers.py).
    """

    teacher: Phase  # how each of them is trained
    teachers: int = 1
    filters: int = 24  # of a teacher's first convolutions
    temperature: float = 2.0  # logits are divided by it, so that small probabilities count too
    share: float = 0.9  # of the loss that comes from the teachers; the rest comes from the labels


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: phases in their order."""

    phases: tuple[Phase, ...]
    validation_images: int | None = None  # validate with the first N of a seeded order after each epoch; None: all
    at_most_images: int | None = None  # chosen by default where the training part has no more pictures than this
    held_out: int | None = None  # how many of MNIST's training pictures are for validation; None: as in the tutorial
    drawn_share: float = 0.0  # of MNIST's training pictures: so many digits drawn by code are mixed with them
    distillation: Distillation | None = None


@dataclass(frozen=True)
class ModelSpec:
    """What a model is; the function that builds it is beside SPEC in the model's own file."""

    name: str
    height: int
    width: int
    channels: int
    preprocess: tuple[Step, ...]
    recipes: Mapping[str, Recipe]

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipes", MappingProxyType(dict(self.recipes)))

    def recipe(self, name: str) -> Recipe:
        """Return the named recipe. Raises EdgeproofError that lists those there are."""
        if name not in self.recipes:
            raise EdgeproofError(f"unknown recipe {name!r} of {self.name}: there are {', '.join(self.recipes)}")
        return self.recipes[name]

    def recipe_name_for(self, training_images: int) -> str:
        """Return the recipe for a number of training pictures: that with the smallest sufficient limit, else default."""
        limits = {name: recipe.at_most_images for name, recipe in self.recipes.items()}
        fitting = [(limit, name) for name, limit in limits.items() if limit is not None and training_images <= limit]
        return min(fitting)[1] if fitting else DEFAULT_RECIPE


Weights = Literal["imagenet", "bundled", "none"]
