"""Settings by name: of a recipe's last phase, of its augmentation, of the run, and of a model's build()."""

import inspect
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal

from device.errors import EdgeproofError
from train.models import Model, find_model
from train.spec import DEFAULT_RECIPE, Augmentation, ModelSpec, Phase, Recipe

Settings = Mapping[str, Any]
PHASE_FIELDS = {field.name for field in fields(Phase)} - {"name", "augmentation", "frozen_through"}
AUGMENTATION_FIELDS = {field.name for field in fields(Augmentation)}
RUN_FIELDS: dict[str, Any] = {"recipe": str, "seed": int, "training_images": int}
MAY_BE_ZERO = {"seed", "crop"}  # of the whole numbers; each of the others counts something that there must be
TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a name", types.NoneType: "null"}


def known_settings(model: str) -> dict[str, Any]:
    """Return the types of the settings that a model has, by name."""
    build = inspect.signature(find_model(model).build).parameters
    options = {name: build[name].annotation for name in find_model(model).build_options}
    hints = typing.get_type_hints(Phase) | typing.get_type_hints(Augmentation)
    return {name: hints[name] for name in PHASE_FIELDS | AUGMENTATION_FIELDS} | RUN_FIELDS | options


def check_setting(name: str, kind: Any, value: Any) -> None:
    """Raise EdgeproofError for a value that is not of the setting's type, is not finite, or counts nothing."""
    if not _is_a(kind, value):
        raise EdgeproofError(f"{name} is {value!r}: expected {_type_text(kind)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise EdgeproofError(f"{name} is {value!r}: expected a finite number")
    least = 0 if name in MAY_BE_ZERO else 1
    if kind is int and value < least:
        raise EdgeproofError(f"{name} is {value!r}: expected at least {least}")


def _is_a(kind: Any, value: Any) -> bool:
    if isinstance(kind, types.UnionType):
        return any(_is_a(part, value) for part in typing.get_args(kind))
    if typing.get_origin(kind) is Literal:
        return value in typing.get_args(kind)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _type_text(kind: Any) -> str:
    if isinstance(kind, types.UnionType):
        return " or ".join(_type_text(part) for part in typing.get_args(kind))
    if typing.get_origin(kind) is Literal:
        return ", ".join(typing.get_args(kind))
    return TYPE_NAMES.get(kind, str(kind))


def build_settings(model: Model, settings: Settings) -> dict[str, Any]:
    """Return those of the settings that are options of the model's build()."""
    return {name: settings[name] for name in model.build_options if name in settings}


def apply_settings(spec: ModelSpec, settings: Settings, recipe: str | None = None) -> Recipe:
    """Return the recipe (of that name, else of the settings, else the default one) with the settings in its last phase.

    It validates with the whole validation part.
    """
    name = recipe or str(settings.get("recipe", DEFAULT_RECIPE))
    chosen = replace(spec.recipe(name), validation_images=None)
    last = chosen.phases[-1]
    bounds = {name: settings[name] for name in AUGMENTATION_FIELDS & set(settings)}
    augmentation = replace(last.augmentation or Augmentation(), **bounds) if bounds else last.augmentation
    changes = {name: settings[name] for name in PHASE_FIELDS & set(settings)}
    return replace(chosen, phases=(*chosen.phases[:-1], replace(last, augmentation=augmentation, **changes)))
