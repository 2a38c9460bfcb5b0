"""Debian packages of another architecture, fetched and unpacked without root, through apt's own configuration and keys."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from device.errors import EdgeproofError

TIMEOUT_S = 600


def fetch(folder: Path, architecture: str, packages: Sequence[str]) -> list[Path]:
    """Download packages of `architecture` with all dependencies, as for an empty system; return the files, sorted.

    Files in `folder` are not downloaded again. apt checks each file's signature chain. Raises EdgeproofError
    where apt is missing or cannot download one.
    """
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    own = {"Dir::State": folder, "Dir::State::lists": folder / "lists", "Dir::State::status": folder / "status"}
    options = {**own, "APT::Architecture": architecture, "APT::Architectures": architecture, "Dir::Cache": folder / "cache"}
    _apt(options, "update", required=False)  # an unreachable list does no harm: only the packages matter
    return _download(options, folder / "cache" / "archives", packages)


def fetch_for_host(folder: Path, packages: Sequence[str]) -> list[Path]:
    """Download packages of this machine's architecture with the dependencies that this machine lacks."""
    (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    return _download({"Dir::Cache": folder / "cache"}, folder / "cache" / "archives", packages)


def unpack(archives: Sequence[Path], folder: Path) -> None:
    """Unpack packages into a folder; their scripts are not run."""
    folder.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        _checked(["dpkg", "-x", str(archive), str(folder)], f"{archive.name}: cannot be unpacked")


def _download(options: dict[str, object], archives: Path, packages: Sequence[str]) -> list[Path]:
    _apt(options, "install", "--yes", "--download-only", *packages)
    found = sorted(archives.glob("*.deb"))
    if not found:
        raise EdgeproofError(f"apt-get downloaded no package for {', '.join(packages)}: remove {archives} and try again")
    return found


def _apt(options: dict[str, object], *arguments: str, required: bool = True) -> None:
    """Run apt-get apart from the system's: with other folders, without locks and root."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise EdgeproofError("apt-get and dpkg are missing: emulated devices are made of Debian packages; use Debian 12")
    common = {"Debug::NoLocking": 1, "APT::Sandbox::User": _user(), "APT::Install-Recommends": "false"}
    command = ["apt-get", "-q"]
    for name, value in {**common, **options}.items():
        command += ["-o", f"{name}={value}"]
    _checked([*command, *arguments], f"apt-get {arguments[0]} failed", required)


def _user() -> str:
    """Return the user that apt downloads as: its own user `_apt` cannot write into our folder."""
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _checked(command: Sequence[str], failure: str, required: bool = True) -> None:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except subprocess.TimeoutExpired as error:
        raise EdgeproofError(f"{failure}: not finished after {TIMEOUT_S} s: check the network and try again") from error
    if required and result.returncode != 0:
        errors = [line for line in result.stderr.splitlines() if line.startswith("E:")] or result.stderr.splitlines()
        reason = errors[0].removeprefix("E: ") if errors else f"code {result.returncode}"
        raise EdgeproofError(f"{failure}: {reason}: check apt's sources and try again")
