"""One file for each runtime, found by its name. Each module is a runtime: `Runtime` says what it must offer."""

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from bench.artifacts.cardless_input import CardlessInput
from bench.machine.accelerators import Accelerator, probe
from bench.runtimes.browser import browser_runtime_names, find_browser_runtime
from bench.runtimes.support.cardless_session import CardlessSession
from bench.runtimes.support.operation_profile import Operation
from device.card import Card
from device.errors import CheckFailed, EdgeproofError, ModelError, RuntimeMissing


class Session(Protocol):
    """One model opened in one runtime: pixels in, scores out, one picture at a time."""

    @property
    def runtime_version(self) -> str:
        """Return the runtime's version, as it reports it."""

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> Any:
        """Turn pixels (H, W, C), uint8, 0..255, into the model's input."""

    def infer(self, tensor: Any) -> Any:
        """Run the model; this call is timed as latency."""

    def scores(self, output: Any) -> npt.NDArray[np.float32]:
        """Turn the model's output into scores (classes,), float32."""


class Described(Protocol):
    """What the module of every runtime says, also of one that runs in a browser."""

    TITLE: str  # its name as its makers write it
    FORMATS: frozenset[str]  # endings of the files that it opens, without the dot


class Runtime(Described, Protocol):
    """What a module in this folder offers."""

    DISTRIBUTIONS: tuple[str, ...]  # the packages that install it; any one is enough

    def import_library(self) -> None:
        """Import the library. Raises RuntimeMissing with what to install."""

    def open_session(self, path: Path, card: Card, threads: int) -> Session:
        """Open a model. Raises ModelError where the runtime refuses it."""


@runtime_checkable
class Preferred(Protocol):
    """The runtime in which a format is measured by default."""

    PREFERRED: Literal[True]


@runtime_checkable
class OnRequest(Protocol):
    """A runtime that is measured only where it is named."""

    ON_REQUEST: Literal[True]


@runtime_checkable
class EndsWithPython(Protocol):
    """A runtime whose last release has no wheel for newer Pythons."""

    LAST_PYTHON: tuple[int, int]


@runtime_checkable
class SlowOnX86(Protocol):
    """A runtime whose quantized operations are slow on x86."""

    QUANTIZED_ON_X86: str  # why


@runtime_checkable
class OpensCardless(Protocol):
    """A runtime that opens models without a card too."""

    def open_cardless(self, path: Path, cardless: CardlessInput, threads: int) -> CardlessSession:
        """Open a model that was not made here. Raises ModelError where the runtime refuses it."""


@runtime_checkable
class Profiles(Protocol):
    """A runtime that reports the time of each operation."""

    def profile(self, path: Path, card: Card | None, threads: int, inputs: Any) -> list[Operation]:
        """Time each operation over `inputs` as `Session.tensor` gives them. Raises EdgeproofError where it cannot."""


def open_model(
    runtime: Runtime, path: Path, card: Card | None, cardless: CardlessInput | None, threads: int
) -> Session | CardlessSession:
    """Open a model with its card, or one that was not made here with what the options say. Raises ModelError."""
    if cardless is None:
        assert card is not None
        return runtime.open_session(path, card, threads)
    if not isinstance(runtime, OpensCardless) and card is not None and not cardless.shapes:
        return runtime.open_session(path, card, threads)
    if not isinstance(runtime, OpensCardless):
        raise ModelError(f"{path}: has no card, and {getattr(runtime, '__name__', runtime)} opens only models that have one")
    session = runtime.open_cardless(path, cardless, threads)
    if card is not None:
        try:
            session.fit(card)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
    return session


class FellBack(CheckFailed):
    """A session on an accelerator computed something elsewhere: its row is an error, never a figure."""


@runtime_checkable
class Accelerated(Protocol):
    """What the module of a runtime on an accelerator offers in addition."""

    API: str  # of the device's driver: "vulkan" or "cuda"

    def check_installed(self) -> None:
        """Raise RuntimeMissing with what to install, without importing anything heavy."""


@runtime_checkable
class KnowsWhere(Protocol):
    """A session on an accelerator."""

    def ran_on(self, tensor: Any) -> Accelerator:
        """Return the device that computed, as the runtime itself reports. Raises FellBack where another one did."""


def find_accelerator(name: str) -> Accelerator | None:
    """Return the accelerator that a runtime will compute on, None for the CPU. Raises RuntimeMissing with what to do."""
    runtime = find_runtime(name)
    if not isinstance(runtime, Accelerated):
        return None
    found = probe(runtime.API)
    if not found.devices:
        raise RuntimeMissing(f"no GPU: {found.problem}")
    runtime.check_installed()
    # If there are a real and a software device, WebGPU takes the real one
    return min(found.devices, key=lambda device: device.software)


def check_installed(name: str) -> None:
    """Raise RuntimeMissing with the reason where none of the packages that bring a runtime is installed."""
    runtime = find_runtime(name)
    if any(_is_installed(distribution) for distribution in runtime.DISTRIBUTIONS):
        return
    if not can_be_installed(name):
        here = ".".join(map(str, sys.version_info[:2]))
        last = ".".join(map(str, cast("EndsWithPython", runtime).LAST_PYTHON))
        raise RuntimeMissing(f"its last release is for Python {last} on Linux, this is {here}: it cannot be installed here")
    runtime.import_library()  # it says what to install


def can_be_installed(name: str) -> bool:
    """Say whether there is a release of a runtime for this Python and platform."""
    runtime = find_runtime(name)
    here = sys.version_info[:2]
    return not isinstance(runtime, EndsWithPython) or (here <= runtime.LAST_PYTHON and sys.platform == "linux")


def _is_installed(distribution: str) -> bool:
    from importlib import metadata  # imports email: a tenth of a measuring process's start, which does not need it

    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def runtime_names() -> list[str]:
    """Return the names of the runtimes of a machine: the files in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def runtimes_by_default() -> list[str]:
    """Return the runtimes that a run without a choice measures: all but those that must be named."""
    return [name for name in runtime_names() if not isinstance(find_runtime(name), OnRequest)]


def preferred_runtimes() -> list[str]:
    """Return the runtimes in which an artifact is measured by default: one for each format."""
    return [name for name in runtime_names() if isinstance(find_runtime(name), Preferred)]


def cpu_runtimes() -> list[str]:
    """Return the runtimes that a run without a choice measures on the processor."""
    return [name for name in runtimes_by_default() if not isinstance(find_runtime(name), Accelerated)]


def find_runtime(name: str) -> Runtime:
    """Return the runtime of that name. Raises EdgeproofError that lists those there are."""
    if name in browser_runtime_names():
        raise EdgeproofError(f"{name} runs in a browser: `edgeproof bench run --device chromium` measures in it")
    if name not in runtime_names():
        raise EdgeproofError(f"unknown runtime {name!r}: there are {', '.join(runtime_names())}")
    return cast("Runtime", importlib.import_module(f"bench.runtimes.{name}"))


def described(name: str) -> Described:
    """Return the runtime of that name, of a machine or of a browser. Raises EdgeproofError that lists those there are."""
    return find_browser_runtime(name) if name in browser_runtime_names() else find_runtime(name)


def is_known(name: str) -> bool:
    """Say whether there is a runtime of that name: results of another checkout may name others."""
    return name in (*runtime_names(), *browser_runtime_names())
