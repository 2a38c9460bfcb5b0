"""The only preprocessing of the whole project: training, calibration and accuracy runs call prepare() too."""

from __future__ import annotations

import importlib
import io
import os
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Union

import numpy as np
import numpy.typing as npt
from PIL import Image

from device.card import Card, Step
from device.errors import CardError, PictureError
from device.files import NOT_A_NAME
from device.pictures.picture_files import HEIC_ENDINGS
from device.pictures.steps import NEED_GRAY, STEPS

TOO_LARGE = "too large for the free memory: make it smaller"


def run_steps(image: Image.Image, steps: Sequence[Step]) -> npt.NDArray[np.uint8]:
    """Run preprocessing steps in their order: (height, width, channels), uint8, 0..255."""
    width, height = image.size
    for step in steps:
        if step.name in NEED_GRAY and image.mode != "L":
            raise CardError(f"card field preprocess: step {step.name!r} needs the step 'gray' before it")
        try:
            image = STEPS[step.name](image, **step.parameters)
        except MemoryError as error:
            raise PictureError(f"is {width}×{height}, {TOO_LARGE}") from error
        except (ValueError, TypeError, IndexError) as error:  # the order in the card: Pillow cannot resize every mode
            found = f"step {step.name!r} cannot take a {image.mode} picture of {image.width}×{image.height}: {error}"
            raise CardError(f"card field preprocess: {found}") from error
    if image.mode not in ("L", "RGB"):
        raise CardError(f"card field preprocess: the steps end in a {image.mode} picture: add gray or rgb")
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def prepare(image: Image.Image, card: Card) -> npt.NDArray[np.uint8]:
    """Turn any picture into the model's input: (height, width, channels), uint8, 0..255.

    Raises PictureError for a picture that the steps cannot use, CardError where the steps do not lead to the input.
    """
    pixels = run_steps(image, card.preprocess)
    if pixels.shape != (card.height, card.width, card.channels):
        raise CardError(
            f"card field preprocess: the steps give {pixels.shape}, "
            f"the model takes {(card.height, card.width, card.channels)}: convert again"
        )
    return pixels


def _register_heic() -> None:
    """Let Pillow open HEIC. Raises PictureError where pillow-heif is not installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError as error:
        raise PictureError("is HEIC, which needs pillow-heif: pip install pillow-heif") from error


def _why_no_file(path: Path) -> str:
    """Say why a name is none of a regular file, or return ""."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "no such file"
    except OSError as error:  # a name that is too long, a folder that may not be entered
        return f"cannot be read: {error.strerror}"
    except ValueError:  # a NUL in the name
        return NOT_A_NAME
    if stat.S_ISDIR(mode):
        readable = os.access(path, os.R_OK | os.X_OK)
        return "is a folder without pictures" if readable else "is a folder that may not be read: change its permissions"
    return "" if stat.S_ISREG(mode) else "is no file"


def read_picture(source: Union[str, Path, io.BytesIO]) -> Image.Image:
    """Decode a picture file, or its bytes, completely. Raises PictureError for what is no picture."""
    if not isinstance(source, io.BytesIO):
        source = Path(source)
        why = _why_no_file(source)
        if why:
            raise PictureError(why)
        if source.suffix.lower() in HEIC_ENDINGS:
            _register_heic()
    shown = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of odd EXIF data and the like: they do not name the picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                if image.format == "EPS":
                    raise PictureError("not a picture but EPS, a program that Ghostscript would run: make it a PNG")
                shown = f"is {image.width}×{image.height}, "
                image.load()
                return image
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"too large: {error}") from error
    except MemoryError as error:
        raise PictureError(f"{shown}{TOO_LARGE}") from error
    except Exception as error:  # Pillow's decoders raise exceptions of any class for damaged data
        if isinstance(error, OSError) and error.errno is not None:  # of the system: Pillow's own have none
            raise PictureError(f"cannot be read: {error.strerror}") from error
        raise PictureError(f"not a picture: {str(error) or type(error).__name__}") from error
