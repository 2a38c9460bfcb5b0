"""The runtimes of a browser: a Python file with what is known of each, and a script of its name that opens models.

They run in pages of `bench run --device chromium` alone: bench/remote/browser.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Protocol, cast

from device.errors import EdgeproofError

FOLDER = Path(__file__).resolve().parent


class BrowserRuntime(Protocol):
    """What a module in this folder offers."""

    TITLE: str  # its name as its makers write it
    FORMATS: frozenset[str]  # endings of the files that it opens, without the dot
    NPM_PACKAGE: str  # that brings it
    NATIVE: str  # the runtime of this machine with whose answers a page's are compared


def browser_runtime_names() -> list[str]:
    """Return the names of the runtimes: the Python files in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find_browser_runtime(name: str) -> BrowserRuntime:
    """Return the runtime of that name. Raises EdgeproofError that lists those there are."""
    if name not in browser_runtime_names():
        raise EdgeproofError(f"{name!r} does not run in a browser: there are {', '.join(browser_runtime_names())}")
    return cast("BrowserRuntime", importlib.import_module(f"{__name__}.{name}"))


def script_of(name: str) -> Path:
    """Return the script that opens models."""
    return FOLDER / f"{name}.js"
