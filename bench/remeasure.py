"""`bench check --measure`: measure what the budgets are about, and longer where nothing is decided yet."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from bench import environment
from bench.artifacts import Found, find_artifacts
from bench.budget import Budgets
from bench.check import MEASURED_BY_PROCESS, check, partner_of
from bench.device_match import HOST
from bench.fresh import FreshProcesses, Process, Side
from bench.measurement import ANY, NS_PER_MS, Subject
from bench.results import Results, Row, results_so_far, subject_of
from bench.rounds import error_of_look
from bench.run import MODES, run, sort_out, subject_of as subject_to_be
from bench.runtimes import find_runtime
from bench.verdict import Finding, Verdict
from device.classify import EdgeproofError

PROCESSES = 5
THREADS = 1
REFERENCE_OF = {"max_top1_drop": "float32", "min_agreement": "float32"}
Say = Callable[[str], None]
Clock = Callable[[], float]  # seconds


class MeasuresProcesses(Protocol):
    """Measures a side in a fresh process."""

    def process(self, side: Side) -> Process: ...


def measure_and_check(path: Path, budgets: Budgets, max_time_s: float, say: Say) -> list[Finding]:
    """Measure the artifacts in build/ that have budgets, merge the rows into `path` as `bench run` does, and judge them.

    Raises EdgeproofError where no artifact has a budget.
    """
    end_s = time.monotonic() + max_time_s
    artifacts = find_artifacts(())
    here, absent = sort_out((), {found.format for found in artifacts}, THREADS)
    chosen = [found for found in artifacts if _runtimes(found, here, budgets)]
    if not chosen:
        raise EdgeproofError(
            f"{budgets.path}: none of its budgets is about an artifact in build/: a gate never passes on nothing"
        )
    runtimes = sorted({runtime for found in chosen for runtime in _runtimes(found, here, budgets)})
    compared = [found for found in artifacts if found in chosen or any(_is_partner(found, one, budgets) for one in chosen)]
    outcome = run(compared, runtimes, replace(MODES["rapid"], processes=PROCESSES), (THREADS,), say)
    results = results_so_far(path)
    skipped = [*absent, *outcome.skipped]
    results.merge(outcome.measured, skipped, environment.describe().to_json(), outcome.evidence)
    results.save(path)
    if outcome.interrupted:
        raise KeyboardInterrupt
    by_path = {str(found.path): found for found in compared}
    with FreshProcesses(say) as fresh:
        return measure_longer(results, budgets, by_path, fresh, lambda: end_s - time.monotonic(), say)


def measure_longer(
    results: Results,
    budgets: Budgets,
    artifacts: dict[str, Found],
    measures: MeasuresProcesses,
    seconds_left: Callable[[], float],
    say: Say,
    seed: int = 0,
) -> list[Finding]:
    """Judge, and double the processes of undecided rows in random order while there is time for it.

    The looks share the error of 1 % as those of the gate do.
    """
    order = random.Random(seed)
    look = 0
    findings = check(results, budgets, error_of_look(look))
    while True:
        rows = _undecided_rows(results, findings, artifacts)
        schedule = [row for row in rows for _ in range(row["latency"]["processes"])]
        if not schedule:
            return findings
        order.shuffle(schedule)
        say(f"measuring {len(rows)} rows longer: {len(schedule)} processes more")
        for done, row in enumerate(schedule):
            if seconds_left() <= 0:
                say(f"out of time after {done} of them")
                return check(results, budgets, error_of_look(look + 1)) if done else findings
            side = Side(artifacts[row["artifact"]["path"]], row["runtime"], row["threads"])
            _add_process(results, row, measures.process(side))
        look += 1
        findings = check(results, budgets, error_of_look(look))


def _runtimes(found: Found, here: Sequence[str], budgets: Budgets) -> list[str]:
    """Return those of the runtimes in which an artifact would be a row that some rule is about."""
    rules = budgets.limited("results")
    opening = [name for name in here if found.format in find_runtime(name).FORMATS]
    return [
        name for name in opening if any(rule.matches_elsewhere(vars(subject_to_be(found, name, THREADS))) for rule in rules)
    ]


def _is_partner(found: Found, of: Found, budgets: Budgets) -> bool:
    """Tell whether a budget of an artifact compares it with `found`: a ratio's other variant, or accuracy's float32."""
    if (found.card.model, found.name, found.format) != (of.card.model, of.name, of.format):
        return False
    row = vars(Subject(of.card.model, of.name, of.card.variant, of.format, ANY, HOST, "cpu", THREADS))
    limits = [limit for rule in budgets.limited("results") if rule.matches_elsewhere(row) for limit in rule.limits]
    return any(found.card.variant == (limit.to or REFERENCE_OF.get(limit.key)) for limit in limits)


def _undecided_rows(results: Results, findings: Sequence[Finding], artifacts: dict[str, Found]) -> list[Row]:
    """Return the rows that more processes may decide, with those that they are compared with."""
    rows = {row["samples"]["key"]: row for row in results.rows}
    wanted: dict[str, Row] = {}
    for finding in findings:
        key = finding.budget.partition(" ")[0]
        if finding.verdict is not Verdict.INCONCLUSIVE or key not in MEASURED_BY_PROCESS or finding.measured is None:
            continue
        if finding.reason:  # more of the same does not help
            continue
        row = rows[finding.subject]
        wanted[finding.subject] = row
        partner = partner_of(finding.budget.rpartition(" ")[2], row, results) if key == "max_ratio" else None
        if partner is not None:
            wanted[partner["samples"]["key"]] = partner
    return [row for row in wanted.values() if row["device"] == HOST and row["artifact"]["path"] in artifacts]


def _add_process(results: Results, row: Row, process: Process) -> None:
    """Append a process to a row's samples, in memory: bench.json keeps what the run itself measured."""
    key = subject_of(row).key
    arrays, latency = results.arrays, row["latency"]
    arrays[f"{key}/latency_ns"] = np.concatenate([arrays[f"{key}/latency_ns"], process.latency_ns])
    arrays[f"{key}/queries"] = np.append(arrays[f"{key}/queries"], len(process.latency_ns))
    results.ascending_ns.pop(key, None)
    latency["processes"] += 1
    latency["queries"] += len(process.latency_ns)
    startup_ms = tuple(float(ns) / NS_PER_MS for ns in process.startup_ns)
    row["startup"]["processes_ms"] = (*row["startup"].get("processes_ms", ()), startup_ms)
