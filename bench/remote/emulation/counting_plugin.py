"""The counting plug-in: compiled on first use, and kept by the hash of its source."""

import shutil
import subprocess
from pathlib import Path

from bench.remote.emulation.device import NotHere
from bench.remote.emulation.qemu import Emulator
from bench.remote.emulation.user_space import cache_folder
from common.files import replacing, sha256_of
from device.errors import EdgeproofError

SOURCE = Path(__file__).with_name("count.c")
LAST_QEMU = 8  # the major version whose plug-in API count.c is written for


def plugin(emulator: Emulator) -> Path:
    """Return the plug-in, compiled. Raises NotHere without a C compiler or for a QEMU of another plug-in API."""
    major = emulator.version.partition("version ")[2].partition(".")[0]
    if major.isdecimal() and int(major) > LAST_QEMU:
        raise NotHere(f"{emulator.version}: its plug-ins have another API, instructions are counted with QEMU 5 to 8")
    path = cache_folder() / f"count-{sha256_of(SOURCE)[:16]}.so"
    if not path.exists():
        _compile(path)
    return path


def _compile(path: Path) -> None:
    compiler = next((found for name in ("gcc", "cc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        raise NotHere("there is no C compiler to make the counting plug-in: apt install gcc libc6-dev")
    with replacing(path) as temporary:
        command = [compiler, "-O2", "-fPIC", "-shared", "-o", str(temporary), str(SOURCE)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            lines = result.stderr.splitlines() or [f"{compiler} ended with {result.returncode}"]
            raise EdgeproofError(f"{SOURCE}: cannot be compiled: {lines[0]}: apt install gcc libc6-dev")


def read_marks(path: Path) -> tuple[list[int], list[int]]:
    """Return the totals of instructions and of dot products at each mark, in their order.

    Raises EdgeproofError for a file that is cut off.
    """
    rows = [line.split() for line in path.read_text().splitlines()]
    if not rows or any(len(row) != 3 for row in rows) or [row[0] for row in rows] != [*map(str, range(len(rows) - 1)), "-1"]:
        raise EdgeproofError(f"{path}: the counts are incomplete, {len(rows)} lines: count again")
    return [int(row[1]) for row in rows[:-1]], [int(row[2]) for row in rows[:-1]]
