"""One file a model, found by its name: each holds SPEC and build()."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from device.errors import EdgeproofError
from train.spec import ModelSpec, Weights


@dataclass(frozen=True)
class Model:
    """What a file in train/models holds: SPEC, build(), and optionally load_pretrained() and other sides."""

    spec: ModelSpec
    build: Callable[..., Any]  # build(classes, **options): an untrained keras.Model
    load_pretrained: Callable[[Any, Weights, Callable[[str], None]], str] | None
    sides: tuple[int, ...] = ()  # sides other than its default one
    spec_at: Callable[[int], ModelSpec] | None = None
    build_at: Callable[[int, int], Any] | None = None  # called with a side and the number of classes

    def at_side(self, side: int | None) -> "Model":
        """Return the model for pictures of side × side. Raises EdgeproofError that lists the sides that it takes."""
        if side is None or (side == self.spec.height == self.spec.width):
            return self
        if side not in self.sides or self.spec_at is None or self.build_at is None:
            sides = ", ".join(map(str, self.sides)) or f"{self.spec.height} alone"
            raise EdgeproofError(f"--side {side}: {self.spec.name} takes {sides}")
        build_at = self.build_at
        return replace(self, spec=self.spec_at(side), build=lambda classes: build_at(side, classes))

    @property
    def build_options(self) -> list[str]:
        """Return the names of build()'s parameters other than the number of classes."""
        return list(inspect.signature(self.build).parameters)[1:]


def model_names() -> list[str]:
    """Return the names of the models: the files in train/models."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_model(name: str) -> Model:
    """Return the model of that name. Raises EdgeproofError that lists those there are."""
    if name not in model_names():
        raise EdgeproofError(f"unknown model {name!r}: there are {', '.join(model_names())}")
    module = importlib.import_module(f"train.models.{name}")
    optional = ("load_pretrained", "SIDES", "spec_at", "build_at")
    pretrained, sides, spec_at, build_at = (getattr(module, name, None) for name in optional)
    return Model(module.SPEC, module.build, pretrained, sides or (), spec_at, build_at)
