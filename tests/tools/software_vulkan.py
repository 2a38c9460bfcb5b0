"""A Vulkan device in software (SwiftShader, from Debian's chromium-common), for tests of the GPU code.

`python -m tests.tools.software_vulkan` downloads it to build/software-vulkan and prints what to export; root is not needed.
"""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from common.paths import PROGRAM

FOLDER = PROGRAM / "build" / "software-vulkan"
FILES = (
    "libvk_swiftshader.so",
    "libvulkan.so.1",
    "vk_swiftshader_icd.json",
)  # driver, loader, what names the driver
TIMEOUT_S = 300


class Unfetchable(Exception):
    """The package cannot be downloaded here; the message says why."""


def environment() -> dict[str, str]:
    """Return the environment variables that make the software device the only one. Raises Unfetchable."""
    if not all((FOLDER / name).exists() for name in FILES):
        fetch()
    return {"LD_LIBRARY_PATH": str(FOLDER), "VK_DRIVER_FILES": str(FOLDER / "vk_swiftshader_icd.json")}


def fetch() -> None:
    """Download the package and extract the three files. Raises Unfetchable."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt downloads as a user of its own
        _run(["apt-get", "download", "chromium-common"], folder)
        package = next(folder.glob("chromium-common_*.deb"))
        _run(["dpkg", "-x", str(package), "unpacked"], folder)
        FOLDER.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            source = folder / "unpacked" / "usr" / "lib" / "chromium" / file
            if not source.exists():
                raise Unfetchable(f"{package.name} has no {file}")
            (FOLDER / file).write_bytes(source.read_bytes())


def _run(command: list[str], folder: Path) -> None:
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unfetchable(f"{command[0]}: {error}: it needs Debian and its package lists") from error
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise Unfetchable(f"{shlex.join(command[:3])} failed: {last}: run `apt-get update` first")


if __name__ == "__main__":
    try:
        variables = environment()
    except Unfetchable as error:
        sys.exit(f"software-vulkan: {error}")
    sys.stdout.write("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))
