"""Digits drawn by code, stroke by stroke, as people draw them with a mouse or a pen: labelled, and nobody's data.

MNIST was written with pens on forms by Americans. People who draw a digit themselves use one-pixel strokes and thick
brushes, let strokes run out of the picture, give the 1 a flag and leave the 6 open.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from common.progress import with_progress
from device.card import Step
from device.errors import PictureError
from device.preprocessing.prepare import run_steps
from train.data.dataset import Labels, Pixels
from train.data.pen_strokes import SHAPES

Points = npt.NDArray[np.float64]  # (N, 2)
FINE = 4  # the picture is drawn so many times larger where its edges are soft
MAX_TRIES = 100  # of a digit that the steps refuse: some in a hundred are
STEPS = 12  # points of a curve between two of its given points


@dataclass(frozen=True)
class Pen:
    """How strokes look. `width` is a share of the digit's height; 0: one pixel with hard edges."""

    width: float = 0.1
    soft: bool = True  # edges in shades of gray
    hollow: bool = False  # only the outline of the strokes


def pen_digit(label: int, random: np.random.Generator) -> Image.Image:
    """Draw the digit in one of its ways, with a pen, on a canvas and in colours all drawn at random: "L" or "RGB"."""
    pen, side = random_pen(random)
    return drawn(label, random, pen, side)


def prepared_pen_digits(count: int, steps: Sequence[Step], seed: int) -> tuple[Pixels, Labels]:
    """Draw `count` digits, the classes in turn, and run a card's steps over them: (N, H, W, C), uint8, 0..255; (N,).

    A picture that the steps refuse is drawn again.
    """
    random = np.random.default_rng([seed, count])
    labels = np.arange(count, dtype=np.int64) % len(SHAPES)
    pictures = [_prepared(int(label), steps, random) for label in with_progress(list(labels), "drawing digits")]
    return np.stack(pictures), labels


def _prepared(label: int, steps: Sequence[Step], random: np.random.Generator) -> Pixels:
    """Return a prepared digit. Raises PictureError where the steps refuse all that are drawn."""
    for left in reversed(range(MAX_TRIES)):
        try:
            return run_steps(pen_digit(label, random), steps)
        except PictureError:  # such as a digit that fills its picture
            if not left:
                raise
    raise AssertionError("MAX_TRIES is not positive")


def random_pen(random: np.random.Generator) -> tuple[Pen, int]:
    """Return a pen, and the side in pixels of a canvas on which people use it."""
    side = 28 if random.random() < 0.6 else int(random.integers(20, 300))
    kind = random.random()
    if kind < 0.35:
        return Pen(0.0 if side < 60 else float(random.uniform(0.01, 0.05)), soft=False), side
    if kind < 0.75:
        return Pen(float(random.uniform(0.05, 0.16)), soft=random.random() < 0.6), side
    return Pen(float(random.uniform(0.16, 0.26)), soft=random.random() < 0.6), side


def drawn(label: int, random: np.random.Generator, pen: Pen, side: int) -> Image.Image:
    """Draw the digit in one of its ways on a square canvas of `side` pixels: "L" or "RGB"."""
    strokes = _written(label, random)
    narrow = min(float(np.ptp(np.concatenate(strokes)[:, axis])) for axis in (0, 1))
    pen = replace(pen, width=min(pen.width, max(0.12, 0.32 * narrow)))  # a pen that leaves loops open
    height = side * float(random.uniform(0.45, 1.05))
    return _coloured(_inked(_placed(strokes, height, side, pen, random), height, side, pen), random)


def _written(label: int, random: np.random.Generator) -> list[Points]:
    """Return the digit's strokes as paths, in a hand of its own: width, slant, turn and the tremble of points."""
    ways = SHAPES[label]
    weights = np.array([weight for weight, _ in ways], float)
    strokes = ways[int(random.choice(len(ways), p=weights / weights.sum()))][1]
    tremble = float(random.uniform(0.0, 0.05))
    # 1 and its neighbours differ by their width: it is kept narrow
    width = float(random.uniform(0.3, 0.6) if label == 1 else random.uniform(0.35, 0.95))
    slant, turn = float(random.normal(0.05, 0.12)), math.radians(float(random.normal(0, 4)))
    paths = []
    for stroke in strokes:
        points = np.array(stroke.points)
        points = points + random.normal(0, tremble, points.shape)
        path = _smooth(points) if stroke.smooth else points
        across, down = (path[:, 0] - 0.5) * width - slant * (path[:, 1] - 0.5), path[:, 1] - 0.5
        paths.append(
            np.stack(
                [across * math.cos(turn) - down * math.sin(turn), across * math.sin(turn) + down * math.cos(turn)], axis=1
            )
        )
    return paths


def _smooth(points: Points) -> Points:
    """Return the Catmull-Rom curve through the points."""
    ends = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, STEPS, endpoint=False)[:, None]
    parts = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        parts.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*parts, points[-1:]])


def _placed(strokes: Sequence[Points], height: float, side: int, pen: Pen, random: np.random.Generator) -> list[Points]:
    """Return the strokes in pixels, somewhere on the canvas; one in eight runs out of it a little."""
    low = np.min([path.min(axis=0) for path in strokes], axis=0)
    high = np.max([path.max(axis=0) for path in strokes], axis=0)
    height = min(height, 1.05 * side / max(1e-3, float((high - low).max())))
    pixels = [(path - (low + high) / 2) * height for path in strokes]
    free = np.maximum(0, (side - (high - low) * height - pen.width * height) / 2)
    shift = random.uniform(-1, 1, 2) * free
    if random.random() < 0.125:
        reach = np.maximum(0, (side - (high - low) * height) / 2)
        axis = int(random.integers(2))
        shift[axis] = random.choice([-1, 1]) * (reach[axis] + 0.02 * side)
    return [path + side / 2 + shift for path in pixels]


def _inked(strokes: Sequence[Points], height: float, side: int, pen: Pen) -> Image.Image:
    """Return how much of each pixel the pen covers: "L" (side, side)."""
    if pen.hollow:
        outer, inner = (_inked(strokes, height, side, Pen(width, pen.soft)) for width in (pen.width, pen.width * 0.55))
        return Image.fromarray(np.asarray(outer) - np.minimum(np.asarray(outer), np.asarray(inner)))
    fine = FINE if pen.soft else 1
    width = max(1, round(pen.width * height * fine))
    ink = Image.new("L", (side * fine, side * fine))
    pencil = ImageDraw.Draw(ink)
    for path in strokes:
        points: list[tuple[float, float]] = [(float(x), float(y)) for x, y in np.floor(path * fine)]
        pencil.line(points, 255, width)
        for x, y in points if width > 2 else ():
            pencil.ellipse((x - (width - 1) / 2, y - (width - 1) / 2, x + (width - 1) / 2, y + (width - 1) / 2), 255)
    return ink.reduce(fine) if fine > 1 else ink


def _coloured(ink: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return the ink black on white, white on black, in gray or in colours."""
    kind = random.random()
    if kind < 0.55:
        return ink.point([255 - value for value in range(256)])
    if kind < 0.8:
        return ink
    dark, light = random.integers(0, 90, 3), random.integers(165, 256, 3)
    pen, paper = (dark, light) if random.random() < 0.7 else (light, dark)
    cover = np.asarray(ink, np.int64)[:, :, None]
    return Image.fromarray(((paper * (255 - cover) + pen * cover) // 255).astype(np.uint8))
