"""Temporary environments, with other packages or another Python than the project's own."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest


def install(folder: Path, requirements: Sequence[str], python: str = sys.executable) -> Path:
    """Make an environment. Skips the test if no package registry can be reached."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True, timeout=120)
    command = [str(folder / "bin" / "pip"), "install", "--quiet", *requirements]
    installed = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if installed.returncode != 0:
        pytest.skip(f"cannot install {requirements[0]}: {installed.stderr.strip().splitlines()[-1]}")
    return folder / "bin" / "python"
