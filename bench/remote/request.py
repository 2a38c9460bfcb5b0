"""What a run on devices is asked for, and what comes back from each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.artifacts.find import Artifact
from bench.machine.environment import Environment
from bench.measure.row import Mode, PendingRow
from bench.remote.golden_check import HostAnswers
from bench.remote.picture_shards import DevicePictures, DevicePictureStore
from bench.results.measurement import AnswerCounts, Measurement
from bench.results.row import Golden, Skipped
from convert.deployment.target import Wheel, wheels

Say = Callable[[str], None]


@dataclass(frozen=True)
class DeviceOutcome:
    """The result of a run on one device."""

    device: str
    measured: list[Measurement]
    skipped: list[Skipped]
    environment: Environment | None  # None: the device was never reached
    failures: list[str]  # one line for each: device lost, row crashed, golden pictures answered differently


def outcome_of(
    device: str,
    measured: Sequence[Measurement],
    unfinished: Sequence[PendingRow],
    proofs: Iterable[tuple[str, Golden | None]],
    lost: str | None,
    environment: Environment | None,
) -> DeviceOutcome:
    """Collect the rows that a device finished and why others are missing; `proofs`: the golden pictures of each row's key.

    A row without a reason is not skipped, only not done: the run was interrupted.
    """
    reasons = [(row.subject, row.reason or lost) for row in unfinished]
    failures = [] if lost is None else [f"{device}: lost: {lost}"]
    failures += [f"{row.subject.key}: {row.reason}" for row in unfinished if row.crashed]
    failures += [f"{key}: {golden.text}" for key, golden in proofs if golden is not None and golden.deviations]
    skipped = [Skipped(subject, reason) for subject, reason in reasons if reason is not None]
    return DeviceOutcome(device, list(measured), skipped, environment, failures)


@dataclass(frozen=True)
class Request:
    """What to measure, the same for all devices of a run."""

    artifacts: Sequence[Artifact]
    runtimes: Sequence[str]  # empty: all that open the file and exist for the device
    mode: Mode
    threads: Sequence[int]
    pictures: DevicePictureStore
    reference: Callable[[Artifact, str], npt.NDArray[np.uint16] | None]  # Keras's answers to a test part, by its hash
    offline: bool = False
    max_pictures: int | None = None  # of each row; None: as many as there is time for
    refuse_another_machine: Callable[[Environment, str], None] = lambda _, __: None  # than the one that earlier rows are of
    golden_here: HostAnswers = field(default_factory=HostAnswers)
    seed: int = 0

    @property
    def wanted(self) -> list[tuple[Artifact, Wheel]]:
        """Return every artifact with each of the runtimes that open its format and were requested."""
        return [
            (found, wheel)
            for found in self.artifacts
            for wheel in wheels()
            if wheel.format == found.format and wheel.runtime in (self.runtimes or {wheel.runtime})
        ]

    def answer_counts(self, found: Artifact, pictures: DevicePictures, predictions: npt.NDArray[np.uint16]) -> AnswerCounts:
        """Count right answers to the first pictures, and those equal to Keras's, on the pictures that both have answered.

        Pictures without labels are not counted.
        """
        if not pictures.split.labelled:
            return AnswerCounts(0, 0)
        count = len(predictions)
        reference = self.reference(found, pictures.split.sha256)
        common = 0 if reference is None else min(len(reference), count)
        agree = None if reference is None or not common else int((reference[:common] == predictions[:common]).sum())
        correct = int((predictions == pictures.labels[:count]).sum())
        return AnswerCounts(correct, count, agree, common, pictures.split.sha256)
