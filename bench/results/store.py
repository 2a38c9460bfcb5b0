"""build/bench.json and build/bench.npz: reading, merging a new run's rows in, writing."""

import io
import secrets
import zipfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.machine.environment import Environment
from bench.results import document
from bench.results.emulated import why_no_latency
from bench.results.evaluation_set import EvaluationSet, merge as merge_evaluation_sets
from bench.results.measurement import NS_PER_MS, Measurement
from bench.results.row import ANY, HOST, FileKey, ResultRow, Skipped, Subject
from bench.results.samples import Samples
from common.counts import counted
from common.files import json_bytes, reading_together, replacing_together
from device.errors import EdgeproofError
from device.files import archive_errors
from device.safe_text import printable

FIXED_DATE = (1980, 1, 1, 0, 0, 0)
# numpy raises SyntaxError for the head of an array
UNREADABLE: tuple[type[Exception], ...] = (MemoryError, SyntaxError, *archive_errors())


@dataclass
class Results:
    """All rows of bench.json with their samples."""

    environments: dict[str, Environment] = field(default_factory=dict)
    rows: list[ResultRow] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    path: Path | None = None  # the file that they were read from, for messages
    ascending_ns: dict[str, tuple[npt.NDArray[np.int64], ...]] = field(
        default_factory=dict, repr=False
    )  # by row, filled when needed
    new_keys: set[str] = field(default_factory=set)  # of the rows that this process merged in
    new_skipped: list[Skipped] = field(default_factory=list)

    def merge(
        self,
        measured: Iterable[Measurement],
        skipped: Iterable[Skipped],
        environment: Environment | None,
        evaluation_sets: Iterable[EvaluationSet] = (),
        device: str = HOST,
    ) -> list[str]:
        """Merge a new run's rows; each replaces the row with its key. `environment` None: the device was never reached.

        Rows of files that are no longer beside the results are removed, and those that another machine measured under this
        device: `refuse_another_machine` has let through only those that were to be measured again. Returns a line for each.
        """
        new_rows, new_skipped = list(measured), list(skipped)
        run = secrets.token_hex(8)  # rows of one run were measured interleaved, so that their ratios are meaningful
        keys = {measurement.subject.key for measurement in new_rows}
        self.new_keys |= keys
        self.new_skipped += new_skipped
        seen = {subject.combination for subject in (*(m.subject for m in new_rows), *(s.subject for s in new_skipped))}
        replaced = [row for row in self.rows if row.subject.key in keys]
        gone = [row for row in self.rows if row.subject.key not in keys and self._artifact_is_gone(row)]
        strange = [row for row in self._of_another_machine(environment, device) if row not in (*replaced, *gone)]
        for row in (*replaced, *gone, *strange):
            self._drop(row)
        self.skipped = [skip for skip in self.skipped if skip.subject.combination not in seen] + new_skipped
        for measurement in new_rows:
            self.rows.append(replace(_with_counts(measurement.row, replaced), run=run))
            self.arrays |= measurement.samples.to_arrays(measurement.subject.key)
        self.rows.sort(key=lambda row: _order(row.subject))
        self._forget_skipped_runtimes_with_rows()
        if environment is not None:
            self.environments[device] = environment
        merge_evaluation_sets(self.arrays, evaluation_sets, self.rows)
        why = [(row, f"its file {row.artifact.path} is gone") for row in gone]
        why += [(row, "another machine measured it, and this one could not") for row in strange]
        return [printable(f"removed {row.key} from {self.path}: {reason}") for row, reason in why]

    def _forget_skipped_runtimes_with_rows(self) -> None:
        """Remove "this runtime was skipped for all models" where it has rows by now."""
        measured_in = {(row.subject.runtime, row.subject.device) for row in self.rows}
        self.skipped = [
            skip
            for skip in self.skipped
            if skip.subject.model != ANY or (skip.subject.runtime, skip.subject.device) not in measured_in
        ]

    def refuse_another_machine(
        self, environment: Environment | None, device: str = HOST, again: Collection[FileKey] = frozenset()
    ) -> None:
        """Raise EdgeproofError where rows of `device` were measured on another machine than this.

        There is one environment a device, so these rows would count as measured on this one. Rows of files that are measured
        `again` may stand there.
        """
        rows = self._of_another_machine(environment, device)
        left = [row for row in rows if not self._artifact_is_gone(row) and row.subject.file_key not in again]
        if left and environment is not None:
            where = self.path or "the results"
            raise EdgeproofError(
                printable(
                    f"{where}: holds {counted(len(left), 'row')} of {device} from another machine "
                    f"({self.environments[device].machine}); this one is {environment.machine}: name another --output, or "
                    f"remove {where}"
                )
            )

    def _of_another_machine(self, environment: Environment | None, device: str) -> list[ResultRow]:
        """Return the rows of a device that another machine measured.

        Rows whose times are never judged, as those of an emulated device, do not depend on the machine.
        """
        before = self.environments.get(device)
        if before is None or environment is None or before.is_same_machine(environment) or why_no_latency(device, ""):
            return []
        return [row for row in self.rows if row.subject.device == device]

    def _artifact_is_gone(self, row: ResultRow) -> bool:
        """Say whether the file of a row of this machine was in the results' own folder, and is certainly no longer there.

        Its model's folder has to be there still. Of any other file nothing is known here: the run may have been started
        elsewhere, or on another machine.
        """
        if self.path is None or row.subject.device != HOST:
            return False
        own, file = self.path.resolve().parent, Path(row.artifact.path)
        file = (own.parent / file).resolve()  # build/MODEL/FILE beside build/bench.json, whatever the working directory is
        return own in file.parent.parents and file.parent.is_dir() and not file.exists()

    def _drop(self, row: ResultRow) -> None:
        self.rows.remove(row)
        self.arrays = {name: array for name, array in self.arrays.items() if not name.startswith(f"{row.key}/")}
        self.ascending_ns.pop(row.key, None)

    def row(self, key: str) -> ResultRow:
        """Return the row of a key. Raises KeyError where there is none."""
        return self.rows[self._place(key)]

    def put(self, row: ResultRow) -> None:
        """Replace the row with the same key. Raises KeyError where there is none."""
        self.rows[self._place(row.key)] = row

    def _place(self, key: str) -> int:
        return {row.key: place for place, row in enumerate(self.rows)}[key]

    def save(self, path: Path) -> None:
        """Write bench.json and its bench.npz, both or none: the rows name their samples' hashes."""
        text = json_bytes(document.to_json(self.environments, self.rows, self.skipped))
        with replacing_together(path, path.with_suffix(".npz")) as (rows, samples):
            rows.write_bytes(text)
            samples.write_bytes(npz_bytes(self.arrays))


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as a compressed .npz whose members have a fixed date, since ZIP cannot store dates before 1980."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", FIXED_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def latencies_ns(results: Results, row: ResultRow) -> tuple[npt.NDArray[np.int64], ...]:
    """Return a row's latencies, (queries,) a process, ascending. They are sorted once, since that takes long.

    Raises EdgeproofError where the npz lacks them or has others.
    """
    key = row.key
    if key in results.ascending_ns:
        return results.ascending_ns[key]
    try:
        samples = Samples.from_arrays(results.arrays, key).latency_ns
    except (KeyError, ValueError, IndexError) as error:
        where = results.path.with_suffix(".npz") if results.path else "the .npz beside bench.json"
        raise EdgeproofError(f"{key}: its samples are missing from {where}: measure again") from error
    pooled = np.concatenate(samples) if samples else np.empty(0)
    p50_ms = float(np.median(pooled)) / NS_PER_MS if len(pooled) else 0.0
    if not np.isclose(p50_ms, row.latency.p50.ms, rtol=1e-6):
        raise EdgeproofError(
            f"{key}: its samples (p50 {p50_ms:.6g} ms) do not belong to this row: keep bench.json with its own .npz"
        )
    results.ascending_ns[key] = tuple(np.sort(process) for process in samples)
    return results.ascending_ns[key]


