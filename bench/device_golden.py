"""What a device answers to the golden pictures inside an artifact, held against what this machine answers."""

import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.artifacts import Found
from bench.device_answers import RowCrashed, RowRefused
from bench.phases import Phases, Refused, result_of, run_here
from bench.rehearse import deviations, worst_difference
from device.classify import EdgeproofError


@dataclass(frozen=True)
class Golden:
    """How the golden pictures were answered."""

    pictures: int
    deviations: tuple[str, ...]  # where an answer is not what stands in the card or what this machine says
    worst_score: float | None  # the largest difference to this machine; None where the runtime is not here
    here: str | None  # the runtime that it was held against

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "deviations": list(self.deviations)}

    @property
    def text(self) -> str:
        """Say in a line how it went."""
        if self.deviations:
            return "FAIL: " + "; ".join(self.deviations)
        beside = "the runtime is not here to compare with" if self.worst_score is None else f"within {self.worst_score:.2g}"
        return f"PASS: {self.pictures} golden pictures, {beside}"


class HostAnswers:
    """The answers of this machine, asked for once for all devices that are measured side by side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Mapping[str, Any] | None] = {}

    def of(self, found: Found, runtime: str) -> Mapping[str, Any] | None:
        """Return what bench/marked.py brings here, or None where the artifact does not run in the runtime here."""
        key = (str(found.path), runtime)
        with self._lock:
            if key not in self._kept:
                try:
                    self._kept[key] = run_here(job(found, runtime, 1)).result
                except EdgeproofError:
                    self._kept[key] = None
            return self._kept[key]


def job(found: Found, runtime: str, threads: int, files: Sequence[str] = ()) -> Phases:
    """Return the job for bench/marked.py: the self-test, the scores of each golden picture, and `files` answered."""
    golden = bool(found.card.document.get("golden"))
    return Phases(found.path, runtime, threads, inferences=0, golden=golden, files=tuple(files))


def read_marked(ran: Mapping[str, Any]) -> dict[str, Any]:
    """Return what bench/marked.py brought on a device. Raises RowRefused or RowCrashed."""
    process = subprocess.CompletedProcess([], int(ran["code"]), str(ran["output"]), str(ran["errors"]))
    try:
        return result_of(process, "there")
    except Refused as refusal:
        raise RowRefused(str(refusal)) from refusal
    except (EdgeproofError, ValueError) as error:
        raise RowCrashed(str(error)) from error


def compare(found: Found, there: dict[str, Any], here: Mapping[str, Any] | None) -> Golden | None:
    """Hold a device's answers against the card's and this machine's; None where the card has no golden pictures.

    Raises RowCrashed for answers that are none.
    """
    pictures = len(found.card.document.get("golden") or [])
    if not pictures:
        return None
    try:
        if here is None:
            return Golden(pictures, tuple(f"self-test: {check}" for check in there["failed_checks"]), None, None)
        wrong = deviations(found, there, dict(here))
        name = f"{here['runtime']} {here['runtime_version']}"
        return Golden(pictures, tuple(wrong), worst_difference(there, dict(here)), name)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RowCrashed(f"answered the golden pictures with what is no answer ({error!r})") from error
