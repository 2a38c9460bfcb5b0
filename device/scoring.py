"""Accuracy with its interval, and the confusion matrix as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from device.safe_text import printable

Z = 1.959963984540054  # the 97.5 % point of the normal distribution: two-sided 95 %


def wilson_interval(correct: int, total: int, z: float = Z) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22: 209), as fractions of one.

    It is the 95 % interval unless `z` is another point of the normal distribution.
    """
    if total == 0:
        return 0.0, 1.0
    share = correct / total
    middle = share + z * z / (2 * total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def confusion_text(table: npt.NDArray[np.int64], labels: Sequence[str]) -> str:
    """Format a confusion table (classes, classes + 2): a row a true class; a column an answer, then unsure and failed."""
    header = ["is \\ read as", *map(printable, labels), "unsure", "failed"]
    rows = [
        [printable(label), *(str(count) if count else "." for count in counts)]
        for label, counts in zip(labels, table.tolist())
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in [header, *rows])
