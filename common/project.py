"""A user's own project: what its `edgeproof.toml` names, and the built-in things where it names nothing."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.files import replacing_folder
from common.paths import BUDGETS, DATA, DEVICES, PROJECT
from common.toml_config import build, read_toml
from device.errors import EdgeproofError


@dataclass(frozen=True)
class ProjectFile:
    """The keys of `edgeproof.toml`. Paths are relative to the file's folder; "" where nothing is named."""

    budgets: str = ""  # a budgets file
    baseline: str = ""  # a folder made by `bench baseline save`
    devices: str = ""  # a folder of device files, beside the built-in devices


def read_project() -> ProjectFile:
    """Read `edgeproof.toml` of the working directory; an empty one where there is none. Raises EdgeproofError."""
    return build(ProjectFile, read_toml(PROJECT), str(PROJECT)) if PROJECT.exists() else ProjectFile()


def budgets_path(given: Path | None) -> Path:
    """Return the budgets file: the one given, else the project's, else the built-in one."""
    return given or _named(read_project().budgets, "budgets") or BUDGETS


def baseline_path(given: Path | None) -> Path:
    """Return the baseline: the one given, else the project's. Raises EdgeproofError where neither is named."""
    found = given or _named(read_project().baseline, "baseline")
    if found is None:
        raise EdgeproofError(f'no baseline is named: give --baseline DIR, or baseline = "DIR" in {PROJECT}')
    return found


def project_paths() -> list[Path]:
    """Return `edgeproof.toml` and what it names, whether it is there or not; a file that cannot be read names nothing."""
    try:
        found = read_project()
    except EdgeproofError:  # whoever needs what it names will say so
        return [PROJECT]
    return [PROJECT, *(PROJECT.parent / name for name in (found.budgets, found.baseline, found.devices) if name)]


def device_files(folders: Iterable[Path] | None = None) -> dict[str, Path]:
    """Return the file of each device by its name: the project's own devices, and the built-in ones.

    A project's device stands in for a built-in one of the same name.
    """
    if folders is None:
        own = _named(read_project().devices, "devices")
        folders = [DEVICES] if own is None else [own, DEVICES]
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def _named(name: str, key: str) -> Path | None:
    if not name:
        return None
    path = PROJECT.parent / name
    if not path.exists():
        raise EdgeproofError(f"{PROJECT}: key {key!r}: {path} does not exist: make it, or correct the name")
    return path


def copy_example() -> Path:
    """Copy the ready models and their pictures into `ready/`. Raises EdgeproofError where that is there already."""
    target = Path("ready")
    if target.exists():
        raise EdgeproofError(f"{target}: exists already and stays as it is: move it away first")
    with replacing_folder(target) as temporary:
        shutil.copytree(DATA / "ready", temporary, dirs_exist_ok=True)
    return target
