"""A reproducible .tar.gz to set a device up: classify.pyz, an artifact, exact requirements, an installer."""

import gzip
import hashlib
import io
import shlex
import tarfile
from dataclasses import dataclass
from pathlib import Path

from common.files import write_bytes
from common.paths import BUILD
from convert.deployment.compatibility import check
from convert.deployment.one_file import NAME, STARTER, device_archive
from convert.deployment.target import Target, Wheel
from convert.deployment.wheelhouse import download, requirements
from device.errors import CheckFailed, EdgeproofError
from device.formats.model_file import whole_model
from device.safe_text import printable

INSTALLER = Path(__file__).with_name("install.sh")
EPOCH_S = 315_532_800  # 1980-01-01, the oldest date that ZIP tools know too
WHEELS = BUILD / "wheels"  # downloaded wheels, in a folder for each target


@dataclass(frozen=True)
class Bundle:
    """A written bundle."""

    path: Path
    sha256: str
    size_bytes: int
    requirements: tuple[str, ...]
    wheels: int


def write_bundle(artifact: Path, target: Target, path: Path, with_wheels: bool) -> Bundle:
    """Write an artifact's bundle for a target; with the wheels inside it installs offline.

    The same input gives the same bytes. Raises CheckFailed where the artifact does not run on the target, EdgeproofError
    where the target is no device or a wheel cannot be downloaded.
    """
    if not target.architecture:
        raise EdgeproofError(f"{target.name} is a runtime, not a device: take a target that names an architecture")
    if printable(artifact.name) != artifact.name:
        raise EdgeproofError(f"{artifact}: its name holds control characters: rename it")
    verdict = check(artifact, target)
    if verdict.wheel is None:
        raise CheckFailed(f"{artifact}: {target.name}: {verdict}")
    pins = requirements(target, verdict.wheel)
    files = _files(artifact, target, verdict.wheel, pins)
    wheels = download(target, pins, WHEELS / target.name) if with_wheels else []
    files |= {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels}
    sums = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    files["SHA256SUMS"] = "".join(sums).encode()
    data = packed(files, path.name.removesuffix(".tar.gz"))
    write_bytes(path, data)
    return Bundle(path, hashlib.sha256(data).hexdigest(), len(data), pins, len(wheels))


def _files(artifact: Path, target: Target, wheel: Wheel, pins: tuple[str, ...]) -> dict[str, bytes]:
    settings = {
        "@MODEL@": shlex.quote(artifact.name),
        "@MACHINE@": target.architecture,
        "@BITS@": str(target.bits),
        "@PYTHON@": target.python,
        "@VENV_OPTIONS@": "--system-site-packages" if target.system_packages else "",
        "@IMPORTS@": "numpy, PIL" if target.system_packages else "sys",
        "@PACKAGES@": " ".join(target.system_packages),
    }
    installer = INSTALLER.read_text(encoding="utf-8")
    for name, value in settings.items():
        installer = installer.replace(name, value)
    return {
        "classify.py": STARTER.encode(),
        NAME: device_archive(),
        artifact.name: whole_model(artifact),
        "requirements.txt": "".join(f"{pin}\n" for pin in pins).encode(),
        "README": _readme(artifact, target, wheel).encode(),
        "install.sh": installer.encode(),
    }


def _readme(artifact: Path, target: Target, wheel: Wheel) -> str:
    """Return five lines for the person who unpacks it."""
    first = f"first: sudo apt install {' '.join(target.system_packages)}; " if target.system_packages else ""
    lines = (
        f"{artifact.name} with {wheel.requirement} for: {target.description} (Python {target.python}).",
        f"Install, once:  {first}./install.sh    (makes venv/ here; offline where wheels/ is here)",
        f"Classify:       venv/bin/python classify.py {shlex.quote(artifact.name)} PICTURE...",
        f"Check it:       venv/bin/python classify.py {shlex.quote(artifact.name)} --self-test",
        "Is it whole:    sha256sum -c SHA256SUMS",
    )
    return "".join(f"{line}\n" for line in lines)


def packed(files: dict[str, bytes], folder: str) -> bytes:
    """Return a .tar.gz of files under one folder: sorted, without owner, date or machine name."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=EPOCH_S) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mtime = len(files[name]), EPOCH_S
            member.mode = 0o755 if name.endswith(".sh") else 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()
