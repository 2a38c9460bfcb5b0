"""Targets (kinds of devices) and wheels (a runtime's published files): which of them fit together.

A target is one file in convert/targets/, found by its name; the wheels are in convert/deployment/wheels.toml.
"""

import re
import shlex
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from common.paths import TARGETS
from common.toml_config import build, read_toml
from convert.deployment.microcontroller.board import board_names, is_board
from device.errors import EdgeproofError

WHEELS = Path(__file__).parent / "wheels.toml"
VERSION = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True)
class Wheel:
    """One version of a runtime on PyPI and what it can load."""

    distribution: str
    version: str
    runtime: str  # its name in bench/runtimes
    format: str  # "tflite" or "onnx"
    pythons: tuple[str, ...]
    glibc: dict[str, str]  # architecture: the oldest C library
    needs: tuple[str, ...] = ()  # the distributions that it imports, and their dependencies
    also: tuple[str, ...] = ()  # what must be installed with it although its metadata does not say so
    tflite: str = ""  # the TFLite release whose operations it has
    onnx_ir: int = 0  # the newest IR version that it reads
    onnx_opsets: dict[str, int] = field(default_factory=dict)  # domain: the newest operator set that it reads

    @property
    def requirement(self) -> str:
        """Return it as pip takes it: "DISTRIBUTION==VERSION"."""
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True)
class Target:
    """A kind of device, or with `only_wheel` one runtime on any machine."""

    name: str
    description: str
    architecture: str = ""  # as `uname -m` prints it
    bits: int = 0
    python: str = ""
    glibc: str = ""
    system_packages: tuple[str, ...] = ()  # Debian packages in place of wheels that do not exist
    only_wheel: str = ""

    def misfit(self, wheel: Wheel) -> str | None:
        """Say why a wheel cannot be installed on this target, or None where it can."""
        if self.only_wheel:
            return None if wheel.requirement == self.only_wheel else f"{wheel.requirement} is not the runtime of this target"
        if self.architecture not in wheel.glibc:
            return f"{wheel.requirement} has no wheel for {self.architecture} (there are {', '.join(wheel.glibc)})"
        if self.python not in wheel.pythons:
            return f"{wheel.requirement} has no wheel for Python {self.python} (there are {', '.join(wheel.pythons)})"
        oldest = wheel.glibc[self.architecture]
        if not VERSION.fullmatch(self.glibc):  # musl's systems, such as Alpine, have none
            return f"{wheel.requirement} needs glibc {oldest} on {self.architecture}, found {self.glibc or 'none'}"
        if version_key(self.glibc) < version_key(oldest):
            return f"{wheel.requirement} needs glibc {oldest} on {self.architecture}, there is {self.glibc}"
        return None

    def place(self, wheel: Wheel) -> str:
        """Name the Python and the architecture for which a wheel is chosen."""
        pythons = self.python or f"{wheel.pythons[0]} to {wheel.pythons[-1]}"
        return f"Python {pythons}, {self.architecture or ' or '.join(wheel.glibc)}"

    def install_command(self, wheel: Wheel) -> str:
        """Return the command that installs a wheel and what else classify.py needs."""
        if self.system_packages:
            packages = " ".join(self.system_packages)
            pip = "python3 -m venv --system-site-packages v && v/bin/pip install"
            return f"sudo apt install {packages} && {pip} {wheel.requirement}"
        return f"pip install {shlex.join([wheel.requirement, *wheel.also, 'pillow'])}"


def version_key(version: str) -> tuple[int, ...]:
    """Return a version's numbers for comparing; "2.14" and "2.14.0" are the same. Raises ValueError for anything else."""
    if not VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no version")
    numbers = [int(number) for number in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def target_names() -> list[str]:
    """Return the names of the targets: the files in convert/targets/."""
    return sorted(path.stem for path in TARGETS.glob("*.toml"))


def find_target(name: str) -> Target:
    """Return the target of that name ("-" for "_" is fine). Raises EdgeproofError that lists those there are."""
    known = name.replace("-", "_")
    if is_board(name):
        raise EdgeproofError(
            f"{name} is a microcontroller's board, where no Python runs: `edgeproof convert export` writes C sources for it"
        )
    if known not in target_names():
        raise EdgeproofError(
            f"unknown target {name!r}: there are {', '.join(target_names())}, and the boards {', '.join(board_names())}"
        )
    return read_target(TARGETS / f"{known}.toml")


def read_target(path: Path) -> Target:
    """Read a target's file. Raises EdgeproofError that names the file and the key."""
    target = build(Target, read_toml(path), str(path), name=path.stem)
    if target.only_wheel:
        if target.only_wheel not in {wheel.requirement for wheel in wheels()}:
            raise EdgeproofError(f"{path}: key 'only_wheel': {target.only_wheel!r} is not in {WHEELS.name}")
        return target
    for key, expected in (("architecture", "as uname -m says"), ("python", "as 3.11"), ("glibc", "as 2.36")):
        if not getattr(target, key):
            raise EdgeproofError(f"{path}: key {key!r} is missing: expected {expected}, or only_wheel")
    for key in ("python", "glibc"):
        if not VERSION.fullmatch(getattr(target, key)):
            raise EdgeproofError(f"{path}: key {key!r}: found {getattr(target, key)!r}, expected numbers and points")
    if target.bits not in (32, 64):
        raise EdgeproofError(f"{path}: key 'bits': found {target.bits}, expected 32 or 64")
    return target


@cache
def wheels() -> tuple[Wheel, ...]:
    """Return the wheels, best first. Raises EdgeproofError that names the file and the key."""
    return tuple(build(Wheel, table, str(WHEELS)) for table in read_toml(WHEELS)["wheel"])


def best_wheel(target: Target, format: str) -> Wheel | None:
    """Return the wheel that a target gets for "tflite" or "onnx", or None where none fits."""
    fitting = (wheel for wheel in wheels() if wheel.format == format and target.misfit(wheel) is None)
    return next(fitting, None)
