"""Refuses models whose output is the number of a class: only scores can be compared from one variant to the next."""

from pathlib import Path
from typing import Any

from device.errors import EdgeproofError
from device.formats.class_number import PICKING, class_number_text

PASSING = ("Cast", "Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose")


def check_gives_scores(path: Path, dtype: str, concrete: Any | None) -> None:
    """Raise EdgeproofError for whole numbers, and for what ArgMax made; `concrete` is the frozen function, if there is one.

    A class number may have been cast to a float, so both are looked at.
    """
    made_by = "" if concrete is None else _maker(concrete)
    if made_by in PICKING or "int" in dtype:
        found = f"{dtype}, of {made_by}" if made_by in PICKING else dtype
        raise EdgeproofError(f"{path}: {class_number_text(found)}")


def _maker(concrete: Any) -> str:
    """Return the operation that made a function's output, but for those that only change its type or sides."""
    operation = concrete.outputs[0].op
    while operation.type in PASSING and operation.inputs:
        operation = operation.inputs[0].op
    return str(operation.type)
