"""The preprocessing steps that a card may name, and their parameters."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Union

import numpy as np
from PIL import Image, ImageChops

from device.errors import CardError, PictureError
from device.pictures.digit_frame import digit_frame
from device.pictures.input_range import ORDERS
from device.pictures.stroke_frame import stroke_frame

# Each step is a pure function from picture to picture. It uses only Pillow and numpy operations that are bit-equal
# on x86 and ARM, as was tested (resize, convert, crop, paste, integer sums; never Image.transform).


ORIENTATION = 0x0112  # the EXIF tag
TURNS = {  # what makes a picture of this orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTED_BY = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")  # where a picture's `info` may say it


def exif_orientation(image: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation tag says, as every viewer does.

    ImageOps.exif_transpose also writes the EXIF data anew, and that fails for a tag of an odd type.
    """
    turn = TURNS.get(orientation(image))
    if turn is None:
        return image
    turned = image.transpose(turn)
    for name in ORIENTED_BY:  # it is upright now
        turned.info.pop(name, None)
    turned.format = image.format  # it says how deep the pixels of mode "I" are
    return turned


def orientation(image: Image.Image) -> Any:
    """Return the orientation in the EXIF data; None where they are absent or cannot be read: then nothing is turned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of corrupt EXIF data: they do not name the picture
        try:
            return image.getexif().get(ORIENTATION)
        except MemoryError:
            raise
        except Exception:  # Pillow's readers raise exceptions of any class for damaged data
            return None


def _opaque(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to "L" or "RGB": transparent parts over white, 16-bit values scaled to 8."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:  # a PNG may name one colour that is transparent
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float64)
        # 16-bit files use the range 0..65535. Other pictures of mode I may have either range, and no flag says which.
        is_16_bit = image.mode != "I" or image.format in ("PNG", "PPM")
        scale = 257.0 if is_16_bit or values.max(initial=0.0) > 255 else 1.0
        return Image.fromarray(np.clip(values / scale, 0, 255).astype(np.uint8))
    if image.mode == "F":
        return _of_fractions(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        straight = image.convert("LA") if image.mode == "La" else image  # Pillow converts La only to LA
        layer = straight.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")  # P, CMYK, YCbCr, HSV, LAB and bilevel


def _of_fractions(image: Image.Image) -> Image.Image:
    """Convert mode "F", which may have any range. Raises PictureError where it is not clearly 0..255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))  # it may hold NaN
    low, high = values.min(initial=0.0), values.max(initial=0.0)
    if low < 0 or 0 < high <= 1 or high > 255:
        raise PictureError(f"has fractions of {low:.3g} to {high:.3g}, expected 0 to 255: save it with 8 or 16 bits")
    return Image.fromarray(values.astype(np.uint8))


def gray(image: Image.Image) -> Image.Image:
    """Convert to 8-bit gray (mode "L", ITU-R 601-2 luma)."""
    return _opaque(image).convert("L")


def rgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit colour (mode "RGB")."""
    return _opaque(image).convert("RGB")


def light_on_dark(image: Image.Image) -> Image.Image:
    """Invert a gray picture whose border is lighter than its whole, so that ink is light on dark as in MNIST."""
    pixels = np.asarray(image, dtype=np.uint8)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    # The means are compared as integers: the result is equal on every processor.
    border_is_lighter = int(border.sum(dtype=np.int64)) * pixels.size > int(pixels.sum(dtype=np.int64)) * border.size
    return ImageChops.invert(image) if border_is_lighter else image


FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
SIDE_ROUNDING: dict[str, Callable[[float], int]] = {"nearest": round, "down": int}
MIDDLE_ROUNDING = ("down", "even")


Size = Union[int, Sequence[int]]  # the side of a square, or height and width


def sides(size: Size) -> tuple[int, int]:
    """Return height and width."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


