"""One file a runtime, found by its name. Each module is a runtime: see `Runtime` for what it offers."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from bench.accelerators import Device, probe
from bench.given import Given
from bench.given_session import GivenSession
from bench.profiling import Operation
from device.classify import Card, CheckFailed, EdgeproofError, ModelError, RuntimeMissing


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
    DISTRIBUTIONS: tuple[str, ...]  # the packages that bring it; any one is enough

    def import_library(self) -> None:
        """Import the library. Raises RuntimeMissing with what to install."""

    def open_session(self, path: Path, card: Card, threads: int) -> Session:
        """Open a model. Raises ModelError where the runtime refuses it."""


@runtime_checkable
class OpensGiven(Protocol):
    """A runtime that opens models without a card too."""

    def open_given(self, path: Path, given: Given, threads: int) -> GivenSession:
        """Open a model that was not made here. Raises ModelError where the runtime refuses it."""


@runtime_checkable
class Profiles(Protocol):
    """A runtime that tells the time of each operation."""

    def profile(self, path: Path, card: Card | None, threads: int, inputs: Any) -> list[Operation]:
        """Time each operation over `inputs` as `Session.tensor` gives them. Raises EdgeproofError where it cannot."""


def open_model(runtime: Runtime, path: Path, card: Card | None, given: Given | None, threads: int) -> Session | GivenSession:
    """Open a model with its card, or one that was not made here with what a person told. Raises ModelError."""
    if given is None:
        assert card is not None
        return runtime.open_session(path, card, threads)
    if not isinstance(runtime, OpensGiven):
        raise ModelError(f"{path}: has no card, and {getattr(runtime, '__name__', runtime)} opens only models that have one")
    session = runtime.open_given(path, given, threads)
    if card is not None:
        try:
            session.check_fits(card.labels, (card.height, card.width, card.channels))
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
    return session


class FellBack(CheckFailed):
    """A session that was asked for on an accelerator computed something elsewhere: its row is an error, never a figure."""


@runtime_checkable
class Accelerated(Protocol):
    """What the module of a runtime on an accelerator offers besides."""

    API: str  # whose driver knows the device: "vulkan" or "cuda"

    def check_installed(self) -> None:
        """Raise RuntimeMissing with what to install, without importing anything heavy."""


@runtime_checkable
class KnowsWhere(Protocol):
    """A session on an accelerator."""

    def ran_on(self, tensor: Any) -> Device:
        """Return the device that computed, as the runtime itself tells. Raises FellBack where another one did."""


def find_device(name: str) -> Device | None:
    """Return the device that a runtime will compute on, None for a CPU's. Raises RuntimeMissing with what to do."""
    runtime = find_runtime(name)
    if not isinstance(runtime, Accelerated):
        return None
    found = probe(runtime.API)
    if not found.devices:
        raise RuntimeMissing(f"no GPU: {found.problem}")
    runtime.check_installed()
    # Where there is a real one beside a software one, WebGPU takes the real one
    return min(found.devices, key=lambda device: device.software)


def runtime_names() -> list[str]:
    """Return the names of the runtimes: the files in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_runtime(name: str) -> Runtime:
    """Return the runtime of that name. Raises EdgeproofError that lists those there are."""
    if name not in runtime_names():
        raise EdgeproofError(f"unknown runtime {name!r}: there are {', '.join(runtime_names())}")
    return cast("Runtime", importlib.import_module(f"bench.runtimes.{name}"))
