"""Reading back the arrays of an exported model."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def array_in(source: Path, name: str, dtype: str) -> npt.NDArray[Any]:
    """Return the values of an array in C source, one after the other."""
    match = re.search(rf"\b{name}\[[^=]*=\s*\{{(.*?)\}};", source.read_text(), re.DOTALL)
    assert match is not None, f"{source} has no array {name}"
    return np.array([text.rstrip("f") for text in re.findall(r"[-\d.e+]+f?", match[1])], np.float64).astype(dtype)
