"""QEMU user emulation: finding or fetching it, and running a program of an emulated device with it."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.remote.emulation.debian_packages import fetch_for_host, unpack
from bench.remote.emulation.device import EmulatedDevice, NotHere
from bench.remote.emulation.overlay import JOB, fill
from bench.remote.emulation.user_space import Say, UserSpace, cache_folder
from common.paths import BUILD
from device.errors import EdgeproofError

TIMEOUT_S = 3_600
# The whole environment of a program on the device: other variables of the host would change the counts.
ENVIRONMENT = {
    "HOME": "/opt/edgeproof",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",  # else numpy's OpenBLAS starts threads that wait in a loop, differently in every run
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
}


@dataclass(frozen=True)
class Emulator:
    """QEMU on this machine."""

    path: Path
    libraries: str  # folders of its own shared libraries, for LD_LIBRARY_PATH; "": it uses the system's
    version: str  # as it prints it

    def command(self, device: EmulatedDevice, space: UserSpace, folder: Path, options: Sequence[str] = ()) -> list[str]:
        """Return the command line up to and including Python; `folder` is the overlay."""
        root = folder.resolve()
        if device.target.bits == 64:
            named = ["-0", space.python]  # else Python would look for its modules at the host's path
        else:
            modules = (f"usr/local/lib/{Path(space.python).name}/dist-packages", "usr/lib/python3/dist-packages")
            named = ["-E", f"PYTHONPATH={':'.join(str(root / path) for path in modules)}"]
        python = root / space.python.lstrip("/")
        return [str(self.path), "-cpu", device.core.name, "-L", str(root), *named, *options, str(python)]

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment that QEMU and the program in it start with."""
        return {**ENVIRONMENT, **({"LD_LIBRARY_PATH": self.libraries} if self.libraries else {})}

    @property
    def hidden(self) -> list[str]:
        """Return the options that keep QEMU's own environment from the program."""
        return ["-U", "LD_LIBRARY_PATH"] if self.libraries else []


@cache
def find_emulator(name: str) -> Emulator:
    """Return a QEMU that can run plug-ins: this machine's, or the one in the cache. Raises NotHere without one."""
    fetched = cache_folder() / "qemu"
    candidates = [(Path(found), "") for found in [shutil.which(name)] if found]
    if (fetched / "usr" / "bin" / name).is_file():
        libraries = sorted({str(file.parent) for file in fetched.glob("usr/lib/*/*.so*")})
        candidates.append((fetched / "usr" / "bin" / name, ":".join(libraries)))
    for path, library_folders in candidates:
        version = _version_with_plugins(path, library_folders)
        if version is not None:
            return Emulator(path, library_folders, version)
    raise NotHere(f"there is no {name} that runs plug-ins (the static one does not): run `make emulated-device`")


def fetch_emulator(name: str, say: Say) -> Emulator:
    """Return the result of `find_emulator`; fetch Debian's package first where there is none."""
    try:
        return find_emulator(name)
    except NotHere:
        say("QEMU: Debian's qemu-user")
        unpack(fetch_for_host(cache_folder() / "packages" / "qemu", ["qemu-user"]), cache_folder() / "qemu")
        return find_emulator(name)


def _version_with_plugins(path: Path, libraries: str) -> str | None:
    environment = {**os.environ, **({"LD_LIBRARY_PATH": libraries} if libraries else {})}
    try:
        answers = [
            subprocess.run([path, option], capture_output=True, text=True, timeout=30, check=False, env=environment).stdout
            for option in ("--version", "-h")
        ]
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answers[0].splitlines()[0] if answers[0] and "-plugin" in answers[1] else None


def run_python(
    emulator: Emulator,
    device: EmulatedDevice,
    space: UserSpace,
    folder: Path,
    arguments: Sequence[str],
    options: Sequence[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> subprocess.CompletedProcess[str]:
    """Run Python of an emulated device with arguments; `folder` is the overlay, `options` go to QEMU.

    Raises EdgeproofError where it does not end in time.
    """
    command = [*emulator.command(device, space, folder, [*emulator.hidden, *options]), *arguments]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=emulator.environment,
            cwd=folder / JOB,
        )
    except subprocess.TimeoutExpired as error:
        raise EdgeproofError(f"{device.name}: stopped after {timeout_s:.0f} s: measure fewer pictures") from error


def path_prefix(device: EmulatedDevice, folder: Path) -> str:
    """Return the prefix of paths in the overlay, for a program of the device.

    64-bit programs see one root, the same for each job. For 32-bit ones QEMU 7 passes statx to the host's files and ignores
    -L: they get the host's paths.
    """
    return "" if device.target.bits == 64 else str(folder.resolve())


def write_python_command(device: EmulatedDevice, space: UserSpace, emulator: Emulator) -> Path:
    """Write build/emulated/NAME/python: a command that runs the device's Python, for sshd."""
    folder = (BUILD / "emulated" / device.name).resolve()
    fill(folder / "root", device, space)
    command = emulator.command(device, space, folder / "root", emulator.hidden)
    settings = [f"{name}={value}" for name, value in emulator.environment.items()]
    lines = [
        "#!/bin/sh",
        f"# Python of {device.name}: its times are not latencies.",
        "unset PYTHONPATH PYTHONHOME",
    ]
    path = folder / "python"
    path.write_text("\n".join([*lines, f'exec env {shlex.join(settings)} {shlex.join(command)} "$@"', ""]))
    path.chmod(0o755)
    return path
