"""The version of edgeproof: of the wheel, `edgeproof --version`, cards and `bench.json`, and those of other tools."""

from collections.abc import Iterable

VERSION = "0.2.0"
BUILDS = {"tensorflow-cpu": "tensorflow"}  # one library: tensorflow-cpu is its build for Linux on x86-64 without CUDA


def tool_versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the version of edgeproof and of each distribution, by name, as cards state what made them."""
    from importlib import metadata

    found = {"edgeproof": VERSION}
    for name in distributions:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            other = BUILDS[name]
            found[other] = metadata.version(other)
    return found
