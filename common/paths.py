"""Where things lie: what is installed with the program, which nobody writes, and what a run writes.

`common/project.py` adds what a user's own project has: budgets, a baseline, devices.
"""

from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent  # holds the packages: the checkout, or the folder that a wheel installs
BUILD = Path("build")  # of the working directory
RESULTS = BUILD / "bench.json"
DATA = PROGRAM / "data"
DEVICES = PROGRAM / "bench" / "devices"
BUDGETS = PROGRAM / "bench" / "budgets" / "budgets.toml"
TARGETS = PROGRAM / "convert" / "targets"
BOARDS = PROGRAM / "convert" / "boards"
PROJECT = Path("edgeproof.toml")  # of the working directory


def shown(path: Path) -> str:
    """Return a path as people read it: relative to the working directory where it lies inside."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
