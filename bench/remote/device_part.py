"""One device's part of a run: whatever happens on it, its finished rows are kept, and other devices lose nothing."""

import threading
import traceback
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, TypeVar

from bench.machine.environment import Environment
from bench.measure.row import PendingRow
from bench.remote.device_config import Device
from bench.remote.device_rows import DeviceMeasurement
from bench.remote.request import DeviceOutcome, Request, Say, outcome_of
from bench.results.row import Golden
from device.errors import EdgeproofError

PartRow = TypeVar("PartRow", bound=PendingRow)


class DevicePart(ABC, Generic[PartRow]):
    """What all kinds of devices do with their rows, and with what they do not survive."""

    rows: list[PartRow]

    def __init__(self, device: Device, request: Request, say: Say, stopping: threading.Event) -> None:
        self._device, self._request, self._say, self._stopping = device, request, say, stopping

    def measure(self) -> DeviceOutcome:
        """Measure every row; failures are part of the outcome, also those that nobody has thought of."""
        lost = self._why_lost()
        if self._stopping.is_set():  # in an interrupted run the other rows are not skipped, only not done
            lost = None
        elif lost is not None:
            self._say(f"lost: {lost}")
        try:
            return self._outcome(lost)
        except Exception as error:
            return outcome_of(self._device.name, [], self.rows, [], lost or defect_text(error), None)

    @abstractmethod
    def stop(self) -> None:
        """End what runs for this device; called from another thread."""

    @abstractmethod
    def _measure_rows(self) -> None:
        """Measure every row. Raises EdgeproofError where the device cannot be used, or no longer."""

    @abstractmethod
    def _finished(self, row: PartRow) -> DeviceMeasurement | None:
        """Return what was measured of a row, or None where it is not finished."""

    @abstractmethod
    def _describe(self) -> Environment | None:
        """Return the device's environment; None where it was never reached."""

    @abstractmethod
    def _golden_of(self, row: PartRow) -> Golden | None:
        """Return how a row answered its golden pictures; None where it has not, or has none."""

    def _why_lost(self) -> str | None:
        try:
            self._measure_rows()
        except (EdgeproofError, OSError) as error:
            return str(error)
        except Exception as error:
            return defect_text(error)
        return None

    def _outcome(self, lost: str | None) -> DeviceOutcome:
        finished = [self._finished(row) for row in self.rows]
        measured = [one for one in finished if one is not None]
        unfinished = [row for row, one in zip(self.rows, finished, strict=True) if one is None]
        proofs = [(row.subject.key, self._golden_of(row)) for row in self.rows]
        described = self._describe() if measured or lost is None else None
        return outcome_of(self._device.name, measured, unfinished, proofs, lost, described)


def defect_text(error: Exception) -> str:
    """Say that edgeproof itself is at fault, and where."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return f"a defect of edgeproof ({type(error).__name__}: {error}; {where}): please report it with this line"
