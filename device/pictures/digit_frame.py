"""The step digit_frame: find one digit in a picture and frame it the way MNIST was made."""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np
import numpy.typing as npt
from PIL import Image

from device.errors import NoDigit
from device.pictures.ink_pieces import Blob, Mask, Plane, box_around, digit_strokes, find_blobs, find_runs, paint

# All arrays hold integers, so that x86 and ARM give the same bits.

OVERVIEW = 176  # pixels: the longest side of the reduced picture in which the digit is searched
CLOSE_UP = 110  # pixels: the longest side of the digit that is cut out
FAINTEST = 12  # of 255: a smaller difference from the paper is taken for dirt
EDGE = 40  # of 255: the edge of a stroke whose core is at 255
STROKES = (1.4, 4.2)  # of 20 pixels: how thick MNIST's are, without the thinnest and the thickest 1 %


def digit_frame(image: Image.Image, size: int = 28, box: int = 20) -> Image.Image:
    """Frame the one digit in an "L" picture of any size, in any light, dark on light or light on dark.

    Returns "L" (size, size): light on black, the longer side `box` pixels, the centre of mass in the middle. A
    picture that is such a frame already is returned as it is. Raises NoDigit or SeveralDigits rather than guess.
    """
    if is_framed(image, size, box):
        return image
    return centred(scaled(photo_close_up(image), box), size)


