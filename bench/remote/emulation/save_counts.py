"""Writing counts into build/bench.json: beside measured rows, and as rows of emulated devices."""

from dataclasses import replace
from pathlib import Path

from bench.remote.emulation.count import Counted
from bench.remote.emulation.device import find_emulated
from bench.remote.emulation.environment import describe
from bench.results.integrity import results_so_far
from bench.results.measurement import Measurement
from bench.results.row import ResultRow, Subject
from bench.results.store import Results


def save_counts(counted: Counted, path: Path) -> list[str]:
    """Merge counts into a results file; return lines about those without a row.

    A count of an emulated core is a row of its own, with few pictures: a row with more pictures stays, and gets the count.
    """
    results = results_so_far(path)
    new_rows = [measured for measured in counted.emulated if not _add_to_row(results, measured)]
    lines = results.merge(new_rows, counted.skipped, None)
    for name in sorted({measured.subject.device for measured in new_rows}):
        results.environments[name] = describe(find_emulated(name))
    for subject, sha256, instructions in counted.here:
        row = _row_like(results, subject, sha256)
        if row is None:
            lines.append(f"{subject.key}: has no row in {path}, so its count is not kept: run `edgeproof bench run` first")
        else:
            results.put(replace(row, instructions=instructions))
    results.save(path)
    return [*lines, f"wrote {path} and {path.with_suffix('.npz')}"]


def _add_to_row(results: Results, measured: Measurement) -> bool:
    """Give a count to its row where that has answered at least as many pictures. False: there is no such row."""
    new = measured.row
    row = _row_like(results, new.subject, new.artifact.sha256)
    if row is None or _pictures(row) < _pictures(new) or row.runtime_version != new.runtime_version:
        return False
    results.put(replace(row, instructions=new.instructions))
    return True


def _pictures(row: ResultRow) -> int:
    return row.accuracy.total if row.accuracy else 0


def _row_like(results: Results, subject: Subject, sha256: str) -> ResultRow | None:
    """Return the row of a subject whose artifact has this hash."""
    return next((row for row in results.rows if (row.subject, row.artifact.sha256) == (subject, sha256)), None)
