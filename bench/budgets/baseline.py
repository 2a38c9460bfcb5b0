"""A baseline: artifacts with their results and the hashes of both, kept in a folder to compare later builds with."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bench.artifacts.find import Artifact, find_artifacts
from bench.budgets.check import check_rows
from bench.budgets.rules import Budgets
from bench.machine.environment import Environment
from bench.results.integrity import load_sound_results
from bench.results.row import FileKey, ResultRow
from bench.results.store import Results
from common.advice import command
from common.counts import counted
from common.files import read_document, reading_together, replacing_folder, sha256_of, write_json
from common.lock import exclusive
from common.verdict import Verdict
from device.errors import CheckFailed, EdgeproofError
from device.formats.model_file import whole_model

SCHEMA = 1
INDEX = "baseline.json"
RESULTS = "bench.json"


@dataclass(frozen=True)
class Baseline:
    """The checked content of a baseline's folder."""

    folder: Path
    artifacts: tuple[Artifact, ...]
    results: Results

    def rows_of(self, found: Artifact) -> list[ResultRow]:
        """Return what was measured of an artifact when it was saved."""
        return [row for row in self.results.rows if row.artifact.path == relative_path(found)]


def key_of(found: Artifact) -> FileKey:
    """Return the key that is equal for an artifact and its counterpart in another build."""
    return found.card.model, found.name, found.card.variant, found.format


def artifact_text(found: Artifact) -> str:
    """Return "mnist_cnn int8.tflite"."""
    model, name, variant, file_format = key_of(found)
    return f"{model}{f'@{name}' if name else ''} {variant}.{file_format}"


def without(artifacts: Sequence[Artifact], others: Sequence[Artifact]) -> list[str]:
    """Return the texts of the artifacts that have no counterpart among others."""
    keys = {key_of(found) for found in others}
    return sorted(artifact_text(found) for found in artifacts if key_of(found) not in keys)


def relative_path(found: Artifact) -> str:
    """Return the relative path of an artifact, which is the same in a baseline and in build/."""
    model = f"{found.card.model}@{found.name}" if found.name else found.card.model
    return f"{model}/{found.path.name}"


def save(folder: Path, artifacts: Sequence[Artifact], results: Results, budgets: Budgets) -> Baseline:
    """Store artifacts with their rows; they replace the folder.

    Raises EdgeproofError for an artifact that was not measured, CheckFailed where one breaks a budget, since later builds
    would be compared with it.
    """
    kept, measured = Results(results.environments), list[ResultRow]()
    for found in artifacts:
        if found.format == "onnx":
            whole_model(found.path)  # what is kept has to open there
        rows = [row for row in results.rows if row.artifact.sha256 == sha256_of(found.path)]
        if not rows:
            raise EdgeproofError(
                f"{found.path}: was not measured as it is now: `{command('bench', 'run', found.path)}` first"
            )
        measured += rows
        for row in rows:
            kept.rows.append(replace(row, artifact=replace(row.artifact, path=relative_path(found))))
            kept.arrays |= {name: array for name, array in results.arrays.items() if name.startswith(f"{row.key}/")}
    failed = [f for f in check_rows(measured, results, budgets) if f.verdict is Verdict.FAIL]
    if failed:
        raise CheckFailed(
            f"{failed[0].subject} breaks {failed[0].limit.name} ({failed[0].limit.place}), "
            f"{counted(len(failed), 'broken budget')} in all: a failing baseline lets failing builds pass: repair it first"
        )
    _check_replaceable(folder)
    with exclusive(folder), replacing_folder(folder) as temporary:
        for found in artifacts:
            target = temporary / relative_path(found)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found.path, target)
        kept.save(temporary / RESULTS)
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        hashes = {path.relative_to(temporary).as_posix(): sha256_of(path) for path in files}
        write_json(temporary / INDEX, {"schema": SCHEMA, "sha256": hashes})
    return load(folder)


def removed_by_saving(folder: Path, artifacts: Sequence[Artifact]) -> list[str]:
    """Return the texts of the artifacts of a baseline that saving others there removes; of a damaged one, none is known."""
    try:
        return without(load(folder).artifacts, artifacts)
    except EdgeproofError:
        return []


def load(folder: Path) -> Baseline:
    """Read a baseline. Raises EdgeproofError for one that is missing, damaged or empty."""
    with reading_together(folder.parent):
        return _load(folder)


def _load(folder: Path) -> Baseline:
    index = folder / INDEX
    if not index.is_file():
        raise EdgeproofError(f"{index}: no such file: make one with `edgeproof bench baseline save {folder} FILE...`")
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
        raise EdgeproofError(f"{folder / INDEX}: {name!r} is outside of the baseline: damaged; save the baseline again")
    if not path.is_file():
        raise EdgeproofError(f"{path}: no such file, but {INDEX} names it: restore it or save the baseline again")
    if sha256_of(path) != expected:
        raise EdgeproofError(f"{path}: is not what was saved (SHA-256 differs): restore it or save the baseline again")


def _check_replaceable(folder: Path) -> None:
    """Raise EdgeproofError for a folder that is no baseline, which must not be replaced."""
    if folder.exists() and not (folder.is_dir() and ((folder / INDEX).is_file() or not any(folder.iterdir()))):
        raise EdgeproofError(f"{folder}: exists and is not a baseline: name another folder")


def differences(row: ResultRow, saved: Environment | None, current: Environment, runtime_version: str) -> list[str]:
    """Say what differs from the measurement of a baseline's row: the runtime's version, the machine."""
    found = []
    if row.runtime_version != runtime_version:
        found.append(f"saved with {row.subject.runtime} {row.runtime_version}, here {runtime_version}")
    cpu = None if saved is None else saved.cpu
    if cpu != current.cpu:
        found.append(f"saved on {cpu}, here {current.cpu}")
    return found
