"""What a model is: its input, its preprocessing and the recipes that train it."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from device.classify import EdgeproofError, Step

DEFAULT_RECIPE = "default"


@dataclass(frozen=True)
class Augmentation:
    """Bounds of one random affine map an image; each is drawn evenly from both sides of no change."""

    rotation_degrees: float = 0.0
    scale: float = 0.0  # as a fraction, for each axis by itself
    shift_pixels: float = 0.0
    shear: float = 0.0
    stroke: float = 0.0  # how far towards the picture with its strokes thickened, or thinned, by a pixel


@dataclass(frozen=True)
class Phase:
    """One stretch of training with one optimizer.

    With `frozen_through`, all layers up to and with that one stay as they are: their output is computed once for
    `images` pictures in `copies` (the first plain, the others augmented) and kept, which makes an epoch several times
    faster; an epoch then draws `copies_an_epoch` times as many as there are pictures. Without it, every layer trains and
    every epoch augments afresh.
    """

    name: str
    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    cosine: bool = False  # warm up over the first tenth, then fall to 0.2 % along a cosine; else constant
    label_smoothing: float = 0.0
    dropout: float | None = None  # of the network's Dropout layers; None: as they are
    weight_decay: float = 0.0  # a step takes this, times the rate, of each weight; 0: the optimizer's own, 0.004 of adamw
    weight_average: float = 0.0  # momentum of an exponential moving average of the weights; 0: none
    augmentation: Augmentation | None = None
    frozen_through: str | None = None
    copies: int = 1
    copies_an_epoch: int = 1
    images: int | None = None  # use the first N training pictures of a seeded order; None: all
    train_batch_normalization: bool = True


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: phases in their order."""

    phases: tuple[Phase, ...]
    validation_images: int | None = None  # look at the first N of a seeded order after each epoch; None: all
    at_most_images: int | None = None  # taken by itself where the training part holds no more than this
    held_out: int | None = None  # so many of MNIST's training pictures are validation; None: as in the tutorial


@dataclass(frozen=True)
class ModelSpec:
    """What a model is; the function that builds it stands beside SPEC in the model's own file."""

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
        """Return the recipe that is meant for so many training pictures: the narrowest that holds them, else default."""
        limits = {name: recipe.at_most_images for name, recipe in self.recipes.items()}
        fitting = [(limit, name) for name, limit in limits.items() if limit is not None and training_images <= limit]
        return min(fitting)[1] if fitting else DEFAULT_RECIPE


Weights = Literal["imagenet", "bundled", "none"]


@dataclass(frozen=True)
class Model:
    """What a file in train/models holds: SPEC, build() and, where the model starts from ImageNet, load_pretrained()."""

    spec: ModelSpec
    build: Callable[..., Any]  # build(classes, **options): an untrained keras.Model
    load_pretrained: Callable[[Any, Weights, Callable[[str], None]], str] | None

    @property
    def build_options(self) -> list[str]:
        """Return the names of what build() takes besides the number of classes."""
        return list(inspect.signature(self.build).parameters)[1:]


def model_names() -> list[str]:
    """Return the names of the models: the files in train/models."""
    import train.models

    return sorted(module.name for module in pkgutil.iter_modules(train.models.__path__))


def find_model(name: str) -> Model:
    """Return the model of that name. Raises EdgeproofError that lists those there are."""
    if name not in model_names():
        raise EdgeproofError(f"unknown model {name!r}: there are {', '.join(model_names())}")
    module = importlib.import_module(f"train.models.{name}")
    return Model(module.SPEC, module.build, getattr(module, "load_pretrained", None))


def whole_picture_steps(side: int, channels: int) -> tuple[Step, ...]:
    """Return the preprocessing for pictures of anything: upright, sized with the aspect kept, the middle cut out."""
    return (
        Step("exif_orientation"),
        Step("gray" if channels == 1 else "rgb"),
        Step("resize", {"size": side, "filter": "bilinear"}),
        Step("center_crop", {"size": side}),
    )