def photo_close_up(image: Image.Image) -> Image.Image:
    """Return the one digit of an "L" photo, cut out: "L", light on black, about CLOSE_UP pixels long, a margin around it.

    Raises NoDigit or SeveralDigits.
    """
    step = -(-max(image.size) // OVERVIEW)
    # A coarser view averages away the noise that hides faint ink. Ink without a clear contrast is tried last.
    for coarser, clear in ((1, True), (2, True), (4, True), (2, False), (1, False)):
        contrast, dark = _ink_contrast(image.reduce(step * coarser))
        found = _find_digit(contrast, clear)
        if found:
            return _close_up(image, *found, step * coarser, dark)
    raise NoDigit(
        "no digit found: the picture is blank, or its strokes are hardly darker (lighter) than what they "
        "are written on, or cut off; write bolder, or take the picture closer and in even light"
    )


def is_framed(image: Image.Image, size: int, box: int) -> bool:
    """Say whether it is a frame already: ink of `box` pixels, one more or less, around the middle, and the rest black."""
    ink = image.getbbox()
    if image.size != (size, size) or ink is None or abs(max(ink[2] - ink[0], ink[3] - ink[1]) - box) > 1:
        return False
    return all(abs(centre - size // 2) <= 1 for centre in _centre_of_mass(image))


def _centre_of_mass(ink: Image.Image) -> tuple[float, float]:
    """Return column and row of an "L" picture that is not all black."""
    pixels = np.asarray(ink)
    columns, rows = pixels.sum(0, dtype=np.int64), pixels.sum(1, dtype=np.int64)
    mass = int(columns.sum())
    return int(columns @ np.arange(ink.width)) / mass, int(rows @ np.arange(ink.height)) / mass


# -- light


def _ink_contrast(gray: Image.Image) -> tuple[Plane, bool]:
    """Return the contrast of each pixel of an "L" picture as `_contrast` gives it, and whether the ink is dark.

    Of the picture's upper and lower envelope, one is the paper or the board and is smooth; the other follows the digit.
    """
    window = min(gray.size) * 3 // 10  # wider than any stroke
    cells = _cells(gray, window)
    upper, lower = _envelope(cells, window, dark=True), _envelope(cells, window, dark=False)
    dark = _roughness(upper) <= _roughness(lower)
    return _contrast(gray, window, upper if dark else lower, dark), dark


def _cell(window: int) -> int:
    """Return the side in pixels of the squares in which the background is estimated, fine enough for the window."""
    return max(1, window // 16)


def _cells(gray: Image.Image, window: int) -> npt.NDArray[np.uint8]:
    """Return the mean of each square of `_cell` pixels."""
    return np.asarray(gray.reduce(_cell(window)))


def _envelope(cells: npt.NDArray[np.uint8], window: int, dark: bool) -> npt.NDArray[np.uint8]:
    """Return the paper without ink, by cells: a morphological closing (dark ink) or opening, `window` pixels wide."""
    width = window // _cell(window) | 1
    first, then = (np.maximum, np.minimum) if dark else (np.minimum, np.maximum)
    return extreme(extreme(cells, width, first), width, then)


def _roughness(ground: npt.NDArray[np.uint8]) -> int:
    """Return the sum of the squared steps: an edge weighs far more than a gradient of the light."""
    cells = ground.astype(np.int32)
    return int(np.square(np.diff(cells, axis=0)).sum() + np.square(np.diff(cells, axis=1)).sum())


def _contrast(gray: Image.Image, window: int, envelope: npt.NDArray[np.uint8], dark: bool) -> Plane:
    """Return how far each pixel is from the background (H, W), corrected for uneven light: -255..255, ink is positive."""
    cell = _cell(window)
    # One cell more: at a sharp edge, such as a shadow's, the smooth background must not look like ink.
    ground = extreme(envelope, 3, np.minimum if dark else np.maximum)
    cover = (0, 0, gray.width / cell, gray.height / cell)
    smooth = Image.fromarray(ground).resize(gray.size, Image.Resampling.BILINEAR, cover)
    paper, pixels = np.asarray(smooth, np.int32), np.asarray(gray, np.int32)
    usual = int(paper.sum()) // paper.size
    away = paper - pixels if dark else pixels - paper
    gain = (usual + 16) * 256 // (np.arange(256, dtype=np.int32) + 16)  # 16: deep shade is mostly noise
    return np.clip(away * gain.take(paper) >> 8, -255, 255)


def extreme(values: npt.NDArray[Any], width: int, pick: Callable[..., Any]) -> npt.NDArray[Any]:
    """Return the greatest or least of the `width` x `width` values around each (H, W), as `pick` says (np.maximum, ...)."""
    for _ in range(2):  # columns, then rows
        reach = np.arange(-(width // 2), len(values) + width // 2)
        values = values.take(reach, axis=0, mode="clip")  # beyond an edge its own values
        span = 1
        while span < width:  # doubling: log2(width) passes
            more = min(span, width - span)
            values = pick(values[:-more], values[more:])
            span += more
        values = np.ascontiguousarray(values.T)
    return values


def levels(contrast: Plane, *shares: float) -> list[int]:
    """Return percentiles of the contrast."""
    heights = np.cumsum(np.bincount(contrast.ravel() + 255, minlength=511))
    return [int(np.searchsorted(heights, share * contrast.size)) - 255 for share in shares]


# -- ink


def _find_digit(contrast: Plane, clear: bool) -> Optional[tuple[Mask, Blob]]:
    """Return the digit's pixels (H, W) and their box, or None where nothing has enough contrast (if `clear`: much)."""
    seen, thinned = contrast, False
    for _ in range(5):
        below, paper, peak = levels(contrast, 0.16, 0.5, 1 - max(0.00015, 5 / contrast.size))
        spread = max(1, paper - below)
        if peak - paper < max(FAINTEST, spread * (10 if clear else 5)):
            break
        mask = contrast > paper + max(5 * spread, (peak - paper) * 3 // 10)
        runs = find_runs(mask)
        blobs = find_blobs(runs, seen - paper)
        if not thinned and _is_ruled(blobs, mask.shape):
            thinned = True
            seen = contrast = extreme(extreme(contrast, 3, np.minimum), 3, np.maximum)
            continue
        fits = [i for i, blob in enumerate(blobs) if _may_be_ink(blob, mask.shape)]
        if fits:
            chosen = digit_strokes(blobs, fits, [i for i, blob in enumerate(blobs) if not blob.edge])
            return paint(runs, chosen, mask.shape), box_around([blobs[i] for i in chosen])
        contrast = np.where(extreme(mask, 5, np.maximum), paper, contrast)
    return None


def _may_be_ink(blob: Blob, shape: tuple[int, ...]) -> bool:
    """Say whether it is neither a speck nor something that reaches in from outside: the table, a shadow, a ruled line."""
    shorter, longer = blob.sides
    if not blob.sharp or longer < max(4, min(shape) // 25) or blob.edge * 2 > longer:
        return False
    solid = blob.area * 100 > 14 * shorter * longer and longer < 8 * shorter
    return solid or not _runs_through(blob, shape)


def _is_ruled(blobs: list[Blob], shape: tuple[int, ...]) -> bool:
    """Say whether the paper has ruled lines or squares: a line that runs through, or long thin pieces of one."""
    thin = [blob for blob in blobs if blob.sides[1] * 5 > max(shape) and blob.sides[1] > 8 * blob.sides[0]]
    return len(thin) > 2 or any(_runs_through(blob, shape) for blob in blobs)


def _runs_through(blob: Blob, shape: tuple[int, ...]) -> bool:
    return blob.right - blob.left == shape[1] or blob.bottom - blob.top == shape[0]


# -- frame


def _close_up(image: Image.Image, mask: Mask, blob: Blob, step: int, dark: bool) -> Image.Image:
    """Return the digit, cut out of the picture: "L", light on black. `mask` is the picture reduced `step` times."""
    margin = blob.sides[1] // 4 + 2
    left, top = max(0, blob.left - margin), max(0, blob.top - margin)
    mask = mask[top : blob.bottom + margin, left : blob.right + margin]
    crop = (
        left * step,
        top * step,
        min((left + mask.shape[1]) * step, image.width),
        min((top + mask.shape[0]) * step, image.height),
    )
    longer = blob.sides[1] * step
    fine = -(-longer // CLOSE_UP)
    gray = image.reduce(fine, crop)
    window = longer // fine * 2 // 5
    contrast = _contrast(gray, window, _envelope(_cells(gray, window), window, dark), dark)
    near = Image.fromarray(extreme(mask.astype(np.uint8), 5, np.maximum))
    cover = (0, 0, (crop[2] - crop[0]) / step, (crop[3] - crop[1]) / step)
    allowed = np.asarray(near.resize(gray.size, Image.Resampling.NEAREST, cover)) > 0
    return _levelled(contrast, allowed)


def _levelled(contrast: Plane, allowed: Mask) -> Image.Image:
    """Return the contrast (H, W) as an "L" picture: noise becomes 0, the core of strokes 255, the rest 0."""
    below, paper = levels(contrast, 0.16, 0.5)
    floor = paper + 3 * (paper - below)
    inside = contrast[allowed]
    core = inside[2 * inside > paper + levels(inside, 0.98)[0]]
    full = levels(core, 0.7)[0]
    ink = np.clip((contrast - floor) * 255 // max(1, full - floor), 0, 255)
    return Image.fromarray(np.where(allowed, ink, 0).astype(np.uint8))


def scaled(ink: Image.Image, box: int) -> Image.Image:
    """Return the digit out of its close-up, its strokes evened, the longer side `box` pixels, the brightest pixel 255."""
    bounds = ink_bounds(ink)
    return shrunk(_evened(ink, max(bounds[2] - bounds[0], bounds[3] - bounds[1])), bounds, box)


def ink_bounds(ink: Image.Image) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the ink in a close-up. Raises NoDigit where there is none."""
    bounds = ink.point([255 * (value > EDGE) for value in range(256)]).getbbox()
    if bounds is None:
        raise NoDigit("no digit found: there is only noise; take the picture in better light")
    return bounds


def shrunk(ink: Image.Image, bounds: tuple[int, int, int, int], box: int) -> Image.Image:
    """Return what is within the bounds, the longer side `box` pixels, the brightest pixel 255."""
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    longer = max(width, height)
    size = max(1, round(width * box / longer)), max(1, round(height * box / longer))
    small = ink.resize(size, Image.Resampling.HAMMING, bounds)
    brightest = max(1, np.asarray(small).max())
    return small.point([min(255, value * 255 // int(brightest)) for value in range(256)])


def _evened(ink: Image.Image, longer: int) -> Image.Image:
    """Make thin strokes thicker and thick strokes thinner: as thick as MNIST's, at 20 pixels for `longer`."""
    thickness = stroke_width(np.asarray(ink) > 127) * 20 / longer
    thin, fat = STROKES
    if thin <= thickness <= fat:
        return ink
    change, pick = (thin + 0.4 - thickness, np.maximum) if thickness < thin else (thickness - fat + 0.4, np.minimum)
    return Image.fromarray(extreme(np.asarray(ink), round(change * longer / 40) * 2 + 1, pick))


def stroke_width(solid: Mask) -> float:
    """Return the mean width in pixels of the strokes in a mask (H, W)."""
    solid = np.pad(solid, 1)
    outline = np.count_nonzero(solid[1:] != solid[:-1]) + np.count_nonzero(solid[:, 1:] != solid[:, :-1])
    return 2.55 * np.count_nonzero(solid) / max(1, outline)  # 8 / pi: mean over all directions


def centred(digit: Image.Image, size: int) -> Image.Image:
    """Place it on black, its centre of mass in the middle, to a whole pixel."""
    x, y = _centre_of_mass(digit)
    frame = Image.new("L", (size, size))
    frame.paste(digit, (size // 2 - int(x + 0.5), size // 2 - int(y + 0.5)))
    return frame
