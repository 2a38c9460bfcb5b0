"""The user space of an emulated device: Debian packages, the runtimes' wheels, compiled modules. Made once and kept.

Layout of the folder (build/emulated, or the one that EDGEPROOF_EMULATED names):

    arm64/, armhf/    user spaces, each with user-space.json: what it was made of
    qemu/             QEMU, where this machine's cannot count
    packages/         what apt and pip fetched; kept, so that building again needs no network
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.remote.emulation.debian_packages import fetch, unpack
from bench.remote.emulation.device import EmulatedDevice, NotHere
from common.files import read_json, write_json
from common.paths import BUILD
from common.python_process import PYTHON
from convert.deployment.target import Target, Wheel, wheels
from convert.deployment.wheelhouse import download, requirements
from device.errors import EdgeproofError

FOLDER = "EDGEPROOF_EMULATED"
RECORD = "user-space.json"
PYTHON_PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
LOCAL = Path("usr/local/lib")  # for wheels: no Debian package uses it
NOT_NEEDED = r"/(tests?|testing|transformers|tools|quantization|idlelib|lib2to3)/"  # not compiled

Say = Callable[[str], None]  # takes a line for people


@dataclass(frozen=True)
class UserSpace:
    """A user space on disk."""

    root: Path
    python: str  # its path inside, such as /usr/bin/python3.11
    sha256: str  # of the list of its parts: user spaces of the same hash give the same counts
    runtimes: tuple[str, ...]  # names in bench/runtimes


def cache_folder() -> Path:
    """Return the folder of the user spaces."""
    return Path(os.environ.get(FOLDER) or BUILD / "emulated").resolve()


def find_user_space(device: EmulatedDevice) -> UserSpace:
    """Return a device's user space. Raises NotHere that says how to make it."""
    root = cache_folder() / device.debian
    if not (root / RECORD).is_file():
        raise NotHere(f"{device.name} is not built: run `make emulated-device` (Debian 12, some minutes, 0.5 GB)")
    record = read_json(root / RECORD)
    if not isinstance(record, dict) or not {"python", "runtimes", "made_of"} <= record.keys():
        raise EdgeproofError(f"{root / RECORD}: damaged: remove {root} and run `make emulated-device`")
    digest = hashlib.sha256("\n".join(record["made_of"]).encode()).hexdigest()
    return UserSpace(root, record["python"], digest, tuple(record["runtimes"]))


def make_user_space(device: EmulatedDevice, say: Say) -> UserSpace:
    """Make a device's user space, or return the existing one if it was made of the same wheels."""
    target, folder = device.target, cache_folder()
    fitting = fitting_wheels(target)
    pins = sorted({pin for wheel in fitting for pin in requirements(target, wheel)})
    try:
        found = find_user_space(device)
        if set(pins) <= set(read_json(found.root / RECORD)["made_of"]):
            return found
        say(f"{device.debian}: made of other wheels than wheels.toml has now: making it again")
    except EdgeproofError:
        pass
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{device.debian}-", dir=folder) as name:
        root = Path(name) / "root"
        say(f"{device.debian}: Debian packages")
        archives = fetch(folder / "packages" / device.debian, device.debian, [*PYTHON_PACKAGES, *target.system_packages])
        unpack(archives, root)
        _finish_debian(root)
        python = _python_of(root, target)
        say(f"{device.debian}: {', '.join(pins)}")
        site = root / LOCAL / Path(python).name / "dist-packages"
        files = download(target, pins, folder / "packages" / f"wheels-{device.debian}")
        _install(files, site)
        say(f"{device.debian}: compiling modules")
        _compile(root, python)
        made_of = [*(archive.name for archive in archives), *pins]
        write_json(root / RECORD, {"python": python, "runtimes": [wheel.runtime for wheel in fitting], "made_of": made_of})
        shutil.rmtree(folder / device.debian, ignore_errors=True)
        root.chmod(0o755)
        root.rename(folder / device.debian)
    return find_user_space(device)


def fitting_wheels(target: Target) -> list[Wheel]:
    """Return the runtimes' wheels that can be installed on a target."""
    return [wheel for wheel in wheels() if target.misfit(wheel) is None]


def _finish_debian(root: Path) -> None:
    """Do what the packages' scripts would do, as far as Python and numpy need it."""
    cache = root / "etc" / "ld.so.cache"
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"")  # else the dynamic linker would read the host's, which differs from machine to machine
    for name in ("blas/libblas.so.3", "lapack/liblapack.so.3"):  # update-alternatives links these
        for library in root.glob(f"usr/lib/*/{name}"):
            link = library.parent.parent / library.name
            if not link.exists():
                link.symlink_to(name)


def _python_of(root: Path, target: Target) -> str:
    """Return the path of Python inside. Raises EdgeproofError where it is not the target's version."""
    found = sorted(path.name for path in (root / "usr" / "bin").glob("python3.*") if path.name[8:].isdecimal())
    expected = f"python{target.python}"
    if found != [expected]:
        raise EdgeproofError(
            f"apt's sources have {', '.join(found) or 'no Python'}, {target.name} has {expected}: "
            "emulated devices are made on the Debian release that the device runs (12, Bookworm)"
        )
    return f"/usr/bin/{expected}"


def _install(files: Iterable[Path], site: Path) -> None:
    """Unpack wheels. pip would refuse those of another architecture."""
    import zipfile

    site.mkdir(parents=True, exist_ok=True)
    for file in files:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(site)  # zipfile keeps names inside the folder


def _compile(root: Path, python: str) -> None:
    """Compile the modules on the host, where it takes seconds: Pythons of one version share their byte code.

    The byte code files are unchecked, without times, so that every build gives the same bytes.
    """
    if Path(python).name != f"python{sys.version_info.major}.{sys.version_info.minor}":
        return  # of another version: the guest compiles in memory, slowly
    folders = [root / "usr" / "lib" / Path(python).name, root / "usr" / "lib" / "python3", root / LOCAL]
    command: Sequence[str] = [*PYTHON, "-m", "compileall", "-q", "-x", NOT_NEEDED, "-s", str(root), "-p", "/"]
    command = [*command, "--invalidation-mode", "unchecked-hash", *(str(folder) for folder in folders if folder.exists())]
    subprocess.run(command, capture_output=True, check=False)  # a broken example in a library does no harm
