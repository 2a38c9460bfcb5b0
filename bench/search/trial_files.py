"""The files of a search's trials, in build/MODEL@search/trials/: their artifacts, answers and states.

A state is what a trial goes on from; the rest of a trial is in the study (study.py).
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.search.result import Trial
from bench.search.trial import Work
from bench.search.trial_progress import TrialProgress
from common.files import replacing, write_bytes
from common.paired_accuracy import Paired

Answers = npt.NDArray[np.uint16]


class TrialFiles:
    """The files of the trials."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "trials"

    def keep(self, trial: TrialProgress, done: Work) -> None:
        """Keep what a job returned; each file is whole or is not there."""
        write_bytes(self.artifact(trial), done.artifact)
        with replacing(self._answers(trial.number)) as temporary, temporary.open("wb") as file:
            np.savez(file, answers=done.answers, truth=done.truth)
        write_bytes(self._state(trial.number), done.state)

    def artifact(self, trial: TrialProgress) -> Path:
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
