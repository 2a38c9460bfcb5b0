"""Optuna: it proposes the settings of the next trial, and its journal keeps every trial, whatever ends the search.

The journal is a file that only grows: a line for each change, flushed to the disk. A line that a power cut left unfinished
is cut off when the search goes on.
"""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.search.result import Setting, Trial
from bench.search.space import Choice, Range
from bench.search.spec import SearchSpec
from bench.search.trial_progress import TrialProgress
from common.files import cannot_write
from common.json_record import Damaged
from device.errors import EdgeproofError

if TYPE_CHECKING:
    import optuna

FILE = "trials.journal"
NAME = "search"
SCHEMA = 1
ARTIFACT = "artifact"  # the axis of variant and runtime
BETWEEN = " in "
STARTUP_TRIALS = 8  # drawn at random before the sampler has something to go by


class Study:
    """The trials of one search, as Optuna keeps them."""

    def __init__(self, folder: Path, spec: SearchSpec) -> None:
        """Open the folder's study, or begin one.

        Raises EdgeproofError for one of another version or another specification, and for a damaged journal.
        """
        import optuna
        from optuna.storages.journal import JournalFileBackend

        self._space, self._path = spec.space, folder / FILE
        folder.mkdir(parents=True, exist_ok=True)
        is_new = not self._path.exists()
        if not is_new:
            _cut_unfinished_line(self._path)
        with suppress(FileNotFoundError):
            Path(f"{self._path}.lock").unlink()  # of a killed search: this one holds the folder
        with self._reading(), _quiet():
            backend = JournalFileBackend(str(self._path))
            self._study = optuna.create_study(
                storage=optuna.storages.JournalStorage(backend),
                study_name=NAME,
                directions=["maximize", "minimize"],
                load_if_exists=True,
            )
            asked = {"schema": SCHEMA, **json.loads(json.dumps(spec.to_json()))}
            if is_new:
                self._study.set_user_attr("question", asked)
                if spec.space.first:
                    self._study.enqueue_trial(dict(spec.space.first))
            self._check(self._study.user_attrs.get("question"), asked)
            self._study.sampler = sampler(spec.seed + len(self._study.trials))
        self._axes = {name: _distribution(axis) for name, axis in spec.space.axes.items()}
        names = tuple(BETWEEN.join(artifact) for artifact in spec.space.artifacts)
        self._axes[ARTIFACT] = optuna.distributions.CategoricalDistribution(names)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what a damaged journal makes Optuna raise into one line."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise EdgeproofError(
                f"{self._path}: is no readable journal of a search ({str(error)[:80]}): remove its folder and search again"
            ) from error

    def _check(self, found: Any, asked: Mapping[str, Any]) -> None:
        schema = found.get("schema") if isinstance(found, dict) else None
        if schema != SCHEMA:
            raise EdgeproofError(
                f"{self._path}: schema is {schema!r}, this version reads {SCHEMA}: remove its folder, or give another --name"
            )
        for key, value in asked.items():
            if found.get(key) != value:
                raise EdgeproofError(
                    f"{self._path}: that search was asked with another {key} ({found.get(key)!r:.60}, not {value!r:.60}): "
                    "give the same options, or another --name"
                )

    def trials(self) -> list[TrialProgress]:
        """Return all trials that were begun, those of an interrupted search too. Raises EdgeproofError for a damaged one."""
        with self._reading(), _quiet():
            begun = [one for one in self._study.trials if one.state.name != "WAITING" and "same" not in one.user_attrs]
            for one in (trial for trial in begun if not trial.state.is_finished()):
                if "trial" in one.user_attrs or ARTIFACT not in one.params:  # killed while it ended, or was proposed
                    self._finish(one.number, one.user_attrs.get("values"))
            return [_progress_of(one) for one in begun if ARTIFACT in one.params]

    def ask(self) -> TrialProgress:
        """Begin a trial and return it."""
        with self._writing():
            asked = self._study.ask(self._axes)
        settings = {name: value for name, value in asked.params.items() if name != ARTIFACT}
        variant, _, runtime = asked.params[ARTIFACT].partition(BETWEEN)
        return TrialProgress(asked.number, settings, variant, runtime)

    def note(self, trial: TrialProgress) -> None:
        """Keep how far a trial is."""
        self._set(trial.number, "progress", trial.to_json())

    def tell(self, trial: TrialProgress, values: tuple[float, float] | None, excess: Sequence[float]) -> None:
        """End a trial: with its accuracy, its figure and by how much it breaks each limit; None: it failed.

        A pruned trial is told with what it showed when it stopped, since that is what the sampler learns from.
        """
        assert trial.trial is not None
        self._set(trial.number, "excess", list(excess))
        self._set(trial.number, "values", values)
        self._set(trial.number, "trial", trial.trial.to_json())
        with self._writing():
            self._finish(trial.number, values)

    def repeated(self, trial: TrialProgress, same: TrialProgress) -> None:
        """End a trial whose settings another one has had: the sampler gets that one's values once more."""
        earlier = self._study.trials[same.number]
        self._set(trial.number, "same", same.number)
        self._set(trial.number, "excess", earlier.user_attrs.get("excess", []))
        with self._writing():
            self._finish(trial.number, earlier.values)

    @property
    def spent_s(self) -> float:
        """Return how long the search has run in all."""
        return float(self._study.user_attrs.get("spent_s", 0.0))

    @spent_s.setter
    def spent_s(self, seconds: float) -> None:
        """Keep how long the search has run in all, in seconds."""
        with self._writing():
            self._study.set_user_attr("spent_s", seconds)

    def _set(self, number: int, key: str, value: Any) -> None:
        with self._writing():
            self._study._storage.set_trial_user_attr(self._study.trials[number]._trial_id, key, value)

    def _finish(self, number: int, values: Sequence[float] | None) -> None:
        from optuna.trial import TrialState

        self._study.tell(number, values, TrialState.COMPLETE if values else TrialState.FAIL)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn a full disk into one line."""
        try:
            with _quiet():
                yield
        except OSError as error:
            raise EdgeproofError(f"{cannot_write(self._path, error)}; the same command goes on") from error


def sampler(seed: int) -> "optuna.samplers.BaseSampler":
    """Return what proposes the settings of trials."""
    import optuna

    with _quiet():
        return optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            constant_liar=True,  # trials that run are taken for bad ones: else those side by side would be alike
            constraints_func=lambda trial: trial.user_attrs.get("excess", ()),
        )


def _distribution(axis: Range | Choice) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(axis, Choice):
        return CategoricalDistribution(axis.values)
    if isinstance(axis.low, int) and isinstance(axis.high, int):
        return IntDistribution(axis.low, axis.high, axis.log, 1 if axis.step is None else int(axis.step))
    return FloatDistribution(float(axis.low), float(axis.high), axis.log, axis.step)


def _progress_of(trial: "optuna.trial.FrozenTrial") -> TrialProgress:
    settings: dict[str, Setting] = {name: value for name, value in trial.params.items() if name != ARTIFACT}
    variant, _, runtime = str(trial.params.get(ARTIFACT, "")).partition(BETWEEN)
    found = TrialProgress(trial.number, settings, variant, runtime, **trial.user_attrs.get("progress", {}))
    if "trial" in trial.user_attrs:
        try:
            found.trial = Trial.from_json(trial.user_attrs["trial"], f"trial {trial.number}")
        except Damaged as damage:
            raise ValueError(str(damage)) from damage
    return found


def _cut_unfinished_line(path: Path) -> None:
    """Cut off what a power cut or a full disk left of a last line."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's log and its notes on experimental parts away from a person."""
    import optuna

    optuna.logging.set_verbosity(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