def resize(image: Image.Image, size: Size, filter: str = "bilinear", rounding: str = "nearest") -> Image.Image:
    """Scale so that the picture just covers `size` and keeps its aspect: for a square, the shorter side gets `size` pixels.

    `rounding` says how the longer side becomes whole pixels: "down" as torchvision and transformers do.
    """
    height, width = sides(size)
    by_width = image.width * height <= image.height * width  # else by its height
    whole = SIDE_ROUNDING[rounding]
    scaled = (
        (width, max(height, whole(image.height * width / image.width)))
        if by_width
        else (max(width, whole(image.width * height / image.height)), height)
    )
    if scaled == image.size:
        return image
    if max(scaled) > 64 * max(height, width):
        raise PictureError(f"is {image.width}×{image.height}, too long and thin to classify: crop it")
    return image.resize(scaled, FILTERS[filter])


def center_crop(image: Image.Image, size: Size, rounding: str = "down") -> Image.Image:
    """Cut the middle `size` out.

    Where the middle is between two pixels, the left and upper one is taken; with `rounding` "even", as in torchvision, the
    even one.
    """
    height, width = sides(size)
    over = (image.width - width, image.height - height)
    left, top = (round(one / 2) if rounding == "even" else one // 2 for one in over)
    return image.crop((left, top, left + width, top + height))


def stretch(image: Image.Image, size: Size, filter: str = "bilinear") -> Image.Image:
    """Scale to `size` whatever the aspect is, as Keras's image_dataset_from_directory does by default."""
    height, width = sides(size)
    return image if image.size == (width, height) else image.resize((width, height), FILTERS[filter])


def input_values(image: Image.Image, **_: Any) -> Image.Image:
    """Return the picture as it is: the values are made when the runtime gets it (device/preprocessing/encoding.py)."""
    return image


STEPS: dict[str, Callable[..., Image.Image]] = {
    "exif_orientation": exif_orientation,
    "gray": gray,
    "rgb": rgb,
    "light_on_dark": light_on_dark,
    "resize": resize,
    "center_crop": center_crop,
    "stretch": stretch,
    "digit_frame": digit_frame,
    "stroke_frame": stroke_frame,
    "input_values": input_values,
    "input_bytes": input_values,
}

NEED_GRAY = ("light_on_dark", "digit_frame", "stroke_frame")
LAYOUTS = ("NHWC", "NCHW")
STEP_PARAMETERS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "resize": {
        "size": lambda value: _is_size(value),
        "filter": lambda value: value in FILTERS,
        "rounding": lambda value: value in SIDE_ROUNDING,
    },
    "center_crop": {"size": lambda value: _is_size(value), "rounding": lambda value: value in MIDDLE_ROUNDING},
    "stretch": {"size": lambda value: _is_size(value), "filter": lambda value: value in FILTERS},
    "digit_frame": {"size": lambda value: _is_side(value), "box": lambda value: _is_side(value)},
    "stroke_frame": {"size": lambda value: _is_side(value), "box": lambda value: _is_side(value)},
    "input_values": {
        "scale": lambda value: _are_numbers(value) and 0 not in value,
        "offset": lambda value: _are_numbers(value),
        "order": lambda value: value in ORDERS,
        "layout": lambda value: value in LAYOUTS,
    },
    "input_bytes": {"layout": lambda value: value in LAYOUTS},
}


def _is_size(value: object) -> bool:
    return _is_side(value) or (isinstance(value, list) and len(value) == 2 and all(map(_is_side, value)))


def _are_numbers(value: object) -> bool:
    """Say whether it is a list of one finite number, or of three: one a channel."""
    return (
        isinstance(value, list)
        and len(value) in (1, 3)
        and all(isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one) for one in value)
    )


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 8192


def check_parameters(step: str, parameters: Mapping[str, Any]) -> None:
    """Raise CardError for a parameter that the step does not know or whose value is impossible."""
    known = STEP_PARAMETERS.get(step, {})
    for name, value in parameters.items():
        if name not in known:
            raise CardError(f"card field preprocess: step {step!r} has no parameter {name!r}: take a newer classify.py")
        try:
            possible = known[name](value)
        except TypeError:  # a list or an object in place of a name
            possible = False
        if not possible:
            raise CardError(f"card field preprocess: step {step!r}: impossible {name} {value!r}")
    if "size" in known and "size" not in parameters:
        raise CardError(f"card field preprocess: step {step!r} needs the parameter 'size'")
