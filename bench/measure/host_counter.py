"""Counting instructions on this machine: by its hardware counters where perf can read them, else by valgrind.

Neither is exact to the instruction, as an emulated core's counts are: they depend on the host's files and kernel.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.measure.phase_worker import FIRST, IMPORTED, LOADED, READY, START
from bench.measure.phases import WORKER, Phases, job_file, result_of, run_command, run_host
from bench.results.instruction_counts import Instructions, of_marks
from bench.results.outcome import RowRefused
from bench.results.row import HOST
from common.python_process import module_command


def count_here(phases: Phases) -> Instructions:
    """Count a job's instructions on this machine: by hardware counters, else by valgrind. Raises RowRefused without both."""
    if perf_counts() is not None:
        return _count_with_perf(phases)
    if shutil.which("valgrind"):
        return _count_with_valgrind(phases)
    raise RowRefused("perf finds no instruction counter here and valgrind is not installed: apt install valgrind")


def perf_counts() -> str | None:
    """Return perf's version if it can count instructions on this machine."""
    try:
        return None if _perf(["true"])[0] is None else _first_line(["perf", "--version"])
    except OSError:
        return None


def _count_with_perf(phases: Phases) -> Instructions:
    """Count by difference: runs that stop after each phase, and two runs of different lengths."""
    totals = []
    more = phases.inferences
    for stop_after, inferences in ((START, 0), (IMPORTED, 0), (LOADED, 0), (READY, 0), (FIRST, 0), (FIRST, more)):
        job = replace(phases, stop_after=stop_after, inferences=inferences, golden=False, pictures=None)
        with job_file(job) as path:
            count, result = _perf(module_command(WORKER, path))
        result_of(result, "this machine")
        if count is None:
            raise RowRefused("perf lost its counter while counting: close other profilers and count again")
        totals.append(count)
    start, imported, loaded, ready, first, last = totals
    per_inference = (last - first) // more
    steady = [first + per_inference * number for number in range(1, more + 1)]
    return of_marks([start, imported, loaded, ready, first, *steady], HOST, perf_counts() or "perf", None)


def _perf(command: Sequence[str]) -> tuple[int | None, subprocess.CompletedProcess[str]]:
    """Run a command under perf; return the instructions that it executed in user space, None where perf cannot count."""
    with tempfile.NamedTemporaryFile(mode="r", suffix=".csv") as counts:
        perf = ["perf", "stat", "-x,", "-e", "instructions:u", "-o", counts.name, "--", *command]
        result = run_command(perf)
        found = re.search(r"^(\d+),[^,]*,instructions", counts.read(), re.MULTILINE)
    return (int(found[1]) if found else None), result


def _count_with_valgrind(phases: Phases) -> Instructions:
    """Count with callgrind, which writes a part of its profile at each call of getppid, which is the mark."""
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as name:
        profile = Path(name) / "callgrind"
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", "--dump-before=getppid"]
        job = replace(phases, marks="getppid", stop_after=FIRST, golden=False, pictures=None)
        run_host(valgrind, job)
        parts = sorted(Path(name).glob("callgrind.*"), key=lambda path: int(path.suffix[1:]))
        counts = [_callgrind_total(path) for path in parts]
    totals = [sum(counts[: number + 1]) for number in range(len(counts))]
    if len(totals) != FIRST + 1 + phases.inferences:
        raise RowRefused(
            f"valgrind saw {len(totals)} of {FIRST + 1 + phases.inferences} marks: this Python does not call getppid"
        )
    return of_marks(totals, HOST, _first_line(["valgrind", "--version"]), None)


def _callgrind_total(path: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", path.read_text(errors="replace"), re.MULTILINE)
    return int(found[1]) if found else 0


def _first_line(command: Sequence[str]) -> str:
    lines = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.splitlines()
    return lines[0].strip() if lines else command[0]
