"""The step stroke_frame: digit_frame, and what people draw on a screen: thin, thick or cut strokes, outlines, few pixels."""

from __future__ import annotations

from typing import Optional

import numpy as np
import numpy.typing as npt
from PIL import Image

from device.errors import NoDigit
from device.pictures.digit_frame import (
    CLOSE_UP,
    FAINTEST,
    OVERVIEW,
    centred,
    extreme,
    ink_bounds,
    is_framed,
    levels,
    photo_close_up,
    scaled,
    shrunk,
    stroke_width,
)
from device.pictures.ink_pieces import Blob, Mask, Plane, box_around, digit_strokes, find_blobs, find_runs, paint

# All arrays hold integers, so that x86 and ARM give the same bits.

SMALL = 64  # pixels: a picture whose longest side is at most so long shows one digit and nothing else
# The share of a drawing's border that has exactly the paper's value, and the share of all of it: more in a large picture,
# which may be a photo that is half in the shadow, unless paper and ink together are nearly all.
FLAT_BORDER_SMALL, FLAT_BORDER = 0.4, 0.45
FLAT_SMALL, FLAT, FLAT_WITH_INK = 0.25, 0.6, 0.85
THIN, FAT = 1.7, 3.8  # of 20 pixels: nine in ten of MNIST's strokes are in between
THICKENED, THINNED = 1.9, 3.4  # what thinner and thicker ones are brought to
HAIRLINE = 1.3  # of 20 pixels: no hard-edged stroke of MNIST's is thinner


def stroke_frame(image: Image.Image, size: int = 28, box: int = 20) -> Image.Image:
    """Frame the one digit in an "L" picture, photographed or drawn on a screen, with strokes as wide as MNIST's.

    Returns "L" (size, size): light on black, the longer side `box` pixels, the centre of mass in the middle. A
    picture of MNIST's form is returned as it is. Raises NoDigit or SeveralDigits rather than guess.
    """
    if is_framed(image, size, box) and not _is_hairline(image, box):
        return image
    paper = _flat_paper(image)
    if paper is None:  # strokes in photos are as digit_frame makes them: wider thin ones were read no better
        return centred(scaled(_photo(image), box), size)
    even = _evened(_filled(_drawing_close_up(image, paper)))
    return centred(shrunk(even, ink_bounds(even), box), size)


def _is_hairline(image: Image.Image, box: int) -> bool:
    """Say whether a frame holds hard-edged strokes about one pixel wide: drawn, not MNIST's."""
    pixels = np.asarray(image)
    return stroke_width(pixels > 127) * 20 < HAIRLINE * box and len(np.unique(pixels)) < 4


