"""Settings by name: of a recipe's last phase, of its augmentation, of the run, and of a model's build()."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from train.models import Model, find_model
from train.spec import DEFAULT_RECIPE, Augmentation, ModelSpec, Phase, Recipe

Settings = Mapping[str, Any]
PHASE_FIELDS = {field.name for field in fields(Phase)} - {"name", "augmentation", "frozen_through"}
AUGMENTATION_FIELDS = {field.name for field in fields(Augmentation)}
RUN_FIELDS = {"recipe", "seed", "training_images"}


def known_settings(model: str) -> set[str]:
    """Return the names of the settings that a model has."""
    return PHASE_FIELDS | AUGMENTATION_FIELDS | RUN_FIELDS | set(find_model(model).build_options)


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
