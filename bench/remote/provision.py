"""The Python of a device: a virtual environment that is made on it once, or a Python that has everything."""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.remote.device_config import Device
from bench.remote.reconnecting_link import Link, disk_full_text
from bench.remote.ssh import DeviceLost
from common.files import sha256_of
from common.python_process import PYTHON
from convert.deployment.target import Target, Wheel, find_target, wheels

INSTALL_LIMIT_S = 1800.0
ENVIRONMENT_BYTES = 400_000_000  # for numpy, Pillow and three runtimes, and for pip to unpack them
PROBE = """
import json
from importlib import metadata
found = {}
for name in %r:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
import numpy, PIL
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Place:
    """A device with everything that measuring needs."""

    target: Target  # what the device really is
    runner: tuple[str, ...]  # the command that starts its Python
    installed: dict[str, str]  # distribution: version

    def why_not(self, wheel: Wheel) -> str | None:
        """Say why a runtime cannot be used on it, or None where it can."""
        if wheel.distribution in self.installed:
            return None
        misfit = self.target.misfit(wheel)
        return misfit or f"{wheel.distribution} is not installed there: {self.target.install_command(wheel)}"


def real_target(device: Device, facts: dict[str, Any], say: Callable[[str], None]) -> Target:
    """Describe what a device really is, which may differ from its file."""
    architecture, bits = str(facts["machine"]), int(facts["bits"])
    if (architecture, bits) == ("aarch64", 32):
        architecture = "armv7l"  # a 32-bit system under a 64-bit kernel, as on older Raspberry Pi OS
    python = ".".join(str(facts["python"]).split(".")[:2])
    packages = device.system_packages
    if device.target and (expected := find_target(device.target)).architecture != architecture:
        say(f"is {architecture} where its target {device.target} says {expected.architecture}: measured as {architecture}")
        packages = ()
    return Target(device.name, device.description, architecture, bits, python, str(facts["glibc"]), packages)


def set_up_device(link: Link, device: Device, runtimes: Sequence[str], offline: bool, say: Callable[[str], None]) -> Place:
    """Examine the device and make its virtual environment if there is none yet.

    Raises DeviceLost with what to do: a wrong architecture, no runtime, a full disk, no access to the package index.
    """
    target = real_target(device, link.facts, say)
    wanted = [wheel for wheel in wheels() if wheel.runtime in runtimes]
    if device.ready:
        return Place(target, device.python, _installed(link, device.python, target))
    fitting = [wheel for wheel in wanted if target.misfit(wheel) is None]
    if not fitting:
        reasons = "; ".join(str(target.misfit(wheel)) for wheel in wanted)
        raise DeviceLost(
            f"no runtime can be installed there ({target.architecture}, Python {target.python}, "
            f"glibc {target.glibc or 'unknown'}): {reasons}"
        )
    runner = _environment(link, device, target, fitting, offline, say)
    return Place(target, runner, _installed(link, runner, target))


def _environment(
    link: Link, device: Device, target: Target, fitting: Sequence[Wheel], offline: bool, say: Callable[[str], None]
) -> tuple[str, ...]:
    requirements = [word for wheel in fitting for word in (wheel.requirement, *wheel.also)]
    requirements += [] if target.system_packages else ["numpy", "pillow"]
    label = json.dumps([requirements, link.facts["python"], target.system_packages, device.python])
    key = hashlib.sha256(label.encode()).hexdigest()[:16]
    name, marker = f"venvs/{key}", f"venvs/{key}/complete"
    digest = hashlib.sha256(label.encode()).hexdigest()
    runner = (f"{link.facts['folder']}/{name}/bin/python",)
    state = link.ask("have", names={marker: digest})
    if marker in state["have"]:
        return runner
    if int(state["free_bytes"]) < ENVIRONMENT_BYTES:
        raise DeviceLost(
            f"has {state['free_bytes'] / 1e6:,.0f} MB free in {link.facts['folder']}, its virtual environment needs "
            f"{ENVIRONMENT_BYTES / 1e6:,.0f} MB: free some space there, or name another folder in the device's file"
        )
    source = [] if not offline else ["--no-index", "--find-links", _push_wheels(link, target, requirements, key, say)]
    say(f"making a virtual environment there, once: {', '.join(requirements)}")
    link.ask("remove", paths=[name])  # what a killed run may have left
    try:
        shared = ["--system-site-packages"] if target.system_packages else []
        _run(link, [*device.python, "-m", "venv", *shared, f"{link.facts['folder']}/{name}"])
        pip = [*runner, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]
        _run(link, [*pip, "--only-binary", ":all:", *source, *requirements])
    except BaseException:
        link.ask("remove", paths=[name])
        raise
    link.push(marker, label.encode(), digest)
    link.ask("remove", paths=[f"wheels/{key}"])
    return runner


def _push_wheels(link: Link, target: Target, requirements: Sequence[str], key: str, say: Callable[[str], None]) -> str:
    """Download the wheels for a target and push those that the device lacks; return their folder."""
    with tempfile.TemporaryDirectory(prefix="edgeproof-wheels-") as folder:
        say("fetching its wheels here")
        newest = int(target.glibc.split(".")[1])
        tags = [f"manylinux_2_{minor}_{target.architecture}" for minor in range(newest, 16, -1)]
        platforms = [word for tag in [*tags, f"manylinux2014_{target.architecture}"] for word in ("--platform", tag)]
        python = ["--python-version", target.python, "--implementation", "cp"]
        command = [*PYTHON, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--only-binary", ":all:", "--dest", folder, *platforms, *python]
        # Debian's packages are installed already, and PyPI has no wheels of them
        command += ["--no-deps"] if target.system_packages else []
        result = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            last = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise DeviceLost(f"its wheels cannot be fetched here: {last}: check that this machine reaches a package index")
        files = {f"wheels/{key}/{path.name}": path for path in sorted(Path(folder).iterdir())}
        digests = {name: sha256_of(path) for name, path in files.items()}
        present = set(link.ask("have", names=digests)["have"])
        for name, path in files.items():
            if name not in present:
                link.push(name, path.read_bytes(), digests[name])
    return f"{link.facts['folder']}/wheels/{key}"


def _run(link: Link, argv: list[str]) -> str:
    result = link.ask("run", INSTALL_LIMIT_S + 60, argv=argv, kill_after_s=INSTALL_LIMIT_S)
    if result["code"] == 0:
        return str(result["output"])
    said = f"{result['output']}\n{result['errors']}"
    last = (str(result["errors"]).strip().splitlines() or said.strip().splitlines() or ["it said nothing"])[-1]
    if "No space left" in said:
        raise DeviceLost(disk_full_text(link.facts["folder"], ENVIRONMENT_BYTES))
    if "ensurepip" in said:
        raise DeviceLost("its Python makes no virtual environments: sudo apt install python3-venv there")
    if any(text in said for text in ("name resolution", "Failed to establish", "Max retries", "Network is unreachable")):
        raise DeviceLost("it reaches no package index: connect it, or give --offline to push the wheels from here")
    if "CERTIFICATE_VERIFY_FAILED" in said and abs(float(link.facts["clock_off_s"])) > 3600:
        raise DeviceLost("its clock is wrong, so that it trusts no package index: set it (timedatectl), or give --offline")
    raise DeviceLost(f"`{' '.join(argv[:4])} ...` failed there: {last}")


def _installed(link: Link, runner: Sequence[str], target: Target) -> dict[str, str]:
    names = ["numpy", "pillow", *(wheel.distribution for wheel in wheels())]
    result = link.ask("run", 300, argv=[*runner, "-c", PROBE % (names,)], kill_after_s=240)
    if result["code"] != 0:
        last = (str(result["errors"]).strip().splitlines() or ["it said nothing"])[-1]
        packages = " ".join(target.system_packages)
        raise DeviceLost(
            f"numpy or Pillow cannot be imported there ({last}): "
            + (f"sudo apt install {packages}" if packages else f"{runner[0]} -m pip install numpy pillow")
        )
    try:
        found = json.loads(str(result["output"]).strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise DeviceLost(f"`{runner[0]}` answered {result['output'][:60]!r} where JSON was expected") from None
    return {str(name): str(version) for name, version in found.items()}
