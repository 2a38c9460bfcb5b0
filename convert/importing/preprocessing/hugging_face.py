"""A Hugging Face `preprocessor_config.json`: what an image processor of transformers does, as the card's steps.

The rules are those of transformers' image_processing_*.py with Pillow (version 4.50): each class reads the same fields, but
ConvNext, PoolFormer and Levit enlarge the size before they cut, and EfficientNet divides by the deviation twice.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files import read_json
from convert.importing.preprocessing import picture_steps as pictures
from convert.importing.preprocessing.preprocess_option import Preprocess
from device.card import Step
from device.errors import EdgeproofError
from device.pictures.input_range import InputRange

MODEL_CONFIG, LABELS = "config.json", "id2label"
TYPES = ("image_processor_type", "feature_extractor_type")
# A size that is one number: the shorter side in some classes, both sides in others
SHORTER_SIDE = ("Bit", "CLIP", "ConvNext", "Levit", "MobileNetV1", "MobileNetV2", "MobileViT", "PoolFormer", "VideoMAE")
BOTH_SIDES = ("Beit", "DeiT", "EfficientNet", "Pvt", "Siglip", "Swin", "ViT")
FLAGS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_flip_channel_order")
VALUES = ("size", "crop_size", "crop_pct", "resample", "rescale_factor", "rescale_offset", "include_top")
STATISTICS = ("image_mean", "image_std")
# Fields that do not concern the pixels; others are refused if they are set
NEUTRAL = (
    *TYPES,
    "processor_class",
    "auto_map",
    "_valid_processor_keys",
    "do_convert_rgb",
    "data_format",
    "input_data_format",
    "default_to_square",
    "return_tensors",
    "device",
    "disable_grouping",
    "model_input_names",
    "num_channels",
)
CONVNEXT_CROPS_BELOW = 384  # ConvNextImageProcessor.resize: from this size on the picture is stretched and not cut
CONVNEXT_SHARE, POOLFORMER_SHARE, LEVIT_FACTOR = 224 / 256, 0.9, 256 / 224


def recognises(document: Mapping[str, Any]) -> bool:
    """Say whether a JSON object is an image processor's."""
    return any(name in document for name in (*TYPES, *FLAGS, *STATISTICS))


def read(path: Path, document: Mapping[str, Any]) -> Preprocess:
    """Return what an image processor does. Raises EdgeproofError that names the field that no card can express."""
    config = _Config(path, document)
    config.check_fields()
    mean, deviation = config.statistics()
    channels = len(mean)
    steps, size = config.steps(channels)
    return Preprocess(
        steps=steps,
        size=size,
        channels=channels,
        input_range=config.values(mean, deviation),
        labels=labels_beside(path),
        of_training=True,
    )


def labels_beside(path: Path) -> tuple[str, ...] | None:
    """Return the labels of the model's own config.json in the same folder, or None where there is none with names."""
    beside = path.with_name(MODEL_CONFIG)
    if path.name == MODEL_CONFIG or not beside.is_file():
        return None
    return labels_of(beside, read_json(beside))


def labels_of(path: Path, document: Any) -> tuple[str, ...] | None:
    """Return what a config.json's `id2label` names, in the order of its numbers; None where it names nothing.

    Raises EdgeproofError for numbers that are not 0, 1 and so on. "LABEL_0" is what transformers writes for no name.
    """
    named = document.get(LABELS) if isinstance(document, dict) else None
    if not isinstance(named, dict) or not named:
        return None
    if sorted(named) != sorted(map(str, range(len(named)))) or not all(isinstance(one, str) for one in named.values()):
        raise EdgeproofError(f"{path}: {LABELS}: expected the numbers 0 to {len(named) - 1}, each with a name")
    labels = tuple(named[str(number)] for number in range(len(named)))
    return None if labels == tuple(f"LABEL_{number}" for number in range(len(named))) else labels


