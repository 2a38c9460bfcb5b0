"""Digits on paper, drawn only with integers, so that every machine draws the same bytes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Digits = Callable[[int], Image.Image]  # the n-th MNIST digit, "L" (28, 28), light on dark
Plane = npt.NDArray[np.int64]


def drawn(
    digits: Digits, random: np.random.Generator, *, least: int = 20, most: int = 150, several: bool = False, **spoilt: bool
) -> Image.Image:
    """Draw one digit (or two) somewhere on a sheet: "L", up to some 300 pixels a side, its digit `least` to `most`.

    `spoilt` may name hairline, marker, chalk, noise, grain, shade, rules, squares, table, strokes, specks and faint.
    """
    side = int(random.integers(least, most))
    width, height = (side + int(random.integers(8, 160)) for _ in range(2))
    ink = Image.new("L", (width + side * several, height))
    left, top = int(random.integers(0, width - side)), int(random.integers(0, height - side))
    ink.paste(_pen(digits, random, side, spoilt), (left, top))
    if several:
        ink.paste(_pen(digits, random, side, spoilt), (left + side, max(0, top - int(random.integers(side)))))
    if spoilt.get("strokes") or spoilt.get("specks"):
        _dots(ink, random, side // 5 if spoilt.get("strokes") else 3)
    paper, strength = int(random.integers(150, 256)), int(random.integers(25, 40) if spoilt.get("faint") else 120)
    cover: Plane = np.asarray(ink, np.int64)
    sheet = np.full(cover.shape, paper, np.int64)
    if spoilt.get("rules") or spoilt.get("squares"):
        step = max(8, side // 4)
        sheet[step // 2 :: step] -= 50
        sheet[:, step // 2 :: step] -= 50 * bool(spoilt.get("squares"))
    if spoilt.get("table"):
        sheet[:, : width // 12] = sheet[: height // 15] = 45
    sheet -= cover * strength // 255
    if spoilt.get("shade"):
        sheet = sheet * (256 - np.arange(sheet.shape[1]) * 110 // sheet.shape[1]) // 256
        sheet[height * 2 // 3 :, :] = sheet[height * 2 // 3 :, :] * 7 // 8
    if spoilt.get("noise"):
        sheet += random.integers(-9, 10, sheet.shape)
    if spoilt.get("grain"):
        sheet += random.integers(-45, 46, sheet.shape)
    if spoilt.get("chalk"):
        sheet = 255 - sheet
    return Image.fromarray(np.clip(sheet, 0, 255).astype(np.uint8))


def _pen(digits: Digits, random: np.random.Generator, side: int, spoilt: dict[str, bool]) -> Image.Image:
    """Return a digit (side, side), soft as MNIST's or with a pen's edge, thinner or thicker."""
    large = digits(int(random.integers(1_000))).resize((side, side), Image.Resampling.BICUBIC)
    if random.integers(3) == 0:
        return large
    cut = int(random.integers(40, 220))
    pen = large.point([255 * (value > cut) for value in range(256)])
    reach = side // 28 * 2 + 1
    if spoilt.get("hairline"):
        return pen.filter(ImageFilter.MinFilter(reach))
    return pen.filter(ImageFilter.MaxFilter(reach + 2)) if spoilt.get("marker") else pen


def _dots(ink: Image.Image, random: np.random.Generator, size: int) -> None:
    draw: Any = ImageDraw.Draw(ink)
    for _ in range(int(random.integers(1, 4))):
        x, y = int(random.integers(ink.width)), int(random.integers(ink.height))
        draw.rectangle((x, y, x + size // 2 + 1, y + size), fill=255)
