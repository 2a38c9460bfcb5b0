"""Taking rehearsals and counts into build/bench.json: rows of emulated devices, and counts beside measured rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import environment
from bench.count import Counted
from bench.emulated.device import EmulatedDevice, find_emulated
from bench.emulated.emulator import find_emulator
from bench.emulated.userspace import find_user_space
from bench.rehearse import Outcome
from bench.results import SUBJECT_FIELDS, Results, Row, results_so_far


def save_rehearsals(outcome: Outcome, devices: Sequence[EmulatedDevice], path: Path) -> None:
    """Merge rehearsed rows into a results file, each device with its environment."""
    results = results_so_far(path)
    _merge(results, outcome, devices)
    results.save(path)


def save_counts(counted: Counted, path: Path) -> list[str]:
    """Merge counts into a results file; return lines on those that found no row to stand beside.

    A count of an emulated core brings its own row, tried on few pictures: one that has seen more stays, and gets the count.
    """
    results = results_so_far(path)
    names = {rehearsal.subject.device for rehearsal in counted.emulated.rehearsals}
    fresh = Outcome(skipped=counted.emulated.skipped)
    for rehearsal in counted.emulated.rehearsals:
        new = rehearsal.measurement.to_json()
        row = _row_like(results, new, new["artifact"]["sha256"])
        if (
            row is None
            or row["accuracy"]["total"] < new["accuracy"]["total"]
            or row["runtime_version"] != new["runtime_version"]
        ):
            fresh.rehearsals.append(rehearsal)
        else:
            row["instructions"] = new["instructions"]
    _merge(results, fresh, [find_emulated(name) for name in sorted(names)])
    lines = []
    for subject, sha256, instructions in counted.here:
        row = _row_like(results, vars(subject), sha256)
        if row is None:
            lines.append(f"{subject.key}: has no row in {path}, so its count is not kept: run `python -m bench run` first")
        else:
            row["instructions"] = instructions.to_json()
    results.save(path)
    return [*lines, f"wrote {path}"]


def _pictures(row: Row) -> int:
    return int(row["accuracy"]["total"])


def _merge(results: Results, outcome: Outcome, devices: Sequence[EmulatedDevice]) -> None:
    host = results.environments.get("host")
    results.merge([rehearsal.measurement for rehearsal in outcome.rehearsals], outcome.skipped, {})
    if host is None:
        del results.environments["host"]  # nothing was measured on it
    else:
        results.environments["host"] = host
    for device in devices:
        if any(rehearsal.subject.device == device.name for rehearsal in outcome.rehearsals):
            results.environments[device.name] = describe(device)


def describe(device: EmulatedDevice) -> dict[str, Any]:
    """Return what bench.json says of an emulated device; `host` is the machine that emulated it."""
    space, emulator = find_user_space(device), find_emulator(device.qemu)
    flags = [flag for flag in device.core.features.split() if flag in environment.KERNEL_FLAGS]
    return {
        **environment.describe().to_json(),
        "cpu": f"{device.core.name} of {emulator.version} ({device.description})",
        "cpu_flags": flags,
        "cores": 1,
        "os": f"Debian {device.debian} user space {space.sha256[:12]}",
        "python": Path(space.python).name.removeprefix("python"),
        "governor": None,
        "health": {"emulated": True},
    }


def _row_like(results: Results, subject: dict[str, Any] | Row, sha256: str) -> Row | None:
    """Return the row of a subject whose artifact has this hash."""
    for row in results.rows:
        if all(row[name] == subject[name] for name in SUBJECT_FIELDS) and row["artifact"]["sha256"] == sha256:
            return row
    return None
