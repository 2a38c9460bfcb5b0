"""The npm packages with the runtimes of a browser: where they are, their versions, the bytes that a page fetches of them."""

import gzip
import json
from functools import lru_cache
from pathlib import Path

from bench.runtimes.browser import find_browser_runtime
from common.paths import PROGRAM
from device.errors import RuntimeMissing

LEVEL = 9  # of gzip: what a server compresses once


def how_to_install() -> str:
    """Return how the packages are installed, for a message."""
    own = "`npm ci` with bench/remote/browser/package-lock.json, and `packages` in a device file name them (docs/browser.md)"
    return "`make web` installs them" if (PROGRAM / "Makefile").exists() else own


def version_of(packages: Path, runtime: str) -> str:
    """Return the version of a runtime's package. Raises RuntimeMissing where it is not installed."""
    name = find_browser_runtime(runtime).NPM_PACKAGE
    try:
        return str(json.loads((packages / name / "package.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError) as error:
        raise RuntimeMissing(f"the npm package {name} is not in {packages}: {how_to_install()}") from error


@lru_cache(maxsize=64)
def gzipped_bytes(path: Path) -> int:
    """Return how many bytes a file has when a server compresses it."""
    return len(gzip.compress(path.read_bytes(), LEVEL))
