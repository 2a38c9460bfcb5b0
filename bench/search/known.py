"""What is known of one trial while the search runs, and where it is kept: build/MODEL@search/trials/.

A trial's answers, its artifact and the state from which it can go on are files; the rest is in the study (study.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.search.result import Setting, Trial
from bench.search.trial import Work
from common.files import replacing, write_bytes
from common.paired_accuracy import Paired

ON_THE_WAY = ("rung", "shown", "seconds", "cpu_s", "epochs", "correct", "total", "figures")
Answers = npt.NDArray[np.uint16]


@dataclass
class Known:
    """A trial that was begun: how far it is, and what it showed on the way."""

    number: int
    settings: Mapping[str, Setting]
    variant: str
    runtime: str
    rung: int = 0  # how many rungs it has reached
    shown: list[float] = field(default_factory=list)  # its accuracy at each rung
    seconds: float = 0.0
    cpu_s: float = 0.0
    epochs: int = 0
    correct: int | None = None  # of `total` validation pictures, after so many epochs
    total: int | None = None
    figures: dict[str, float] = field(default_factory=dict)
    trial: Trial | None = None  # how it ended; None: it runs

    def to_json(self) -> dict[str, object]:
        """Return what the study keeps of a trial on its way."""
        return {name: getattr(self, name) for name in ON_THE_WAY}


class Files:
    """The files of the trials."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "trials"

    def keep(self, trial: Known, done: Work) -> None:
        """Keep what a job returned; each file is whole or is not there."""
        write_bytes(self.artifact(trial), done.artifact)
        with replacing(self._answers(trial.number)) as temporary, temporary.open("wb") as file:
            np.savez(file, answers=done.answers, truth=done.truth)
        write_bytes(self._state(trial.number), done.state)

    def artifact(self, trial: Known) -> Path:
        """Return the path of a trial's artifact."""
        return self._folder / f"{trial.number}.{trial.variant}"

    def state(self, number: int) -> bytes | None:
        """Return from where a trial can go on; None: from the start."""
        path = self._state(number)
        return path.read_bytes() if path.is_file() else None

    def forget_state(self, number: int) -> None:
        """Remove the state of a trial that has ended."""
        self._state(number).unlink(missing_ok=True)

    def paired(self, one: Trial, other: Trial) -> Paired | None:
        """Compare two trials picture by picture on the validation pictures; None where answers are missing."""
        found, others = self._read(one.number), self._read(other.number)
        if found is None or others is None or len(found[0]) != len(others[0]):
            return None
        first, truth = (array.astype(np.int64) for array in found)
        return Paired.of(first, others[0].astype(np.int64), truth)

    def _read(self, number: int) -> tuple[Answers, Answers] | None:
        path = self._answers(number)
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["answers"], arrays["truth"]

    def _answers(self, number: int) -> Path:
        return self._folder / f"{number}.answers.npz"

    def _state(self, number: int) -> Path:
        return self._folder / f"{number}.state.tar"
