"""`bench check --measure`: measure the rows that budgets are about, and measure longer where there is no verdict yet."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from bench.artifacts.find import Artifact, built_files, find_artifacts
from bench.budgets.baseline import key_of
from bench.budgets.changed_files import doubted
from bench.budgets.check import check, refuse_only_baseline
from bench.budgets.device_match import refuse_unknown_devices
from bench.budgets.figures import processes
from bench.budgets.finding import Finding
from bench.budgets.relative_figures import partner_of
from bench.budgets.rules import Budgets
from bench.machine import environment
from bench.measure.fresh_processes import FreshProcesses, Process, Side
from bench.measure.row import MODES, subject_for
from bench.measure.run import run, sort_out
from bench.results.integrity import results_so_far
from bench.results.measurement import NS_PER_MS
from bench.results.row import ANY, HOST, ResultRow, Skipped, Subject
from bench.results.store import Results
from bench.runtimes import find_runtime
from bench.stats.sequential_test import error_of_look
from common.counts import counted
from common.verdict import Verdict
from device.errors import EdgeproofError

PROCESSES = 5
THREADS = 1
Say = Callable[[str], None]
Clock = Callable[[], float]  # seconds


class MeasuresProcesses(Protocol):
    """Measures a side in a fresh process."""

    def process(self, side: Side) -> Process:
        """Measure in one new process. Raises SideFailed where it is refused or crashes."""


def measure_and_check(path: Path, budgets: Budgets, max_time_s: float, say: Say, data: Path | None = None) -> list[Finding]:
    """Measure the files that have budgets, merge the rows into `path` as `bench run` does, and judge them.

    The files are those that the results name and those in build/. Raises EdgeproofError where none has a budget.
    """
    refuse_only_baseline(budgets)
    before = results_so_far(path)
    measured_on = {*(row.subject.device for row in before.rows), *(skip.subject.device for skip in before.skipped)}
    refuse_unknown_devices(budgets.limited("results"), measured_on)
    end_s = time.monotonic() + max_time_s
    artifacts = artifacts_to_measure(path)
    before.refuse_another_machine(environment.describe(), again={key_of(found) for found in artifacts})
    installed, absent = sort_out((), {found.format for found in artifacts}, THREADS)
    chosen = [found for found in artifacts if _runtimes(found, installed, budgets)]
    if not chosen:
        raise EdgeproofError(
            f"{budgets.path}: none of its budgets is about a file that {path} names or that is in build/: a gate must not "
            "pass without a measurement"
        )
    runtimes = sorted({runtime for found in chosen for runtime in _runtimes(found, installed, budgets)})
    compared = [found for found in artifacts if found in chosen or any(is_partner(found, one, budgets) for one in chosen)]
    outcome = run(compared, runtimes, replace(MODES["rapid"], processes=PROCESSES), (THREADS,), say, data)
    results = results_so_far(path)
    skipped = [*absent, *outcome.skipped]
    removed = results.merge(outcome.measured, skipped, environment.describe(), outcome.evaluation_sets)
    results.save(path)
    for line in removed:
        say(line)
    if outcome.interrupted:
        raise KeyboardInterrupt
    by_path = {str(found.path): found for found in compared}
    with FreshProcesses(say, data=data) as fresh:
        findings = measure_longer(results, budgets, by_path, fresh, lambda: end_s - time.monotonic(), say)
    return undecided_where_skipped(doubted(findings, results.rows), results, outcome.skipped)


def undecided_where_skipped(findings: Sequence[Finding], results: Results, skipped: Sequence[Skipped]) -> list[Finding]:
    """Return the findings, without a decision about rows that could not be measured now: they are of an earlier run."""
    reasons = {skip.subject.combination: skip.reason for skip in skipped}
    why = {row.key: reasons.get(row.subject.combination) for row in results.rows}
    return [
        replace(one, verdict=Verdict.INCONCLUSIVE, reason=f"it could not be measured now: {why[one.subject]}")
        if why.get(one.subject) and isinstance(one.verdict, Verdict)
        else one
        for one in findings
    ]


def artifacts_to_measure(path: Path) -> list[Artifact]:
    """Return the files that results name, where they are there, and those of build/ that are none of these variants.

    Raises EdgeproofError where there are none.
    """
    named = sorted({Path(row.artifact.path) for row in results_so_far(path).rows})
    artifacts = find_artifacts(files) if (files := [file for file in named if file.is_file()]) else []
    known = {key_of(found) for found in artifacts}
    built = find_artifacts(files) if (files := built_files()) else []
    artifacts += [found for found in built if key_of(found) not in known]
    if not artifacts:
        raise EdgeproofError(
            f"{path}: names no file that is there, and build/ holds none: `edgeproof bench run FILE...` measures others"
        )
    return artifacts


def measure_longer(
    results: Results,
    budgets: Budgets,
    artifacts: dict[str, Artifact],
    measures: MeasuresProcesses,
    seconds_left: Callable[[], float],
    say: Say,
    seed: int = 0,
) -> list[Finding]:
    """Judge the rows; while there is time, double the processes of the undecided ones, in random order.

    The repeated looks share the error of 1 %, as those of the gate do.
    """
    order = random.Random(seed)
    look = 0
    findings = check(results, budgets, error_of_look(look))
    while True:
        rows = undecided_rows(results, findings, artifacts)
        schedule = [row.key for row in rows for _ in range(row.latency.processes)]
        if not schedule:
            return findings
        order.shuffle(schedule)
        say(f"measuring {counted(len(rows), 'row')} longer: {processes(len(schedule))} more")
        for done, key in enumerate(schedule):
            if seconds_left() <= 0:
                say(f"out of time after {done} of them")
                return check(results, budgets, error_of_look(look + 1)) if done else findings
            row = results.row(key)
            side = Side(artifacts[row.artifact.path], row.subject.runtime, row.subject.threads)
            _add_process(results, row, measures.process(side))
        look += 1
        findings = check(results, budgets, error_of_look(look))


def _runtimes(found: Artifact, installed: Sequence[str], budgets: Budgets) -> list[str]:
    """Return the runtimes in which an artifact is a row that some rule is about."""
    rules = budgets.limited("results")
    opening = [name for name in installed if found.format in find_runtime(name).FORMATS]
    return [name for name in opening if any(rule.matches_elsewhere(subject_for(found, name, THREADS)) for rule in rules)]


def is_partner(found: Artifact, of: Artifact, budgets: Budgets) -> bool:
    """Say whether a budget of an artifact compares it with `found`: as a ratio's other variant, or as the float32 row."""
    if (found.card.model, found.name, found.format) != (of.card.model, of.name, of.format):
        return False
    subject = Subject(of.card.model, of.name, of.card.variant, of.format, ANY, HOST, "cpu", THREADS)
    limits = [limit for rule in budgets.limited("results") if rule.matches_elsewhere(subject) for limit in rule.limits]
    return any(found.card.variant == limit.compared_variant for limit in limits)


