"""Compiling what was exported, as far as a compiler on this machine can: an error or a warning is ours to mend."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from device.errors import CheckFailed

COMPILERS = ("gcc", "cc", "clang")
FLAGS = ("-std=c11", "-Wall", "-Wextra", "-Werror")
TIMEOUT_S = 300


def compiled_here(folder: Path, names: Sequence[str]) -> str | None:
    """Compile files of a folder and return "gcc -std=c11 -Wall ..."; None: no compiler is here. Raises CheckFailed."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        return None
    for name in names:
        command = [compiler, *FLAGS, "-c", name, "-o", f"{name}.o"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise CheckFailed(f"{name}: {Path(compiler).name} did not compile it in {TIMEOUT_S} s") from error
        finally:
            (folder / f"{name}.o").unlink(missing_ok=True)
        if done.returncode != 0:
            first = (done.stderr.strip().splitlines() or ["it gives no reason"])[0]
            raise CheckFailed(f"{name}: {Path(compiler).name} {' '.join(FLAGS)} refuses it: {first}")
    return f"{Path(compiler).name} {' '.join(FLAGS)}"