def _photo(image: Image.Image) -> Image.Image:
    """Return the close-up of a photo; one of few pixels is enlarged and gets a margin before."""
    if max(image.size) > SMALL:
        return photo_close_up(image)
    times = CLOSE_UP // max(image.size)
    large = image.resize((image.width * times, image.height * times), Image.Resampling.BICUBIC)
    border = np.sort(_border(image))
    margin = 2 * times
    sheet = Image.new("L", (large.width + 2 * margin, large.height + 2 * margin), int(border[len(border) // 2]))
    sheet.paste(large, (margin, margin))
    return photo_close_up(sheet)


# -- drawings: paper of one value


def _border(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the outermost pixels, in no order that matters."""
    right, bottom = image.width - 1, image.height - 1
    lines = (
        (0, 0, right + 1, 1),
        (0, bottom, right + 1, bottom + 1),
        (0, 0, 1, bottom + 1),
        (right, 0, right + 1, bottom + 1),
    )
    return np.concatenate([np.asarray(image.crop(line)).ravel() for line in lines])


def _flat_paper(image: Image.Image) -> Optional[int]:
    """Return the value 0..255 of a drawing's paper: that of most of the border; None where it varies, as in photos."""
    border = np.bincount(_border(image), minlength=256)
    paper = int(border.argmax())
    small = max(image.size) <= SMALL
    if border[paper] < (FLAT_BORDER_SMALL if small else FLAT_BORDER) * border.sum():
        return None
    step = -(-max(image.size) // OVERVIEW)  # every step-th pixel is enough to see what most are
    few = max(1, image.width // step), max(1, image.height // step)
    seen = image.resize(few, Image.Resampling.NEAREST).histogram()
    share, two = seen[paper] / sum(seen), sum(sorted(seen)[-2:]) / sum(seen)
    flat = share >= FLAT_SMALL if small else share >= FLAT or (share >= FLAT_SMALL and two >= FLAT_WITH_INK)
    return paper if flat else None


def _drawing_close_up(image: Image.Image, paper: int) -> Image.Image:
    """Return the one digit of a drawing, cut out: "L", light on black, a margin around it. Raises NoDigit, SeveralDigits."""
    step = -(-max(image.size) // OVERVIEW)
    small = np.asarray(image.reduce(step) if step > 1 else image, np.int32)
    dark = int((paper - small).sum()) >= 0  # more ink is darker than the paper
    contrast = np.maximum(paper - small if dark else small - paper, 0)
    found = _find_drawn(contrast, step * max(contrast.shape) <= SMALL)
    if found is None:
        raise NoDigit(
            "no digit found: the picture is of one colour, or what is drawn fills it, is a speck, or is hardly darker "
            "(lighter) than what it is drawn on; draw with a pen of another brightness and leave a margin"
        )
    mask, blob = found
    crop = (blob.left * step, blob.top * step, min(blob.right * step, image.width), min(blob.bottom * step, image.height))
    fine = -(-blob.sides[1] * step // CLOSE_UP)
    gray = image.reduce(fine, crop) if fine > 1 else image.crop(crop)
    ink = gray.point([max(0, paper - value if dark else value - paper) for value in range(256)])
    near = Image.fromarray(extreme(np.pad(mask, 1).astype(np.uint8), 3, np.maximum)[1:-1, 1:-1] * np.uint8(255))
    cover = (crop[0] / step, crop[1] / step, crop[2] / step, crop[3] / step)
    allowed = near.resize(ink.size, Image.Resampling.NEAREST, cover)
    return _resized(Image.composite(ink, Image.new("L", ink.size), allowed))


def _find_drawn(contrast: Plane, is_small: bool) -> Optional[tuple[Mask, Blob]]:
    """Return the digit's pixels (H, W) and their box, or None where nothing may be one."""
    peak = levels(contrast, 1 - max(0.00015, 5 / contrast.size))[0] if contrast.size > 5 else 0
    if peak < FAINTEST:
        return None
    mask = contrast > peak * 3 // 10
    runs = find_runs(mask)
    blobs = find_blobs(runs, contrast)
    drawn = [i for i, blob in enumerate(blobs) if not _is_bar(blob, mask.shape)]
    limits = (25,) if is_small else (10, 19)  # in a large picture it is sooner a frame that runs along the edges
    for limit in limits:
        fits = [i for i in drawn if _may_be_digit(blobs[i], mask.shape, limit)]
        if fits:
            chosen = digit_strokes(blobs, fits, drawn)
            return paint(runs, chosen, mask.shape), box_around([blobs[i] for i in chosen])
    return None


def _may_be_digit(blob: Blob, shape: tuple[int, ...], limit: int) -> bool:
    """Say whether it is no speck, and has at most `limit` tenths of its length on the picture's edges."""
    longer = blob.sides[1]
    return longer >= max(4, min(shape) // 25) and blob.edge * 10 <= limit * longer


def _is_bar(blob: Blob, shape: tuple[int, ...]) -> bool:
    """Say whether it is a line across the picture, or a filled rectangle along its edge."""
    shorter, longer = blob.sides
    across = blob.right - blob.left == shape[1] and longer >= 8 * shorter
    return across or (blob.edge >= longer and blob.area * 10 >= 9 * shorter * longer)


def _resized(ink: Image.Image) -> Image.Image:
    """Return the ink of a drawing about CLOSE_UP pixels long, its core at 255, on black with a margin."""
    times, margin = max(1, CLOSE_UP // max(ink.size)), max(ink.size) // 4 + 2
    sheet = Image.new("L", (ink.width + 2 * margin, ink.height + 2 * margin))
    sheet.paste(ink, (margin, margin))
    inside = np.asarray(ink, np.int32)
    full = levels(inside[2 * inside > inside.max()], 0.7)[0]
    sheet = sheet.point([min(255, value * 255 // max(1, full)) for value in range(256)])
    return sheet.resize((sheet.width * times, sheet.height * times), Image.Resampling.BICUBIC) if times > 1 else sheet


# -- strokes


def _filled(ink: Image.Image) -> Image.Image:
    """Fill the inside of a digit that is drawn as an outline: a hole as long as the digit that bends as a stroke does."""
    solid = np.asarray(ink) > 127
    blank = find_runs(~solid, corners=False)
    holes = [(i, hole) for i, hole in enumerate(find_blobs(blank, np.zeros(solid.shape, np.int32))) if not hole.edge]
    _, top, _, bottom = ink_bounds(ink)
    inside = [i for i, hole in holes if (hole.bottom - hole.top) * 10 > (bottom - top) * 7]
    pixels = np.asarray(ink).copy()
    for i in inside:
        hole = paint(blank, [i], solid.shape)
        if _bends(hole):
            pixels[hole] = 255
    return Image.fromarray(pixels)


def _bends(hole: Mask) -> bool:
    """Say whether many of a hole's rows and columns cross it more than once."""
    starts = [np.count_nonzero(np.diff(side.astype(np.int8), axis=1, prepend=0) == 1, axis=1) for side in (hole, hole.T)]
    crossed = np.concatenate(starts)
    return int(np.count_nonzero(crossed > 1)) * 6 > int(np.count_nonzero(crossed))


def _evened(ink: Image.Image) -> Image.Image:
    """Make thin strokes thicker and thick strokes thinner, to MNIST's usual width."""
    left, top, right, bottom = ink_bounds(ink)
    longer = max(right - left, bottom - top)
    width = stroke_width(np.asarray(ink) > 127) * 20 / longer
    if THIN <= width <= FAT:
        return ink
    wanted, pick = (THICKENED, np.maximum) if width < THIN else (THINNED, np.minimum)
    # a stroke that grows makes the digit larger too
    reach = round(abs(wanted - width) * longer / (40 - 2 * wanted))
    return Image.fromarray(_round_extreme(np.asarray(ink), reach, pick))


def _round_extreme(values: npt.NDArray[np.uint8], reach: int, pick: np.ufunc) -> npt.NDArray[np.uint8]:
    """Return the greatest or least value within `reach` pixels of each (H, W), in an octagon: nearly a round pen."""
    square = reach // 2
    values = extreme(values, 2 * square + 1, pick)
    for _ in range(reach - square):
        padded = np.pad(values, 1)
        values = pick.reduce([values, padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]])
    return values
