"""A device's part of a run, where something happens that nobody has thought of."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bench.artifacts.find import find_artifacts
from bench.machine.environment import Environment
from bench.measure.row import MODES, PendingRow
from bench.remote import side_by_side
from bench.remote.browser.run import BrowserRun
from bench.remote.device_config import Device
from bench.remote.device_part import DevicePart
from bench.remote.device_rows import DeviceMeasurement
from bench.remote.microcontroller.run import InterpreterRun
from bench.remote.picture_shards import DevicePictureStore
from bench.remote.request import DeviceOutcome, Request
from bench.remote.run import DeviceRun
from bench.results.row import Golden, Subject
from bench.results.store import Results
from device.errors import EdgeproofError
from tests.support.models.model_files import READY
from tests.support.results_builder import ENVIRONMENT, measurement

REQUEST = Request([], [], MODES["rapid"], [1], DevicePictureStore(None), lambda *_: None)


@dataclass(kw_only=True)
class Row(PendingRow):
    """A row that is measured once `done` is set."""

    done: bool = False


class Part(DevicePart[Row]):
    """A device with two rows: the first is measured, then `happens` is called, then the second is measured."""

    def __init__(self, name: str, happens: Callable[[], object], stopping: threading.Event | None = None) -> None:
        self.said: list[str] = []
        super().__init__(Device(name, "d"), REQUEST, self.said.append, stopping or threading.Event())
        self._happens = happens
        (found,) = find_artifacts([READY])
        self.rows = [Row(found=found, subject=Subject("m", None, v, "tflite", "litert", name, "cpu", 1)) for v in ("a", "b")]

    def stop(self) -> None:
        pass

    def _measure_rows(self) -> None:
        self.rows[0].done = True
        self._happens()
        self.rows[1].done = True

    def _finished(self, row: Row) -> DeviceMeasurement | None:
        made = measurement()
        return (
            DeviceMeasurement(
                subject=row.subject,
                artifact=made.artifact,
                runtime_version="1.0",
                answers=made.answers,
                startup=made.startup,
                warmup_calls=1,
                peak_rss_bytes=1,
                samples=made.samples,
            )
            if row.done
            else None
        )

    def _golden_of(self, row: Row) -> Golden | None:
        return Golden(1, (), None, None) if row.done else None

    def _describe(self) -> Environment | None:
        return ENVIRONMENT


class Uncountable(Part):
    """A device whose rows cannot even be collected."""

    def _finished(self, row: Row) -> DeviceMeasurement | None:
        raise KeyError(row.subject.key)


def fails(error: Exception) -> Callable[[], object]:
    def happens() -> None:
        raise error

    return happens


def outcomes(*parts: DevicePart[Row]) -> dict[str, DeviceOutcome]:
    parts_of_any_kind: list[side_by_side.AnyRun] = list(parts)
    return {found.device: found for found in side_by_side._run_group(parts_of_any_kind, threading.Event())}


def test_every_kind_of_device_is_guarded_in_the_same_way() -> None:
    """No kind has a `measure` of its own, which an exception could leave."""
    for kind in (DeviceRun, InterpreterRun, BrowserRun):
        assert kind.measure is DevicePart.measure


def test_an_exception_that_nobody_thought_of_loses_the_unfinished_rows_of_its_device_alone() -> None:
    """The finished row of the device is kept, the reason says that edgeproof is at fault, others keep all rows."""
    broken = Part("broken", fails(KeyError("SwapTotal")))
    found = outcomes(broken, Part("fine", lambda: None))
    assert [one.subject.variant for one in found["fine"].measured] == ["a", "b"]
    assert found["fine"].failures == []
    assert [one.subject.variant for one in found["broken"].measured] == ["a"]
    (skipped,) = found["broken"].skipped
    assert skipped.subject.variant == "b"
    assert skipped.reason.startswith("a defect of edgeproof (KeyError: 'SwapTotal'; test_device_part.py, line ")
    assert skipped.reason.endswith("please report it with this line")
    assert found["broken"].failures == [f"broken: lost: {skipped.reason}"]
    assert broken.said == [f"lost: {skipped.reason}"]


def test_the_kept_rows_of_a_lost_device_come_with_its_environment() -> None:
    results, found = Results(), outcomes(Part("broken", fails(ValueError("x"))))["broken"]
    results.merge(found.measured, found.skipped, found.environment, device="broken")
    assert list(results.environments) == ["broken"]


def test_rows_that_cannot_be_collected_are_lost_with_the_reason() -> None:
    found = outcomes(Uncountable("broken", lambda: None), Part("fine", lambda: None))
    assert len(found["fine"].measured) == 2
    assert found["broken"].measured == []
    assert [skip.reason.startswith("a defect of edgeproof (KeyError") for skip in found["broken"].skipped] == [True, True]


@pytest.mark.parametrize("error", [EdgeproofError("unplugged"), OSError("unplugged")], ids=["device", "this machine"])
def test_what_is_no_fault_of_edgeproof_is_not_called_one(error: Exception) -> None:
    (skipped,) = outcomes(Part("board", fails(error)))["board"].skipped
    assert skipped.reason == "unplugged"


def test_what_an_interruption_breaks_is_not_done_and_no_failure() -> None:
    stopping = threading.Event()
    stopping.set()
    found = Part("board", fails(ValueError("closed file")), stopping).measure()
    assert (len(found.measured), found.skipped, found.failures) == (1, [], [])
