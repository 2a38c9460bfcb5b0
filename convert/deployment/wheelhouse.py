"""The exact packages that a target installs for a runtime, and their files, for a bundle or an emulated device."""

import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from common.progress import task_progress
from common.python_process import PYTHON
from common.toml_config import read_toml
from convert.deployment.target import WHEELS, Target, Wheel, version_key
from device.errors import EdgeproofError

BESIDE = ("numpy", "pillow")  # imported by classify.py itself
FROM_DEBIAN = {"python3-numpy": "numpy", "python3-pil": "pillow"}
OLDEST_GLIBC_MINOR = 17  # of the existing manylinux tags
TIMEOUT_S = 900


def requirements(target: Target, wheel: Wheel) -> tuple[str, ...]:
    """Return the exact requirements, sorted, that a target's pip installs for a runtime, with all dependencies.

    Packages that the target takes from Debian are left out. Raises EdgeproofError where wheels.toml has no pin.
    """
    python = target.python or f"{sys.version_info.major}.{sys.version_info.minor}"
    pins = _pins().get(python)
    if pins is None:
        raise EdgeproofError(
            f"{WHEELS}: has no [pins.{python!r}], the Python of {target.name}: there are {', '.join(_pins())}"
        )
    from_debian = {FROM_DEBIAN.get(package) for package in target.system_packages}
    names = sorted({*wheel.needs, *BESIDE} - from_debian)
    missing = [name for name in names if name not in pins]
    if missing:
        raise EdgeproofError(f"{WHEELS}: [pins.{python!r}] has no {', '.join(missing)}, which {wheel.requirement} needs")
    return tuple(sorted([wheel.requirement, *(f"{name}=={pins[name]}" for name in names)]))


def download(target: Target, pins: Sequence[str], folder: Path) -> list[Path]:
    """Download the wheel of each exact requirement for a target into a folder; return the files, sorted by name.

    Files that are in the folder are used. Raises EdgeproofError where there is no wheel, or pip cannot download it.
    """
    if not target.architecture:
        raise EdgeproofError(f"{target.name} names no architecture, so its wheels are unknown: use a target that does")
    missing = [pin for pin in pins if _file_of(pin, folder) is None]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        _pip_download(target, missing, folder)
    files = [_file_of(pin, folder) for pin in pins]
    return sorted(file for file in files if file is not None)


def _pip_download(target: Target, pins: Sequence[str], folder: Path) -> None:
    command = [*PYTHON, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--python-version", target.python, "--implementation", "cp"]
    for tag in _platforms(target):
        command += ["--platform", tag]
    try:
        with task_progress(f"downloading {len(pins)} packages for {target.name}"):
            result = subprocess.run([*command, *pins], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EdgeproofError(f"pip download: not finished after {TIMEOUT_S} s: check the network and try again") from error
    absent = [pin for pin in pins if _file_of(pin, folder) is None]
    if result.returncode != 0 or absent:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR:")]
        reason = errors[-1].removeprefix("ERROR: ") if errors else f"pip ended with {result.returncode}"
        raise EdgeproofError(f"{target.name}: no wheel of {', '.join(absent) or 'one of ' + ', '.join(pins)}: {reason}")


def _platforms(target: Target) -> list[str]:
    """Return the platform tags that a target's pip accepts, newest first (PEP 600)."""
    newest = version_key(target.glibc)[1]
    tags = [f"manylinux_2_{minor}_{target.architecture}" for minor in range(newest, OLDEST_GLIBC_MINOR - 1, -1)]
    return [*tags, f"manylinux2014_{target.architecture}", f"linux_{target.architecture}"]


def _file_of(pin: str, folder: Path) -> Path | None:
    """Return the wheel of an exact requirement in a folder, by its normalized file name."""
    name, _, version = pin.partition("==")
    start = f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}-"
    found = [file for file in folder.glob("*.whl") if _normalized(file.name).startswith(start)]
    return min(found, default=None)


def _normalized(file_name: str) -> str:
    name, _, rest = file_name.partition("-")
    return f"{re.sub(r'[-_.]+', '_', name).lower()}-{rest}"


@cache
def _pins() -> dict[str, dict[str, str]]:
    pins = read_toml(WHEELS).get("pins")
    well_formed = isinstance(pins, dict) and all(
        isinstance(table, dict) and all(isinstance(version, str) for version in table.values()) for table in pins.values()
    )
    if not well_formed:
        raise EdgeproofError(f"{WHEELS}: [pins]: expected a table of versions for each Python")
    assert isinstance(pins, dict)
    return pins
