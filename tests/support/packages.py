"""The project's packages, as they are found."""

from common.paths import PROGRAM

PACKAGES = tuple(sorted(path.parent.name for path in PROGRAM.glob("*/__init__.py") if path.parent.name != "tests"))
MODULES = sorted(path for package in PACKAGES for path in (PROGRAM / package).rglob("*.py"))
