"""The trend: one line of JSON for each row of each run, appended to a file beside bench.json, and read for the report."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from bench.machine.environment import Environment
from bench.results.row import Estimate, ResultRow, Subject
from common.files import held_folder, write_bytes
from common.json_record import Defect, Flat, Record
from device.errors import EdgeproofError

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class HistoryLine(Record):
    """A row of one run."""

    schema: int
    time: str  # ISO 8601, with its zone
    commit: str | None
    host: str | None = None
    cpu: str | None = None
    cores: float | None = None
    subject: Annotated[Subject, Flat()]
    runtime_version: str | None = None
    p50: Annotated[Estimate, Flat(ms="p50_ms", ci95="ci95_p50_ms")]
    valid: bool
    top1: float | None  # 0..1
    ci95_top1: tuple[float, float] | None
    size_bytes: float

    def defects(self) -> Iterator[Defect]:
        """Yield what is impossible: another schema; values on a logarithmic axis must be above 0."""
        if self.schema != SCHEMA:
            yield Defect("schema", self.schema, str(SCHEMA))
        if not self.p50.ms > 0:
            yield Defect("p50_ms", self.p50.ms, "more than 0")
        if not self.size_bytes > 0:
            yield Defect("size_bytes", self.size_bytes, "more than 0")
        if datetime.fromisoformat(self.time).tzinfo is None:
            yield Defect("time", self.time, "a time with its zone")


@dataclass(frozen=True)
class History:
    """The content of a history file, and the number of unreadable lines."""

    lines: tuple[HistoryLine, ...]  # oldest first
    damaged: int

    @property
    def runs(self) -> int:
        """Return how many runs there are."""
        return len({line.time for line in self.lines})


def path_beside(results: Path) -> Path:
    """Return the history's path beside bench.json or bench@NAME.json."""
    return results.with_name(results.stem.replace("bench", "history", 1) + ".jsonl")


def lines_of(rows: Sequence[ResultRow], environment: Environment, time: datetime | None = None) -> list[HistoryLine]:
    """Return a line for each row of a run."""
    stamp = (time or datetime.now(UTC)).isoformat(timespec="seconds")
    return [
        HistoryLine(
            schema=SCHEMA,
            time=stamp,
            commit=environment.git_commit,
            host=environment.host,
            cpu=environment.cpu,
            cores=environment.cores,
            subject=row.subject,
            runtime_version=row.runtime_version,
            p50=row.latency.p50,
            valid=row.latency.valid,
            top1=row.accuracy.top1 if row.accuracy else None,
            ci95_top1=row.accuracy.ci95 if row.accuracy else None,
            size_bytes=row.artifact.size_bytes,
        )
        for row in rows
    ]


def append(path: Path, lines: Sequence[HistoryLine]) -> None:
    """Append lines: all or none of them, also while another process appends. Existing lines stay as they are."""
    if not lines:
        return
    text = "".join(json.dumps(line.to_json(), allow_nan=False) + "\n" for line in lines).encode()
    with held_folder(path.parent):  # the file itself is replaced, so a lock on it would not work
        try:
            before = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise EdgeproofError(f"{path}: cannot be read: {error.strerror}") from error
        write_bytes(path, before + (b"\n" if before and not before.endswith(b"\n") else b"") + text)


def load_history(path: Path) -> History:
    """Read a history; invalid lines are counted and left out. Raises EdgeproofError for a file that is missing."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise EdgeproofError(f"{path}: cannot be read ({error.strerror}): `edgeproof bench run` writes it") from error
    found, damaged = [], 0
    for line in text.splitlines():
        entry = _entry(line)
        if entry is not None:
            found.append(entry)
        elif line.strip():
            damaged += 1
    return History(tuple(sorted(found, key=lambda entry: entry.time)), damaged)


def _entry(line: str) -> HistoryLine | None:
    """Return the record of a line, or None where this version did not write it."""
    try:
        return HistoryLine.from_json(json.loads(line), "line")
    except (ValueError, RecursionError):  # Damaged is a ValueError
        return None
