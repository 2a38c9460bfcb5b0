"""build/bench.json and build/bench.npz: reading, merging a new run's rows in, writing."""

import io
import secrets
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measurement import SCHEMA, Measurement, Skipped, Subject
from device.classify import EdgeproofError
from train.files import read_json, replacing, write_json

Row = dict[str, Any]  # one measurement as JSON, as design.md's schema 1 has it
SUBJECT_FIELDS = ("model", "name", "variant", "format", "runtime", "device", "accelerator", "threads")


@dataclass
class Results:
    """All rows of bench.json with their samples."""

    environments: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    skipped: list[Row] = field(default_factory=list)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def merge(self, measured: Iterable[Measurement], skipped: Iterable[Skipped], environment: Mapping[str, Any]) -> None:
        """Take a new run's rows in; each replaces the one with the same key."""
        new_rows = list(measured)
        run = secrets.token_hex(8)  # rows of one run were measured interleaved: their ratios mean something
        new_skipped = [skip.to_json() for skip in skipped]
        keys = {measurement.subject.key for measurement in new_rows}
        seen = {_place(row) for row in [*(m.to_json() for m in new_rows), *new_skipped]}
        for row in [row for row in self.rows if subject_of(row).key in keys or _artifact_is_gone(row)]:
            self._drop(row)
        self.skipped = [row for row in self.skipped if _place(row) not in seen] + new_skipped
        for measurement in new_rows:
            self.rows.append({**measurement.to_json(), "run": run})
            self.arrays |= measurement.samples.to_arrays(measurement.subject.key)
        self.rows.sort(key=lambda row: (row["model"], row["name"] or "", row["format"], row["variant"], row["runtime"]))
        self.environments["host"] = dict(environment)

    def _drop(self, row: Row) -> None:
        self.rows.remove(row)
        prefix = row["samples"]["key"] + "/"
        self.arrays = {name: array for name, array in self.arrays.items() if not name.startswith(prefix)}

    def save(self, path: Path) -> None:
        """Write bench.json and its bench.npz; the samples first, since the rows name their hashes."""
        with replacing(path.with_suffix(".npz")) as temporary:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **self.arrays)
            temporary.write_bytes(buffer.getvalue())
        document = {"schema": SCHEMA, "environments": self.environments}
        write_json(path, {**document, "measurements": self.rows, "skipped": self.skipped})


def subject_of(row: Row) -> Subject:
    """Return what a row is about."""
    return Subject(**{name: row[name] for name in SUBJECT_FIELDS})


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "name", "variant", "format", "runtime", "device"))


def _artifact_is_gone(row: Row) -> bool:
    return row["device"] == "host" and not Path(row["artifact"]["path"]).exists()


def load_results(path: Path) -> Results:
    """Read results. Raises EdgeproofError for a file that is missing, damaged, or of a newer schema."""
    if not path.is_file():
        raise EdgeproofError(f"{path}: no such file: measure first with `python -m bench run`")
    document = read_json(path)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise EdgeproofError(f"{path}: schema is {schema!r}, this version reads {SCHEMA}: measure again or update")
    samples = path.with_suffix(".npz")
    try:
        with np.load(samples, allow_pickle=False) as archive:
            arrays = dict(archive)
        return Results(document["environments"], document["measurements"], document["skipped"], arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise EdgeproofError(f"{path}, {samples}: damaged ({error}): remove both and measure again") from error
