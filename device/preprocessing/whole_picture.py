"""The steps for any picture: turned upright, in the model's channels, scaled to the model's size."""

from __future__ import annotations

from device.card import Step
from device.errors import EdgeproofError

CROP, STRETCH = "crop", "stretch"
FITS = (CROP, STRETCH)  # the middle with its aspect, or the whole picture squeezed


def whole_picture_steps(height: int, width: int, channels: int, fit: str = CROP) -> tuple[Step, ...]:
    """Return the steps that lead to (height, width, channels). Raises EdgeproofError for an unknown fit."""
    if fit not in FITS:
        raise EdgeproofError(f"fit {fit!r}: expected {' or '.join(FITS)}")
    size = height if height == width else [height, width]
    first = (Step("exif_orientation"), Step("gray" if channels == 1 else "rgb"))
    if fit == STRETCH:
        return (*first, Step("stretch", {"size": size, "filter": "bilinear"}))
    return (*first, Step("resize", {"size": size, "filter": "bilinear"}), Step("center_crop", {"size": size}))