def _order(subject: Subject) -> tuple[str, str, str, str, str, int]:
    return subject.model, subject.name or "", subject.format, subject.variant, subject.runtime, subject.threads


def _with_counts(new: ResultRow, old: Iterable[ResultRow]) -> ResultRow:
    """Keep the instruction counts of the row that `new` replaces, where artifact and runtime are the same."""
    if new.instructions is not None:
        return new
    for row in old:
        same = (row.subject, row.runtime_version) == (new.subject, new.runtime_version)
        if same and row.artifact.sha256 == new.artifact.sha256 and row.instructions is not None:
            return replace(new, instructions=row.instructions)
    return new


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read an .npz. Raises ValueError for anything but arrays of numbers or text, and the errors of zipfile and numpy."""
    if not path.is_file():
        raise ValueError("no such file")
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufSU":  # numpy returns bytes for other members
            raise ValueError(f"{name} is no array of numbers")
    return arrays


def load_results(path: Path) -> Results:
    """Read results. Raises EdgeproofError for a file that is missing, damaged, or of a newer schema."""
    with reading_together(path.parent):
        return _load_results(path)


def _load_results(path: Path) -> Results:
    if not path.exists():
        raise EdgeproofError(f"{path}: no such file: measure first with `edgeproof bench run`")
    environments, rows, skipped = document.read(path)
    samples = path.with_suffix(".npz")
    try:
        return Results(environments, rows, skipped, _arrays(samples), path)
    except UNREADABLE as error:
        raise EdgeproofError(f"{path}, {samples}: damaged ({error}): remove both and measure again") from error
