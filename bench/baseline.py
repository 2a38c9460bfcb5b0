"""A baseline: artifacts with their results and the hashes of both, kept in a folder to hold later builds against."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bench.artifacts import Found, find_artifacts
from bench.budget import Budgets
from bench.check import check_rows
from bench.results import Results, Row
from bench.soundness import load_sound_results
from bench.verdict import Verdict
from device.classify import CheckFailed, EdgeproofError
from train.alone import alone
from train.files import read_document, reading_together, replacing_folder, sha256_of, write_json

SCHEMA = 1
INDEX = "baseline.json"
RESULTS = "bench.json"
Key = tuple[str, str | None, str, str]  # model, name, variant, format


@dataclass(frozen=True)
class Baseline:
    """What a baseline's folder holds, checked."""

    folder: Path
    artifacts: tuple[Found, ...]
    results: Results

    def rows_of(self, found: Found) -> list[Row]:
        """Return what was measured of an artifact when it was saved."""
        return [row for row in self.results.rows if row["artifact"]["path"] == relative_path(found)]


def key_of(found: Found) -> Key:
    """Return what makes two artifacts counterparts."""
    return found.card.model, found.name, found.card.variant, found.format


def relative_path(found: Found) -> str:
    """Return where an artifact lies in a baseline, and in build/ too."""
    model = f"{found.card.model}@{found.name}" if found.name else found.card.model
    return f"{model}/{found.path.name}"


def save(folder: Path, artifacts: Sequence[Found], results: Results, budgets: Budgets) -> Baseline:
    """Store artifacts with their rows; what was in the folder is replaced as a whole.

    Raises EdgeproofError for an artifact that was not measured, CheckFailed where one breaks a budget: later builds would
    be held against it.
    """
    kept, measured = Results(results.environments), list[Row]()
    for found in artifacts:
        rows = [row for row in results.rows if row["artifact"]["sha256"] == sha256_of(found.path)]
        if not rows:
            raise EdgeproofError(f"{found.path}: was not measured as it is now: `python -m bench run {found.path}` first")
        measured += rows
        for row in rows:
            kept.rows.append({**row, "artifact": {**row["artifact"], "path": relative_path(found)}})
            prefix = row["samples"]["key"] + "/"
            kept.arrays |= {name: array for name, array in results.arrays.items() if name.startswith(prefix)}
    failed = [f for f in check_rows(measured, results, budgets) if f.verdict is Verdict.FAIL]
    if failed:
        raise CheckFailed(
            f"{failed[0].subject} breaks {failed[0].budget} ({failed[0].place}), {len(failed)} fail in all: a failing "
            "baseline would pass failing builds; mend it first"
        )
    _check_replaceable(folder)
    with alone(folder), replacing_folder(folder) as temporary:
        for found in artifacts:
            target = temporary / relative_path(found)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found.path, target)
        kept.save(temporary / RESULTS)
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        hashes = {path.relative_to(temporary).as_posix(): sha256_of(path) for path in files}
        write_json(temporary / INDEX, {"schema": SCHEMA, "sha256": hashes})
    return load(folder)


def load(folder: Path) -> Baseline:
    """Read a baseline. Raises EdgeproofError for one that is missing, damaged or empty."""
    with reading_together(folder.parent):
        return _load(folder)


def _load(folder: Path) -> Baseline:
    index = folder / INDEX
    if not index.is_file():
        raise EdgeproofError(f"{index}: no such file: make one with `python -m bench baseline save {folder} FILE...`")
    document = read_document(index, SCHEMA, "save it again")
    hashes = document.get("sha256")
    if not isinstance(hashes, dict) or RESULTS not in hashes:
        raise EdgeproofError(f"{index}: names no files with their hashes: damaged; save the baseline again")
    for name, expected in hashes.items():
        _check_file(folder, name, expected)
    paths = [folder / name for name in hashes if not name.startswith("bench.")]
    if not paths:
        raise EdgeproofError(f"{index}: holds no artifact: save the baseline again")
    return Baseline(folder, tuple(find_artifacts(paths)), load_sound_results(folder / RESULTS))


def _check_file(folder: Path, name: str, expected: object) -> None:
    path = folder / name
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise EdgeproofError(f"{folder / INDEX}: {name!r} lies outside of the baseline: damaged; save the baseline again")
    if not path.is_file():
        raise EdgeproofError(f"{path}: no such file, but {INDEX} names it: restore it or save the baseline again")
    if sha256_of(path) != expected:
        raise EdgeproofError(f"{path}: is not what was saved (SHA-256 differs): restore it or save the baseline again")


def _check_replaceable(folder: Path) -> None:
    """Raise EdgeproofError for a folder that is no baseline: it is not replaced."""
    if folder.exists() and not (folder.is_dir() and ((folder / INDEX).is_file() or not any(folder.iterdir()))):
        raise EdgeproofError(f"{folder}: is there and no baseline: name another folder")


def differences(row: Row, saved: dict[str, Any], environment: dict[str, Any], runtime_version: str) -> list[str]:
    """Say in what a baseline's row was measured otherwise than here: the runtime's version, the machine."""
    told = []
    if row["runtime_version"] != runtime_version:
        told.append(f"saved with {row['runtime']} {row['runtime_version']}, here {runtime_version}")
    if saved.get("cpu") != environment.get("cpu"):
        told.append(f"saved on {saved.get('cpu')}, here {environment.get('cpu')}")
    return told
