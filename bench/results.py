"""build/bench.json and build/bench.npz: reading, merging a new run's rows in, writing."""

import io
import secrets
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.emulated import is_emulated
from bench.evidence import Evidence, merge as merge_evidence
from bench.measurement import ANY, NS_PER_MS, SCHEMA, Measurement, Samples, Skipped, Subject
from bench.row_check import check_document
from device.classify import EdgeproofError
from train.files import json_bytes, read_document, reading_together, replacing_together

Row = dict[str, Any]  # one measurement as JSON, as design.md's schema 1 has it
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
BAD_ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError)
SUBJECT_FIELDS = ("model", "name", "variant", "format", "runtime", "device", "accelerator", "threads")


@dataclass
class Results:
    """All rows of bench.json with their samples."""

    environments: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    skipped: list[Row] = field(default_factory=list)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    path: Path | None = None  # where they were read from, for messages
    ascending_ns: dict[str, tuple[npt.NDArray[np.int64], ...]] = field(
        default_factory=dict, repr=False
    )  # by row, when asked

    def merge(
        self,
        measured: Iterable[Measurement],
        skipped: Iterable[Skipped],
        environment: Mapping[str, Any] | None,
        evidence: Iterable[Evidence] = (),
        device: str = "host",
    ) -> None:
        """Take a new run's rows in; each replaces the one with the same key. None: the device was never reached."""
        new_rows = list(measured)
        run = secrets.token_hex(8)  # rows of one run were measured interleaved: their ratios mean something
        new_skipped = [skip.to_json() for skip in skipped]
        keys = {measurement.subject.key for measurement in new_rows}
        seen = {_place(row) for row in [*(m.to_json() for m in new_rows), *new_skipped]}
        replaced = [row for row in self.rows if subject_of(row).key in keys or _artifact_is_gone(row)]
        for row in replaced:
            self._drop(row)
        self.skipped = [row for row in self.skipped if _place(row) not in seen] + new_skipped
        for measurement in new_rows:
            self.rows.append({**_with_counts(measurement.to_json(), replaced), "run": run})
            self.arrays |= measurement.samples.to_arrays(measurement.subject.key)
        order = ("model", "name", "format", "variant", "runtime", "threads")
        self.rows.sort(key=lambda row: tuple(row[name] or "" for name in order))
        measured_in = {(row["runtime"], row["device"]) for row in self.rows}
        self.skipped = [s for s in self.skipped if s["model"] != ANY or (s["runtime"], s["device"]) not in measured_in]
        if environment is not None:
            self.environments[device] = dict(environment)
        merge_evidence(self.arrays, evidence, self.rows)

    def _drop(self, row: Row) -> None:
        self.rows.remove(row)
        prefix = row["samples"]["key"] + "/"
        self.arrays = {name: array for name, array in self.arrays.items() if not name.startswith(prefix)}
        self.ascending_ns.pop(row["samples"]["key"], None)

    def save(self, path: Path) -> None:
        """Write bench.json and its bench.npz, both or none: the rows name their samples' hashes."""
        document = {"schema": SCHEMA, "environments": self.environments, "measurements": self.rows, "skipped": self.skipped}
        text = json_bytes(document)
        with replacing_together(path, path.with_suffix(".npz")) as (rows, samples):
            rows.write_bytes(text)
            samples.write_bytes(npz_bytes(self.arrays))


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as a compressed .npz whose members bear a fixed date: ZIP knows none for a clock before 1980."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", FIXED_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def latencies_ns(results: Results, row: Row) -> tuple[npt.NDArray[np.int64], ...]:
    """Return a row's latencies, (queries,) a process, ascending: sorting them once is most of what statistics cost.

    Raises EdgeproofError where the npz lacks them or holds others.
    """
    key = row["samples"]["key"]
    if key in results.ascending_ns:
        return results.ascending_ns[key]
    try:
        samples = Samples.from_arrays(results.arrays, key).latency_ns
    except (KeyError, ValueError, IndexError) as error:
        where = results.path.with_suffix(".npz") if results.path else "the .npz beside bench.json"
        raise EdgeproofError(f"{key}: its samples are missing from {where}: measure again") from error
    pooled = np.concatenate(samples) if samples else np.empty(0)
    p50_ms = float(np.median(pooled)) / NS_PER_MS if len(pooled) else 0.0
    if not np.isclose(p50_ms, row["latency"]["p50_ms"], rtol=1e-6):
        raise EdgeproofError(
            f"{key}: its samples (p50 {p50_ms:.6g} ms) are not this row's: keep bench.json with its own .npz"
        )
    results.ascending_ns[key] = tuple(np.sort(process) for process in samples)
    return results.ascending_ns[key]


def is_software(row: Mapping[str, Any]) -> bool:
    """Tell whether a row ran on a GPU that software imitates: real answers, but a time that compares with nothing."""
    return "software" in str(row["accelerator"])


def has_no_time(row: Mapping[str, Any]) -> bool:
    """Tell whether a row's time is no latency of anything: of a software GPU or of an emulated device."""
    return is_software(row) or is_emulated(row["device"])


def subject_of(row: Row) -> Subject:
    """Return what a row is about."""
    return Subject(**{name: row[name] for name in SUBJECT_FIELDS})


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "name", "variant", "format", "runtime", "device"))


def _with_counts(new: Row, old: Iterable[Row]) -> Row:
    """Keep the instruction counts of the row that `new` replaces, where artifact and runtime are the same."""
    for row in old:
        same = all(row[name] == new[name] for name in (*SUBJECT_FIELDS, "runtime_version"))
        if same and row["artifact"]["sha256"] == new["artifact"]["sha256"] and "instructions" in row:
            return {"instructions": row["instructions"], **new}
    return new


def _artifact_is_gone(row: Row) -> bool:
    return row["device"] == "host" and not Path(row["artifact"]["path"]).exists()


def results_so_far(path: Path) -> Results:
    """Read the results that a new run is merged into: none where there is no file yet. Raises as `load_results`."""
    with reading_together(path.parent):
        return _load_results(path) if path.exists() else Results()


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read an .npz. Raises ValueError for what is no array of numbers or text, and what zipfile and numpy raise."""
    if not path.is_file():
        raise ValueError("no such file")
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufSU":  # numpy gives bytes for what is no array
            raise ValueError(f"{name} is no array of numbers")
    return arrays


def load_results(path: Path) -> Results:
    """Read results. Raises EdgeproofError for a file that is missing, damaged, or of a newer schema."""
    with reading_together(path.parent):
        return _load_results(path)


def _load_results(path: Path) -> Results:
    if not path.is_file():
        raise EdgeproofError(f"{path}: no such file: measure first with `python -m bench run`")
    document = read_document(path, SCHEMA, "measure again")
    check_document(path, document)
    samples = path.with_suffix(".npz")
    try:
        return Results(document["environments"], document["measurements"], document["skipped"], _arrays(samples), path)
    except (OSError, ValueError, KeyError, EOFError, MemoryError, SyntaxError, NotImplementedError, *BAD_ZIP) as error:
        raise EdgeproofError(f"{path}, {samples}: damaged ({error}): remove both and measure again") from error