class _Config:
    """The fields of an image processor, with the defaults of its class."""

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self._path, self._document = path, document
        named = next((document[name] for name in TYPES if isinstance(document.get(name), str)), "")
        self.kind = named.removesuffix("Fast").removesuffix("ImageProcessor").removesuffix("FeatureExtractor")

    def check_fields(self) -> None:
        """Raise EdgeproofError for a field with an unknown effect."""
        known = {*NEUTRAL, *FLAGS, *VALUES, *STATISTICS}
        for name, value in self._document.items():
            if name not in known and value not in (None, False):
                raise EdgeproofError(f"{self._path}: {name} {value!r}: a card has no step for it: give the steps as JSON")

    def flag(self, name: str, default: bool) -> bool:
        value = self._document.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise EdgeproofError(f"{self._path}: {name} {value!r}: expected true or false")
        return value

    def number(self, name: str, default: float) -> float:
        value = self._document.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            raise EdgeproofError(f"{self._path}: {name} {value!r}: expected a number over 0")
        return float(value)

    def statistics(self) -> tuple[list[float], list[float]]:
        """Return mean and deviation of each channel, 0 and 1 where nothing is normalized."""
        mean, deviation = (self._document.get(name) for name in STATISTICS)
        if not self.flag("do_normalize", default=mean is not None):
            return [0.0] * 3, [1.0] * 3
        lists = (mean, deviation)
        if not all(isinstance(one, list) and len(one) in (1, 3) and all(map(_is_number, one)) for one in lists):
            raise EdgeproofError(
                f"{self._path}: image_mean {mean!r} and image_std {deviation!r}: expected 1 or 3 numbers each"
            )
        assert isinstance(mean, list)
        assert isinstance(deviation, list)
        if len(mean) != len(deviation) or min(deviation) <= 0:
            raise EdgeproofError(f"{self._path}: image_std {deviation!r}: expected {len(mean)} numbers over 0")
        return [float(one) for one in mean], [float(one) for one in deviation]

    def values(self, mean: list[float], deviation: list[float]) -> InputRange:
        """Return (pixel · factor - mean) / deviation as a scale and an offset a channel."""
        factor = self.number("rescale_factor", 1 / 255) if self.flag("do_rescale", default=True) else 1.0
        shift = 1.0 if self.flag("rescale_offset", default=False) else 0.0  # to -1..1
        twice = self.kind == "EfficientNet" and self.flag("include_top", default=True)
        divisors = [one * one if twice else one for one in deviation]
        return InputRange(
            f"as in {self._path}",
            tuple(factor / divisor for divisor in divisors),
            tuple(-(one + shift) / divisor for one, divisor in zip(mean, divisors, strict=True)),
            "bgr" if self.flag("do_flip_channel_order", default=self.kind == "MobileViT") else "rgb",
        )

    def steps(self, channels: int) -> tuple[tuple[Step, ...], tuple[int, int]]:
        """Return the steps and the (height, width) that they end in."""
        if not self.flag("do_resize", default=True):
            raise EdgeproofError(f"{self._path}: do_resize false: pictures come in any size: give the steps as JSON")
        chosen = pictures.named_filter(f"{self._path}: resample", self._document.get("resample"))
        sized, resized = self._resized(chosen)
        steps = [*pictures.colours(channels), sized]
        if (crop := self._crop()) is not None:
            steps.append(pictures.middle(f"{self._path}: crop_size", crop, resized, even=False))
        elif isinstance(resized, int):
            raise EdgeproofError(f"{self._path}: size {self._document.get('size')!r} without a crop gives any shape")
        size = crop or resized
        assert not isinstance(size, int)
        return tuple(steps), size

    def _resized(self, chosen: str) -> tuple[Step, int | tuple[int, int]]:
        """Return the resizing step, and what it ends in: the shorter side, or (height, width)."""
        size = self._size("size", shorter=self.kind in SHORTER_SIDE)
        share = self._document.get("crop_pct")
        if isinstance(size, int):
            if self.kind == "ConvNext" and size >= CONVNEXT_CROPS_BELOW:
                return pictures.stretched((size, size), chosen), (size, size)
            shorter = self._enlarged(size)
            return pictures.shorter_side(shorter, chosen), shorter
        if share is not None or self.kind in ("ConvNext", "Levit"):
            raise EdgeproofError(f"{self._path}: crop_pct {share!r} with a size of both sides: give the steps as JSON")
        return pictures.stretched(size, chosen), size

    def _enlarged(self, size: int) -> int:
        """Return the shorter side before the cut; rounded as the classes do it."""
        if self.kind == "Levit":
            return int(LEVIT_FACTOR * size)
        if self.kind in ("ConvNext", "PoolFormer"):
            return int(size / self.number("crop_pct", CONVNEXT_SHARE if self.kind == "ConvNext" else POOLFORMER_SHARE))
        if self._document.get("crop_pct") is not None:
            raise EdgeproofError(f"{self._path}: crop_pct: what {self.kind or 'this class'} does with it is unknown here")
        return size

    def _crop(self) -> tuple[int, int] | None:
        """Return the (height, width) that is cut out of the middle, or None where nothing is."""
        if self.kind == "ConvNext":
            size = self._size("size", shorter=True)
            return (size, size) if isinstance(size, int) and size < CONVNEXT_CROPS_BELOW else None
        cut_by_default = self.kind in SHORTER_SIDE or self.kind == "DeiT"
        if not self.flag("do_center_crop", default=cut_by_default):
            return None
        crop = self._size("crop_size", shorter=False)
        if isinstance(crop, int):
            raise EdgeproofError(f"{self._path}: crop_size {self._document['crop_size']!r}: expected height and width")
        return crop

    def _size(self, name: str, shorter: bool) -> int | tuple[int, int]:
        """Return the shorter side, or (height, width). Raises EdgeproofError for anything else."""
        value = self._document.get(name)
        if isinstance(value, int) and _is_side(value):
            if name == "size" and self.kind not in (*SHORTER_SIDE, *BOTH_SIDES):
                raise EdgeproofError(
                    f"{self._path}: size {value}: whether {self.kind or 'this class'} means the shorter side is unknown here"
                )
            return value if shorter else (value, value)
        if isinstance(value, list) and len(value) == 2 and all(map(_is_side, value)):
            return value[0], value[1]
        if isinstance(value, dict):
            if set(value) == {"shortest_edge"} and _is_side(value["shortest_edge"]):
                return int(value["shortest_edge"])
            if set(value) == {"height", "width"} and all(map(_is_side, value.values())):
                return value["height"], value["width"]
        raise EdgeproofError(f"{self._path}: {name} {value!r}: expected shortest_edge, or height and width")


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 8192


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
