"""The card's steps that equal the preprocessing of torchvision, timm and transformers.

All three resize with Pillow, as the device does, so that the pixels are equal. They differ in how a side that is no whole
number is rounded, and in where the middle is when it falls between two pixels. The card's steps contain both.
"""

from typing import Any

from device.card import Step
from device.errors import EdgeproofError
from device.pictures.steps import FILTERS

Size = tuple[int, int]  # height, width
UPRIGHT = Step("exif_orientation")
# Pillow's numbers (PIL.Image.Resampling), as in a preprocessor_config.json
NUMBERED_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def colours(channels: int) -> list[Step]:
    """Return the first steps: upright, then one channel or three."""
    return [UPRIGHT, Step("gray" if channels == 1 else "rgb")]


def shorter_side(size: int, filter_name: str) -> Step:
    """Return the step that resizes the shorter side to `size`; the longer one is cut to a whole number of pixels.

    torchvision.transforms.functional._compute_resized_output_size and transformers.image_transforms.
    get_resize_output_image_size: int(size * long / short).
    """
    return Step("resize", {"size": size, "filter": filter_name, "rounding": "down"})


def covering(size: Size, filter_name: str) -> Step:
    """Return the step that resizes a picture until it just covers (height, width): timm.data.transforms.ResizeKeepRatio."""
    return Step("resize", {"size": _sides(size), "filter": filter_name})


def stretched(size: Size, filter_name: str) -> Step:
    """Return the step that resizes the whole picture to (height, width), whatever its shape is."""
    return Step("stretch", {"size": _sides(size), "filter": filter_name})


def middle(where: str, size: Size, resized: Size | int, even: bool) -> Step:
    """Return the step that cuts (height, width) out of the middle of a picture that was resized to `resized`.

    `even` rounds as torchvision.transforms.functional.center_crop (half to even), else as transformers' center_crop (down).
    Raises EdgeproofError where padding would be needed.
    """
    least = (resized, resized) if isinstance(resized, int) else resized
    if size[0] > least[0] or size[1] > least[1]:
        raise EdgeproofError(
            f"{where}: cuts {size[0]}×{size[1]} out of {least[0]}×{least[1]} pixels: padding is no step of a card"
        )
    return Step("center_crop", {"size": _sides(size)} | ({"rounding": "even"} if even else {}))


def _sides(size: Size) -> int | list[int]:
    return size[0] if size[0] == size[1] else list(size)


def named_filter(where: str, value: Any) -> str:
    """Return the card's name of a filter, by its name ("bicubic") or Pillow's number (3). Raises EdgeproofError."""
    name = NUMBERED_FILTERS.get(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(name, str) or name not in FILTERS:
        raise EdgeproofError(f"{where} {value!r}: a card's resize has {', '.join(FILTERS)}")
    return name
