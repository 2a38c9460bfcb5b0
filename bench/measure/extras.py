"""What is measured in addition to a row on request: profile, LoadGen, sustained load."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.measure import sustained_load
from bench.measure.row import Extras, HostRow, Mode, Say
from bench.measure.worker_pool import Workers
from bench.results.outcome import RowCrashed, RowRefused
from bench.runtimes import find_runtime
from bench.runtimes.support import operation_profile
from common.files import sha256_of, write_json
from common.paths import BUILD


def measure_extras(rows: Sequence[HostRow], workers: Workers, mode: Mode, extras: Extras, say: Say) -> None:
    """Measure what is asked for in addition, of each row that was measured: LoadGen, then profiles, then sustained load."""
    logs = extras.loadgen_folder
    if logs is not None:
        for row in rows:
            if row.reason is None:
                _tried(row, lambda row: _run_under_loadgen(row, workers, mode, logs.resolve() / row.subject.key, say), say)
    for row in rows:
        if extras.profile and row.reason is None:
            _tried(row, lambda row: _profile(row, workers, say), say)
    for row in rows:
        if extras.sustain_s and row.reason is None:
            _tried(row, lambda row: _sustain(row, workers, extras.sustain_s, say), say)


def _tried(row: HostRow, extra: Callable[[HostRow], None], say: Say) -> None:
    """Do an extra measurement of a row; if it fails, the row stays as it was measured."""
    try:
        extra(row)
    except RowRefused as refusal:
        say(f"  {row.subject.key}: {refusal}")
    except RowCrashed as crash:
        row.crashed = True
        say(f"  {row.subject.key}: {crash}")


def _profile(row: HostRow, workers: Workers, say: Say) -> None:
    with workers.result_of(row.job("profile")) as result:
        operations = json.loads(str(result["operations"]))
        version = str(result["runtime_version"])
    path = _beside(row, "profile")
    about = {"subject": row.subject.to_json(), "runtime_version": version, "artifact_sha256": sha256_of(row.found.path)}
    note = getattr(find_runtime(row.subject.runtime), "PROFILE_NOTE", "as the runtime reports it")
    write_json(path, {**about, "note": note, "operations": operations})
    say(f"profile of {row.subject.key}, in {path}")
    say(f"  ({note})")
    for line in operation_profile.text([operation_profile.Operation(**entry) for entry in operations]):
        say(line)


def _run_under_loadgen(row: HostRow, workers: Workers, mode: Mode, folder: Path, say: Say) -> None:
    job = row.job("loadgen", queries=mode.queries, duration_ns=int(mode.duration_s * 1e9), loadgen=str(folder))
    with workers.result_of(job) as result:
        row.loadgen = json.loads(str(result["loadgen"]))
    p90_ms = row.loadgen["p90_ms"]
    p90 = "too few queries for a p90" if p90_ms is None else f"p90 {p90_ms:.4f} ms"
    verdict = "valid" if row.loadgen["valid"] else "INVALID"
    say(f"  {row.subject.key}: LoadGen: {verdict}, {row.loadgen['queries']:,} queries, {p90}")


def _sustain(row: HostRow, workers: Workers, seconds: float, say: Say) -> None:
    """Keep a row busy and print each minute as it ends; finished minutes are on disk, whatever happens later."""
    path = _beside(row, "sustain")
    finished: list[sustained_load.Minute] = []
    say(f"sustained load of {row.subject.key} for {seconds:,.0f} s, into {path}")
    say("  " + "  ".join(sustained_load.COLUMNS))
    try:
        for line in workers.lines_of(row.job("sustain", duration_ns=int(seconds * 1e9))):
            finished.append(sustained_load.Minute.from_json(line))
            minutes = [minute.to_json() for minute in finished]
            write_json(
                path, {"subject": row.subject.to_json(), "verdict": sustained_load.verdict(finished), "minutes": minutes}
            )
            say(sustained_load.line(finished[-1]))
    finally:
        say(f"  {sustained_load.verdict(finished)}")


def _beside(row: HostRow, kind: str) -> Path:
    return BUILD / kind / f"{row.subject.key.replace('/', '-')}.json"
