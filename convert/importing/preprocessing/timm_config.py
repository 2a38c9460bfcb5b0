"""A timm `config.json`: what timm.data.create_transform makes of its pretrained_cfg for evaluation, as the card's steps."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.importing.preprocessing import picture_steps as pictures
from convert.importing.preprocessing.preprocess_option import Preprocess
from device.card import Step
from device.errors import EdgeproofError
from device.pictures.input_range import InputRange

CROP_SHARE = 0.875  # timm.data.constants.DEFAULT_CROP_PCT
NESTED = "pretrained_cfg"
NEEDED = ("input_size", "mean", "std", "interpolation")


def recognises(document: Mapping[str, Any]) -> bool:
    """Say whether a JSON object is timm's: a config.json, or its pretrained_cfg alone."""
    return isinstance(document.get(NESTED), dict) or ("input_size" in document and "mean" in document)


def read(path: Path, document: Mapping[str, Any]) -> Preprocess:
    """Return what timm does at evaluation. Raises EdgeproofError that names the field which no card can express."""
    nested = document.get(NESTED)
    config = {**document, **nested} if isinstance(nested, dict) else document
    missing = [name for name in NEEDED if config.get(name) is None]
    if missing:
        raise EdgeproofError(f"{path}: pretrained_cfg has no {', '.join(missing)}: give the steps as JSON")
    channels, height, width = _input_size(path, config["input_size"])
    mean, deviation = (_numbers(path, name, config[name], channels) for name in ("mean", "std"))
    if min(deviation) <= 0:
        raise EdgeproofError(f"{path}: std {list(deviation)}: expected numbers over 0")
    return Preprocess(
        steps=_steps(path, config, (height, width), channels),
        size=(height, width),
        channels=channels,
        input_range=InputRange(
            f"as in {path}",
            tuple(1 / (255 * one) for one in deviation),
            tuple(-one / other for one, other in zip(mean, deviation, strict=True)),
        ),
        labels=_labels(config),
        of_training=True,
    )


def _input_size(path: Path, value: Any) -> tuple[int, int, int]:
    sides = value if isinstance(value, list) else []
    if len(sides) != 3 or not all(isinstance(one, int) and 1 <= one <= 8192 for one in sides) or sides[0] not in (1, 3):
        raise EdgeproofError(f"{path}: input_size {value!r}: expected [1 or 3, height, width]")
    return sides[0], sides[1], sides[2]


def _numbers(path: Path, name: str, value: Any, channels: int) -> tuple[float, ...]:
    values = value if isinstance(value, list) else []
    numbers = [float(one) for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(values) != channels or len(numbers) != channels or not all(map(math.isfinite, numbers)):
        raise EdgeproofError(f"{path}: {name} {value!r}: expected {channels} numbers, one a channel")
    return tuple(numbers)


def _steps(path: Path, config: Mapping[str, Any], size: tuple[int, int], channels: int) -> tuple[Step, ...]:
    """Follow timm.data.transforms_factory.transforms_imagenet_eval."""
    share, mode = config.get("crop_pct") or CROP_SHARE, config.get("crop_mode") or "center"
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise EdgeproofError(f"{path}: crop_pct {share!r}: expected a share over 0 and at most 1")
    chosen = pictures.named_filter(f"{path}: interpolation", config["interpolation"])
    whole = (math.floor(size[0] / share), math.floor(size[1] / share))
    steps = pictures.colours(channels)
    if mode == "squash":
        steps.append(pictures.stretched(whole, chosen))
        return tuple(steps) if whole == size else (*steps, pictures.middle(f"{path}: input_size", size, whole, even=True))
    if mode != "center":
        raise EdgeproofError(f"{path}: crop_mode {mode!r}: expected center or squash; a card has no step that pads")
    square = whole[0] == whole[1]
    sized = pictures.shorter_side(whole[0], chosen) if square else pictures.covering(whole, chosen)
    return (*steps, sized, pictures.middle(f"{path}: input_size", size, whole, even=True))


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of the classes, described where each has a description (timm's ImageNet names are numbers)."""
    names, about = config.get("label_names"), config.get("label_descriptions")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return None
    if isinstance(about, dict) and all(isinstance(about.get(name), str) for name in names):
        return tuple(about[name] for name in names)
    return tuple(names)
