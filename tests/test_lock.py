"""requirements.lock: one lock for every Python and platform that pyproject.toml allows, complete for each of them.

Nothing is downloaded: the needs of a package are read from the metadata of the installed packages.
"""

import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from itertools import product

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
PLATFORMS = {
    "Linux x86-64": ("linux", "x86_64", "Linux", "posix"),
    "Linux aarch64": ("linux", "aarch64", "Linux", "posix"),
    "macOS arm64": ("darwin", "arm64", "Darwin", "posix"),
    "Windows x86-64": ("win32", "AMD64", "Windows", "nt"),
}
PYTHONS = ("3.11", "3.12", "3.13")
ENVIRONMENTS = list(product(PLATFORMS, PYTHONS))
ONE_LIBRARY = {"tensorflow": "tensorflow-cpu"}  # what asks for the first is content with the second, in the same folder
Environment = dict[str, str]


def environment_of(platform: str, python: str) -> Environment:
    """Return the values of the markers on that platform."""
    sys_platform, machine, system, os_name = PLATFORMS[platform]
    return {
        "implementation_name": "cpython",
        "os_name": os_name,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": system,
        "python_full_version": f"{python}.9",
        "python_version": python,
        "sys_platform": sys_platform,
        "extra": "",
    }


def locked_requirements() -> Iterator[Requirement]:
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and line[0] not in " #":
            yield Requirement(line.removesuffix("\\"))


def locked(environment: Environment) -> dict[str, Version]:
    """Return the version of each package that the lock installs on that platform. Fails if one has two versions."""
    found: dict[str, Version] = {}
    for requirement in locked_requirements():
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            assert found.setdefault(canonicalize_name(requirement.name), Version(specifier.version)) == Version(
                specifier.version
            )
    return found


def asked_for() -> list[Requirement]:
    """Return what pyproject.toml requires: dependencies, extras, tools."""
    texts = [
        *PROJECT["dependencies"],
        *GROUPS["dev"],
        *(text for few in PROJECT["optional-dependencies"].values() for text in few),
    ]
    return [Requirement(text) for text in texts]


def needed_by(name: str, extras: frozenset[str], environment: Environment) -> Iterator[Requirement]:
    """Yield what a package needs on that platform, if it is installed here."""
    try:
        texts = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)):
            yield requirement


@pytest.mark.parametrize(("platform", "python"), ENVIRONMENTS)
def test_the_lock_holds_all_that_is_needed_on_each_platform(platform: str, python: str) -> None:
    environment = environment_of(platform, python)
    versions = locked(environment)
    todo = [r for r in asked_for() if r.marker is None or r.marker.evaluate(environment)]
    seen: set[tuple[str, frozenset[str]]] = set()
    problems = []
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        version = versions.get(name) or versions.get(ONE_LIBRARY.get(name, ""))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement}: locked is {version}")
            continue
        place = (name, frozenset(requirement.extras))
        if place not in seen:
            seen.add(place)
            todo += needed_by(*place, environment)
    assert problems == []
    assert len(seen) > 60  # else nothing was looked at


@pytest.mark.parametrize(("platform", "python"), ENVIRONMENTS)
def test_tensorflow_is_there_once_and_tflite_runtime_where_it_has_a_wheel(platform: str, python: str) -> None:
    versions = locked(environment_of(platform, python))
    assert len({"tensorflow", "tensorflow-cpu"} & versions.keys()) == 1
    assert ("tensorflow-cpu" in versions) == (platform == "Linux x86-64")
    assert ("tflite-runtime" in versions) == (python == "3.11" and platform.startswith("Linux"))
    assert versions["numpy"].major == (1 if python == "3.11" else 2)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-gpu.lock", "requirements-micro.lock"])
def test_every_package_is_locked_with_hashes_and_the_lock_names_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    packages = [line for line in text.splitlines() if line and line[0] not in " #"]
    assert [line for line in packages if not line.endswith("\\")] == []
    assert text.count("--hash=sha256:") > len(packages)


def test_the_promised_pythons_are_those_of_the_lock() -> None:
    promised = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(8, 20) if promised.contains(f"3.{minor}.9")] == list(PYTHONS)


def test_make_says_what_it_found_where_no_python_fits() -> None:
    done = subprocess.run([ROOT / ".ci" / "find_python", "3.99"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("edgeproof needs Python 3.99, with venv: found ")
    assert "make PYTHON=/path/to/python3.12" in done.stderr
