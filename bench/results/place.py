"""The files of results beside each other: bench.json, bench.npz, history.jsonl; and whether a run may write them."""

import zipfile
from pathlib import Path

from bench.results.history import load_history, path_beside
from device.errors import EdgeproofError
from device.files import archive_errors

ENDING = ".json"
MEMBERS = frozenset({"latency_ns.npy", "truth.npy"})  # one of them is in each .npz of results that holds anything


def check_place(path: Path) -> None:
    """Raise EdgeproofError where results cannot be written to `path`, or would replace a file that is not edgeproof's.

    The file itself is looked at where it is read, before a run merges its rows into it.
    """
    if path.suffix != ENDING:
        raise EdgeproofError(f"{str(path)!r}: results are written to a file whose name ends in {ENDING}: give such a name")
    if path.is_dir():
        raise EdgeproofError(f"{path}: is a folder: name a file in it, as {path / 'bench.json'}")
    samples, history = path.with_suffix(".npz"), path_beside(path)
    if not path.exists() and samples.exists() and not _holds_samples(samples):
        raise not_ours(samples)
    if history.exists() and not _is_history(history):
        raise not_ours(history)


def not_ours(path: Path) -> EdgeproofError:
    """Return the error for a file that a command would write over although edgeproof did not write it."""
    return EdgeproofError(
        f"{path}: would be written over, but edgeproof did not write it: move it away, or give the results another name"
    )


def _holds_samples(path: Path) -> bool:
    """Say whether an .npz without its .json was left by edgeproof."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except archive_errors():
        return False
    return not names or any(name.rpartition("/")[2] in MEMBERS for name in names)


def _is_history(path: Path) -> bool:
    """Say whether lines may be appended: some are of edgeproof, or there are none."""
    history = load_history(path)
    return bool(history.lines) or not history.damaged
