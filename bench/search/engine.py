"""The loop of a search: it keeps the workers busy, decides which trials go on, and writes down what is known after each."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path

from bench.search.budget_line import TIMED, TOP1, excess, keeps_budget
from bench.search.figures import Measures
from bench.search.halving import RUNGS, why_not, why_outside
from bench.search.result import Limit, SearchResult, State, Trial
from bench.search.shown.progress import trial_line
from bench.search.spec import SearchSpec
from bench.search.store import write_search
from bench.search.study import Study
from bench.search.trial import Job, Work
from bench.search.trial_files import TrialFiles
from bench.search.trial_progress import TrialProgress
from bench.search.trial_registry import TrialRegistry
from bench.search.winner import concluded, contenders
from bench.search.workers import Pool
from device.errors import CheckFailed, EdgeproofError

MAX_REPEATED = 50  # proposals of settings that were tried: then the space is taken to be tried out
MAX_COMPARED = 5  # sizes of network in turns with each other at the end
MAX_FAILED = 6  # in a row: something is wrong with all of them
NO_FIGURE = 1e9  # told where a figure is not known
TIME_OVER = "the time was over"
LINE_SHOWN = 300


@dataclass(frozen=True)
class Allowance:
    """When a search ends."""

    trials: int | None
    seconds: float | None
    threads: int = 0  # of each trial here; 0: as many as TensorFlow takes


class Engine:
    """Runs the trials of one search."""

    def __init__(
        self,
        spec: SearchSpec,
        folder: Path,
        pool: Pool,
        measures: Measures,
        allowance: Allowance,
        say: Callable[[str], None],
    ) -> None:
        self._spec, self._folder, self._pool, self._measures = spec, folder, pool, measures
        self._allowance, self._say = allowance, say
        self._study, self._files = Study(folder, spec), TrialFiles(folder)
        self._trials = TrialRegistry(self._study.trials(), spec)
        self._waiting = deque(trial for trial in self._trials if trial.trial is None)
        self._running: dict[Future[Work], TrialProgress] = {}
        self._begin_s = time.monotonic() - self._study.spent_s
        self._tried_out, self._failed = False, 0  # trials in a row
        if self._trials:
            self._say(f"goes on: {len(self._trials)} trials are known, {self._study.spent_s / 60:.0f} min were used")

    @property
    def result(self) -> SearchResult:
        """Return what is known now, the trials that have ended."""
        trials = tuple(trial.trial for trial in self._trials if trial.trial is not None)
        spec = self._spec
        empty = SearchResult(spec.model, spec.minimize, spec.limits, trials, (), None, None, (), None)
        return concluded(empty, self._files.paired)

    def run(self) -> SearchResult:
        """Try until the allowance is used up, and return what was found.

        Raises EdgeproofError where the disk is full or the workers are gone: what ended before is kept, and the search can
        go on from there.
        """
        try:
            while self._fill():
                self._collect()
        finally:
            self._study.spent_s = self.spent_s
        for trial in [*self._running.values(), *self._waiting]:  # the study does not hear of it: with more time they go on
            trial.trial = self._ended(trial, "pruned", TIME_OVER)
        self._compare()
        return self.result

    # -- starting

    def _fill(self) -> bool:
        """Start jobs while there is a free worker; say whether any runs."""
        while len(self._running) < self._pool.slots and (trial := self._next()) is not None:
            self._running[self._pool.submit(self._job(trial))] = trial
        return bool(self._running) and not self._time_is_over

    def _next(self) -> TrialProgress | None:
        """Return the trial that goes on or begins next."""
        if self._time_is_over:
            return None
        if self._waiting:
            return self._waiting.popleft()
        return self._begun() if self._may_begin else None

    def _begun(self) -> TrialProgress | None:
        """Begin a trial whose settings are new; None where the space is tried out."""
        for _ in range(MAX_REPEATED):
            trial = self._study.ask()
            same = self._trials.same(trial)
            if same is not None:
                self._study.repeated(trial, same)
            elif not self._is_too_large(trial):
                self._trials.add(trial)
                return trial
        self._tried_out = True
        self._say("the space is tried out: no new settings are proposed")
        return None

    def _is_too_large(self, trial: TrialProgress) -> bool:
        """End a trial whose size of network is known to break the budget, before it is trained."""
        trial.figures = self._trials.figures_of_size(trial)
        reason = why_outside(trial.figures, self._spec) if trial.figures else None
        if reason is None:
            return False
        self._trials.add(trial)
        self._end(trial, "pruned", reason)
        return True

    def _job(self, trial: TrialProgress) -> Job:
        spec = self._spec
        return Job(
            number=trial.number,
            model=spec.model,
            settings=trial.settings,
            reference=spec.data,
            variant=trial.variant,
            runtime=trial.runtime,
            share=RUNGS[trial.rung],
            seed=spec.seed,
            threads=self._allowance.threads,
            state=self._files.state(trial.number) if trial.rung else None,
        )

    @property
    def cpu_s(self) -> float:
        """Return how much processor time the trials took, in all."""
        return sum(trial.cpu_s for trial in self._trials)

    # -- time

    @property
    def spent_s(self) -> float:
        """Return how long the search has run, in seconds, with the time before it was interrupted."""
        return time.monotonic() - self._begin_s

    @property
    def left_s(self) -> float | None:
        """Return how much time is left; None where the search has no limit."""
        return None if self._allowance.seconds is None else self._allowance.seconds - self.spent_s

    @property
    def _time_is_over(self) -> bool:
        return self.left_s is not None and self.left_s <= 0

    @property
    def _may_begin(self) -> bool:
        """Say whether one more trial may begin: there is one left, and time for a whole one."""
        if self._tried_out or (self._allowance.trials is not None and len(self._trials) >= self._allowance.trials):
            return False
        done = [trial.seconds for trial in self._trials if trial.rung == len(RUNGS)]
        return self.left_s is None or not done or self.left_s > sum(done) / len(done)

    # -- ending

    def _collect(self) -> None:
        """Wait for a job; take in all that have ended."""
        ended, _ = wait(self._running, timeout=self.left_s, return_when=FIRST_COMPLETED)
        found = [(self._running.pop(future), future) for future in ended]
        self._fill()  # before anything is measured: no worker waits for that
        for trial, future in found:
            self._take_in(trial, future)
            if self._failed >= MAX_FAILED:
                raise CheckFailed(
                    f"{self._failed} trials in a row failed, the last with: {trial.trial and trial.trial.reason}"
                )
            write_search(self._folder, self.result)
            self._study.spent_s = self.spent_s

    def _take_in(self, trial: TrialProgress, future: Future[Work]) -> None:
        """Take in how a job ended: the trial goes on, or ends. Raises PoolGone."""
        error = future.exception()
        if error is not None:
            if (gone := self._pool.lost(error)) is not None:
                raise gone from error
            self._end(trial, "failed", reason_of_failure(error))
            return
        self._files.keep(trial, future.result())
        try:
            self._learn(trial, future.result())
        except EdgeproofError as failure:
            self._end(trial, "failed", reason_of_failure(failure))
            return
        reason = why_not(trial, list(self._trials), self._spec)
        if trial.rung == len(RUNGS):
            self._end(trial, "done", None)
        elif reason is not None:
            self._end(trial, "pruned", reason)
        else:
            self._waiting.append(trial)

    def _learn(self, trial: TrialProgress, work: Work) -> None:
        """Take in what a job returned, and measure what is not known yet."""
        right = work.answers == work.truth
        trial.correct, trial.total, trial.epochs = int(right.sum()), len(right), work.epochs
        trial.figures = self._figures(trial)
        trial.rung, trial.seconds, trial.cpu_s = trial.rung + 1, trial.seconds + work.seconds, trial.cpu_s + work.cpu_s
        trial.shown.append(trial.correct / trial.total)
        self._study.note(trial)

    def _figures(self, trial: TrialProgress) -> dict[str, float]:
        """Measure an artifact, once for each size of network."""
        return self._trials.figures_of_size(trial) or self._measures.of(self._files.artifact(trial), trial.runtime)

    def _compare(self) -> None:
        """Measure the sizes of network that may win in turns with each other, where a latency decides."""
        if self._spec.minimize not in TIMED:
            return
        sizes: dict[str, TrialProgress] = {}  # a trial of each
        for close in contenders(self.result):
            trial = self._trials[close.number]
            sizes.setdefault(self._trials.size_of(trial), trial)
        by_runtime: dict[str, list[TrialProgress]] = {}
        for trial in [*sizes.values()][:MAX_COMPARED] if len(sizes) > 1 else []:
            by_runtime.setdefault(trial.runtime, []).append(trial)
        for runtime, trials in by_runtime.items():
            measured = self._measures.latencies([self._files.artifact(trial) for trial in trials], runtime)
            for trial, figures in zip(trials, measured, strict=True):
                self._trials.correct_figures(trial, figures)

    def _end(self, trial: TrialProgress, state: State, reason: str | None) -> None:
        """End a trial and tell the study and the person."""
        trial.trial = self._ended(trial, state, reason)
        values, excesses = None, []
        if trial.figures and state != "failed":
            values = (trial.shown[-1] if trial.shown else 0.0, trial.figures.get(self._spec.minimize, NO_FIGURE))
            excesses = [_excess(trial.trial, limit) for limit in self._spec.limits]
        self._study.tell(trial, values, excesses)
        self._files.forget_state(trial.number)
        self._failed = self._failed + 1 if state == "failed" else 0
        self._say(trial_line(trial.trial, self.result, self._spec, self.left_s))

    def _ended(self, trial: TrialProgress, state: State, reason: str | None) -> Trial:
        """Return how a trial ended."""
        ended = Trial(
            number=trial.number,
            settings=trial.settings,
            state=state,
            epochs=trial.epochs,
            seconds=trial.seconds,
            variant=trial.variant.partition(".")[0],
            runtime=trial.runtime,
            correct=trial.correct,
            total=trial.total,
            figures=trial.figures or None,
            reason=reason,
        )
        return replace(ended, keeps_budget=keeps_budget(ended, self._spec.limits))


def _excess(trial: Trial, limit: Limit) -> float:
    """Return by what share a trial is over a limit; what is not known of it is taken to be far over."""
    if limit.figure == TOP1 and trial.total is None:
        return NO_FIGURE
    return min(NO_FIGURE, excess(trial, limit))


def reason_of_failure(error: BaseException) -> str:
    """Return one line that says why a trial failed."""
    said = (str(error).strip().splitlines() or [""])[0][:LINE_SHOWN]
    return said if isinstance(error, EdgeproofError) and said else f"{type(error).__name__}: {said}"
