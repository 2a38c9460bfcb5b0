"""The connected pieces of ink in a picture, and which of them are one digit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from device.errors import SeveralDigits

Plane = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


class Blob(NamedTuple):
    """A connected piece of ink: its box, right and bottom exclusive, and its pixels."""

    left: int
    top: int
    right: int
    bottom: int
    area: int
    edge: int  # how many of its pixels are on the picture's edge
    sharp: bool  # whether its edge is as sharp as that of ink, not of a shadow

    @property
    def sides(self) -> tuple[int, int]:
        """Return the shorter and the longer side of the box."""
        width, height = self.right - self.left, self.bottom - self.top
        return min(width, height), max(width, height)


class Runs(NamedTuple):
    """The horizontal runs of a mask, row by row; stops exclusive."""

    rows: Indices
    starts: Indices
    stops: Indices
    labels: Indices  # which blob each belongs to: 0, 1, ...


def find_runs(mask: Mask, corners: bool = True) -> Runs:
    """Return the runs of a mask (H, W) and which of them are connected, with `corners` diagonally too."""
    wide = mask.shape[1] + 2  # with a blank on both sides, the rows can be treated as one line
    line = np.pad(mask, ((0, 0), (1, 1))).ravel().view(np.int8)
    turns = np.flatnonzero(line[1:] != line[:-1]) + 1
    starts, stops = turns[::2], turns[1::2]
    first = np.searchsorted(stops, starts + wide, side="left" if corners else "right")
    beyond = np.searchsorted(starts, stops + wide, side="right" if corners else "left")
    rows = starts // wide
    return Runs(rows, starts - rows * wide - 1, stops - rows * wide - 1, _joined(first.tolist(), beyond.tolist()))


def _joined(first: list[int], beyond: list[int]) -> Indices:
    """Return labels 0, 1, ... of items where the i-th touches those from first[i] to before beyond[i]: union-find."""
    parent = list(range(len(first)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for i, (start, stop) in enumerate(zip(first, beyond)):
        for j in range(start, stop):
            one, other = root(i), root(j)
            parent[max(one, other)] = min(one, other)
    roots = np.array([root(i) for i in range(len(parent))], np.int64)
    return np.asarray(np.unique(roots, return_inverse=True)[1], np.int64)


def find_blobs(runs: Runs, contrast: Plane) -> list[Blob]:
    """Return the blobs by label, from their runs in the picture whose contrast to the paper (H, W) this is."""
    if not len(runs.rows):
        return []
    height, width = contrast.shape
    order = np.argsort(runs.labels, kind="stable")
    rows, starts, stops, labels = (values[order] for values in runs)
    first = np.flatnonzero(np.diff(labels, prepend=-1))
    ends = (starts == 0).astype(np.int64) + (stops == width)
    edge = np.where((rows == 0) | (rows == height - 1), stops - starts, ends)
    columns = (
        np.minimum.reduceat(starts, first),
        np.minimum.reduceat(rows, first),
        np.maximum.reduceat(stops, first),
        np.maximum.reduceat(rows, first) + 1,
        np.add.reduceat(stops - starts, first),
        np.add.reduceat(edge, first),
    )
    inside, outside = _across_edges(rows, starts, stops, contrast)
    sharp = np.add.reduceat(inside - outside, first) * 5 > np.add.reduceat(inside, first) * 2
    return [Blob(*values) for values in zip(*(column.tolist() for column in columns), sharp.tolist())]


def _across_edges(rows: Indices, starts: Indices, stops: Indices, contrast: Plane) -> tuple[Plane, Plane]:
    """Return the contrast just inside and just outside of the ends of each run: similar at a shadow, different at ink."""
    reach = np.minimum(stops - starts - 1, 6) // 2
    inside = contrast[rows, starts + reach] + contrast[rows, stops - 1 - reach]
    last = contrast.shape[1] - 1
    outside = contrast[rows, np.maximum(starts - 4, 0)] + contrast[rows, np.minimum(stops + 3, last)]
    return inside, outside


def paint(runs: Runs, chosen: list[int], shape: tuple[int, ...]) -> Mask:
    """Return the mask (H, W) of some blobs."""
    keep = np.isin(runs.labels, chosen)
    steps = np.zeros((shape[0], shape[1] + 1), np.int8)
    steps[runs.rows[keep], runs.starts[keep]] = 1
    steps[runs.rows[keep], runs.stops[keep]] = -1  # no run starts where another stops
    return np.cumsum(steps, axis=1, dtype=np.int8)[:, :-1] > 0


def digit_strokes(blobs: list[Blob], fits: list[int], aside: list[int]) -> list[int]:
    """Return which blobs are the digit: the largest that fits, and those near it that are as thick, of those `aside`.

    Raises SeveralDigits.
    """
    main = max(fits, key=lambda i: blobs[i].area)
    chosen, around = [main], blobs[main]
    rest = {i for i in aside if i != main and _is_stroke_beside(blobs[i], around)}
    while True:
        near = [i for i in rest if gap_between(around, blobs[i]) * 4 <= around.sides[1]]
        if not near:
            break
        chosen += near
        rest.difference_update(near)
        around = box_around([blobs[i] for i in chosen])
    _refuse_several([blobs[i] for i in chosen], [blobs[i] for i in rest.intersection(fits)])
    return chosen


def _is_stroke_beside(blob: Blob, main: Blob) -> bool:
    """Say whether it may be a separate stroke: no speck, no piece of a ruled line."""
    thick_enough = blob.area * main.sides[1] * 6 > main.area * blob.sides[1]
    return blob.area * 50 >= main.area and thick_enough


def _refuse_several(strokes: list[Blob], others: list[Blob]) -> None:
    """Raise SeveralDigits where a second digit is beside the first, or the strokes form two groups that may be digits."""
    strokes = sorted(strokes)
    several = any(_abreast(box_around(strokes), other) for other in others)
    for i in range(1, len(strokes)):
        left, right = box_around(strokes[:i]), box_around(strokes[i:])
        height = max(left.bottom - left.top, right.bottom - right.top)
        several |= _abreast(left, right) and (right.left - left.right) * 4 > height  # never so in MNIST
    if several:
        raise SeveralDigits("more than one digit found: crop the picture to one digit")


def _abreast(one: Blob, other: Blob) -> bool:
    """Say whether they are side by side and similar in height and ink, as two digits may be."""
    low, high = sorted((one.bottom - one.top, other.bottom - other.top))
    less, more = sorted((one.area, other.area))
    common = min(one.bottom, other.bottom) - max(one.top, other.top)
    return low * 10 > high * 6 and less * 4 > more and common * 2 > high


def gap_between(one: Blob, other: Blob) -> int:
    """Return the distance of two boxes, the larger of the horizontal and the vertical one; 0 where they touch."""
    aside = max(one.left, other.left) - min(one.right, other.right)
    above = max(one.top, other.top) - min(one.bottom, other.bottom)
    return max(aside, above, 0)


def box_around(blobs: list[Blob]) -> Blob:
    """Return one blob that holds them all."""
    left, top, right, bottom, area, edge, sharp = zip(*blobs)
    return Blob(min(left), min(top), max(right), max(bottom), sum(area), sum(edge), all(sharp))
