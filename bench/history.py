"""The trend: one line of JSON a row and run, appended beside bench.json, and read back for the report."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.evidence import accuracy_of
from bench.results import SUBJECT_FIELDS, Row
from device.classify import EdgeproofError
from train.files import held_folder, write_bytes

SCHEMA = 1
NUMBERS = ("p50_ms", "size_bytes")


@dataclass(frozen=True)
class History:
    """What a history file holds, and what of it could not be read."""

    lines: tuple[dict[str, Any], ...]  # oldest first
    damaged: int

    @property
    def runs(self) -> int:
        """Return how many runs there are."""
        return len({line["time"] for line in self.lines})


def path_beside(results: Path) -> Path:
    """Return the history's path beside bench.json or bench@NAME.json."""
    return results.with_name(results.stem.replace("bench", "history", 1) + ".jsonl")


def lines_of(rows: Sequence[Row], environment: dict[str, Any], time: datetime | None = None) -> list[dict[str, Any]]:
    """Return a line for each row of a run."""
    stamp = (time or datetime.now(UTC)).isoformat(timespec="seconds")
    machine = {name: environment.get(name) for name in ("host", "cpu", "cores")}
    return [
        {
            "schema": SCHEMA,
            "time": stamp,
            "commit": environment.get("git_commit"),
            **machine,
            **{name: row[name] for name in (*SUBJECT_FIELDS, "runtime_version")},
            "p50_ms": row["latency"]["p50_ms"],
            "ci95_p50_ms": row["latency"]["ci95_p50_ms"],
            "valid": row["latency"]["valid"],
            "top1": row["accuracy"]["top1"] if accuracy_of(row) else None,
            "ci95_top1": row["accuracy"]["ci95"] if accuracy_of(row) else None,
            "size_bytes": row["artifact"]["size_bytes"],
        }
        for row in rows
    ]


def append(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Append lines: all or none of them, whatever else appends at the same time. What is there stays as it is."""
    if not lines:
        return
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()
    with held_folder(path.parent):  # the file itself is replaced, so a lock on it would hold nobody
        try:
            before = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise EdgeproofError(f"{path}: cannot be read: {error.strerror}") from error
        write_bytes(path, before + (b"\n" if before and not before.endswith(b"\n") else b"") + text)


def load_history(path: Path) -> History:
    """Read a history; lines that are none are counted and left out. Raises EdgeproofError for a file that is missing."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise EdgeproofError(f"{path}: cannot be read ({error.strerror}): `python -m bench run` writes it") from error
    found, damaged = [], 0
    for line in text.splitlines():
        entry = _entry(line)
        if entry is not None:
            found.append(entry)
        elif line.strip():
            damaged += 1
    return History(tuple(sorted(found, key=lambda entry: str(entry["time"]))), damaged)


def _entry(line: str) -> dict[str, Any] | None:
    """Return what a line holds, or None where that is not what this version writes."""
    try:
        entry = json.loads(line)
        whole = (
            entry["schema"] == SCHEMA
            and all(math.isfinite(entry[name]) and entry[name] > 0 for name in NUMBERS)
            and all(isinstance(entry[name], str) for name in ("time", "model", "variant", "format", "runtime", "device"))
            and datetime.fromisoformat(entry["time"]).tzinfo is not None
            and len(entry["ci95_p50_ms"]) == 2
            and {"name", "accelerator", "threads", "top1", "ci95_top1", "commit", "valid"} <= set(entry)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if whole else None
