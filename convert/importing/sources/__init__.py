"""One file for each source format, found by its name. `SourceFormat` says what each module must offer."""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from convert.importing.understood import Activation, Layout, Understood
from device.errors import EdgeproofError
from device.pictures.input_range import PIXELS, InputRange
from train.data.dataset import Pixels

Scores = npt.NDArray[np.float32]  # (N, classes), or (N, 1) of a model with one output for two classes


OF_PYTORCH = (".pt", ".pth", ".ckpt", ".safetensors")


@dataclass(frozen=True)
class Opening:
    """The options for opening a file."""

    unsafe: bool = False  # run Python code that is stored in it
    signature: str | None = None  # of a SavedModel that has several
    layout: Layout | None = None  # of --preprocess, for a file that does not show its own


@dataclass(frozen=True)
class Wrapping:
    """What must be added around a model so that it takes pixels 0..255 and gives a probability a class."""

    shape: tuple[int, int, int]  # (height, width, channels) of the pixels
    input_range: InputRange = PIXELS
    activation: Activation = "softmax"  # of the model's outputs as they are; softmax: nothing is added behind it


class Wrapped(Protocol):
    """The model that the pipeline converts: pixels (N, H, W, C), 0..255, in, a probability a class (N, classes) out."""

    @property
    def ending(self) -> str:
        """Return the ending of its file, as ".keras": convert/trained_model.py opens it again by this."""

    def scores(self, pixels: Pixels) -> Scores:
        """Answer prepared pictures (N, H, W, C), uint8."""

    def save(self, path: Path) -> None:
        """Write it to a path with that ending."""


class Source(Protocol):
    """A model as it came, opened: one picture tensor in, one score tensor out."""

    @property
    def understood(self) -> Understood:
        """Return what is known of the model, each fact with its source."""

    @property
    def sha256(self) -> str:
        """Return the hash of the file, or over the folder."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the model and of what is in it, by which a known one is recognised."""

    @property
    def parameters(self) -> int:
        """Return the number of its parameters."""

    def answers(self, values: Any) -> Scores:
        """Return what the source's own framework answers to values (N, H, W, C), float32, in the range that it takes.

        The source handles layout and dtype; outputs (N, classes) are unchanged, logits stay logits.
        """

    def wrapped(self, wrapping: Wrapping) -> Wrapped:
        """Put a model around it. Raises EdgeproofError where it cannot take pictures of that shape."""


class SourceFormat(Protocol):
    """What a module in this folder offers."""

    EXPECTS: str  # for people: "a .keras or .h5 file"

    def recognises(self, path: Path) -> bool:
        """Say whether a path that exists is of this format: by what is in it, not by its name alone. Opens no model."""

    def open_source(self, path: Path, opening: Opening) -> Source:
        """Open it. Raises EdgeproofError with the reason where it cannot."""


def source_names() -> list[str]:
    """Return the names of the source formats: the files in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def find_format(name: str) -> SourceFormat:
    """Return the source format of that name."""
    return cast("SourceFormat", importlib.import_module(f"{__name__}.{name}"))


def open_source(path: Path, opening: Opening | None = None) -> Source:
    """Open a model that was not trained here. Raises EdgeproofError with the reason where it cannot."""
    formats = [find_format(name) for name in source_names()]
    expected = ", ".join(one.EXPECTS for one in formats)
    if not path.exists():
        raise EdgeproofError(f"{path}: no such file: expected {expected}")
    usable = path.is_dir() or path.is_file()  # reading a pipe or a device would wait, perhaps for ever
    for one in formats if usable else ():
        if one.recognises(path):
            return one.open_source(path, opening or Opening())
    raise EdgeproofError(f"{path}: {what_it_is(path)}: expected {expected}")


def what_it_is(path: Path) -> str:
    """Describe a path that no source format recognises."""
    if path.is_dir():
        inside = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
        return f"is a folder without a model in it (it holds {inside})"
    if not path.is_file():
        return "is no regular file"
    if path.suffix.lower() in OF_PYTORCH:
        return "holds weights of PyTorch: export the model where it was made, with torch.onnx.export, and give the .onnx"
    with path.open("rb") as file:
        start = file.read(16)
    return "is empty" if not start else f"is no model that is known here (it begins with {start[:8]!r})"