def undecided_rows(results: Results, findings: Sequence[Finding], artifacts: dict[str, Artifact]) -> list[ResultRow]:
    """Return the rows for which more processes may give a verdict, and the rows that they are compared with."""
    rows = {row.key: row for row in results.rows}
    wanted: dict[str, ResultRow] = {}
    for finding in findings:
        limit = finding.limit
        if finding.verdict is not Verdict.INCONCLUSIVE or not limit.kind.timed or finding.measured is None:
            continue
        if finding.reason:  # more processes do not help
            continue
        row = rows[finding.subject]
        wanted[finding.subject] = row
        partner = partner_of(limit.other.variant, row, results) if limit.other else None
        if partner is not None:
            wanted[partner.key] = partner
    return [row for row in wanted.values() if row.subject.device == HOST and row.artifact.path in artifacts]


def _add_process(results: Results, row: ResultRow, process: Process) -> None:
    """Append a process to a row's samples, in memory: bench.json keeps only what the run measured."""
    key, arrays = row.key, results.arrays
    arrays[f"{key}/latency_ns"] = np.concatenate([arrays[f"{key}/latency_ns"], process.latency_ns])
    arrays[f"{key}/queries"] = np.append(arrays[f"{key}/queries"], len(process.latency_ns))
    arrays.pop(f"{key}/turn_queries", None)  # the further processes are of no round
    results.ascending_ns.pop(key, None)
    startup_ms = tuple(float(ns) / NS_PER_MS for ns in process.startup_ns)
    latency = replace(
        row.latency, processes=row.latency.processes + 1, queries=row.latency.queries + len(process.latency_ns)
    )
    startup = replace(row.startup, processes_ms=(*row.startup.processes_ms, startup_ms))
    results.put(replace(row, latency=latency, startup=startup))
