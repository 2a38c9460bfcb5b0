"""One file a runtime, found by its name. Each module is a runtime: see `Runtime` for what it offers."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from device.classify import Card, EdgeproofError


class Session(Protocol):
    """One model opened in one runtime: pixels in, scores out, one picture at a time."""

    @property
    def runtime_version(self) -> str: ...

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> Any:
        """Turn pixels (H, W, C), uint8, 0..255, into the model's input."""

    def infer(self, tensor: Any) -> Any:
        """Run the model; this is what latency means."""

    def scores(self, output: Any) -> npt.NDArray[np.float32]:
        """Turn the model's output into scores (classes,), float32."""


class Runtime(Protocol):
    """What a module in this folder offers."""

    FORMATS: frozenset[str]  # endings of the files that it opens, without the dot

    def import_library(self) -> None:
        """Import the library. Raises RuntimeMissing with what to install."""

    def open_session(self, path: Path, card: Card, threads: int) -> Session:
        """Open a model. Raises ModelError where the runtime refuses it."""


def runtime_names() -> list[str]:
    """Return the names of the runtimes: the files in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_runtime(name: str) -> Runtime:
    """Return the runtime of that name. Raises EdgeproofError that lists those there are."""
    if name not in runtime_names():
        raise EdgeproofError(f"unknown runtime {name!r}: there are {', '.join(runtime_names())}")
    return cast("Runtime", importlib.import_module(f"bench.runtimes.{name}"))
