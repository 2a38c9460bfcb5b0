"""The runtimes of a browser: a Python file with what is known of each, and a script that opens models.

They run in pages of `bench run --device chromium` alone: bench/remote/browser.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Literal, Protocol, cast, runtime_checkable

from device.errors import EdgeproofError

FOLDER = Path(__file__).resolve().parent


class BrowserRuntime(Protocol):
    """What a module in this folder offers."""

    TITLE: str  # its name as its makers write it
    FORMATS: frozenset[str]  # endings of the files that it opens, without the dot
    NPM_PACKAGE: str  # that brings it
    NATIVE: str  # the runtime of this machine with whose answers a page's are compared


@runtime_checkable
class Scripted(Protocol):
    """A runtime whose script has the name of another one."""

    SCRIPT: str


@runtime_checkable
class OnWebGpu(Protocol):
    """A runtime that computes on WebGPU alone, and only where it is named: without it, it refuses the model."""

    ACCELERATOR: Literal["webgpu"]


def browser_runtime_names() -> list[str]:
    """Return the names of the runtimes: the Python files in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_browser_runtime(name: str) -> BrowserRuntime:
    """Return the runtime of that name. Raises EdgeproofError that lists those there are."""
    if name not in browser_runtime_names():
        raise EdgeproofError(f"{name!r} does not run in a browser: there are {', '.join(browser_runtime_names())}")
    return cast("BrowserRuntime", importlib.import_module(f"{__name__}.{name}"))


def browser_runtimes_by_default() -> list[str]:
    """Return the runtimes that a run without a choice measures: those on WebAssembly."""
    return [name for name in browser_runtime_names() if not on_webgpu(name)]


def on_webgpu(name: str) -> bool:
    """Say whether a runtime computes on WebGPU."""
    return isinstance(find_browser_runtime(name), OnWebGpu)


def script_of(name: str) -> Path:
    """Return the script that opens models."""
    runtime: object = find_browser_runtime(name)
    return FOLDER / f"{runtime.SCRIPT if isinstance(runtime, Scripted) else name}.js"
