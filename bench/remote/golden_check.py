"""A device's answers to the golden pictures inside an artifact, compared with this machine's."""

import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from bench.artifacts.find import Artifact
from bench.measure.golden_comparison import deviations, worst_difference
from bench.measure.phases import Phases, result_of, run_host
from bench.results.outcome import RowCrashed
from bench.results.row import Golden
from device.errors import EdgeproofError


class HostAnswers:
    """The answers of this machine, computed once for all devices of a run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Mapping[str, Any] | None] = {}

    def of(self, found: Artifact, runtime: str) -> Mapping[str, Any] | None:
        """Return the result of phase_worker.py on this machine, or None where the artifact does not run in the runtime."""
        key = (str(found.path), runtime)
        with self._lock:
            if key not in self._kept:
                try:
                    self._kept[key] = run_host([], job(found, runtime, 1))
                except EdgeproofError:
                    self._kept[key] = None
            return self._kept[key]


def job(found: Artifact, runtime: str, threads: int, files: Sequence[str] = ()) -> Phases:
    """Return the job for phase_worker.py: the self-test, the scores of each golden picture, and `files` answered."""
    golden = bool(found.card.document.get("golden"))
    return Phases(found.path, runtime, threads, inferences=0, golden=golden, files=tuple(files))


def read_marked(ran: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of bench/measure/phase_worker.py on a device. Raises RowRefused or RowCrashed."""
    process = subprocess.CompletedProcess([], int(ran["code"]), str(ran["output"]), str(ran["errors"]))
    try:
        return result_of(process, "the device")
    except ValueError as error:
        raise RowCrashed(str(error)) from error


def compare(found: Artifact, remote: dict[str, Any], local: Mapping[str, Any] | None) -> Golden | None:
    """Compare a device's answers with the card's and this machine's; None where the card has no golden pictures.

    Raises RowCrashed for invalid answers.
    """
    pictures = len(found.card.document.get("golden") or [])
    if not pictures:
        return None
    try:
        if local is None:
            return Golden(pictures, tuple(f"self-test: {check}" for check in remote["failed_checks"]), None, None)
        wrong = deviations(found, remote, dict(local))
        name = f"{local['runtime']} {local['runtime_version']}"
        return Golden(pictures, tuple(wrong), worst_difference(remote, dict(local)), name)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RowCrashed(f"gave invalid answers to the golden pictures ({error!r})") from error
