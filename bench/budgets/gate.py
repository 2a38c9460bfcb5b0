"""`bench gate`: new artifacts compared with those of a baseline, both measured now and in turns on this machine."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bench.artifacts.evaluation_pictures import own_pictures_text
from bench.budgets.baseline import Baseline, differences
from bench.budgets.figures import pictures
from bench.budgets.finding import Finding, NotJudged
from bench.budgets.gate_pairs import Pair, is_count
from bench.budgets.kinds import Comparison
from bench.budgets.limit import Limit
from bench.budgets.present_limits import Known, judge_present, measured_rows, own_figures
from bench.machine.environment import Environment
from bench.measure.fresh_processes import Answers, Process, Side, SideFailed
from bench.measure.interleaving import Round
from bench.results.instruction_counts import Instructions
from bench.results.row import ResultRow
from bench.results.store import Results
from bench.stats.sequential_test import Judgement, judge_sequentially
from common.files import sha256_of
from common.interval import Interval
from common.paired_accuracy import Paired
from common.progress import task_progress
from common.verdict import Verdict, judge
from device.errors import RuntimeMissing

Say = Callable[[str], None]
Clock = Callable[[], float]  # seconds
CountKey = tuple[str | None, ...]  # the artifact's SHA-256, the runtime, its version, the core and the counter


class Measures(Protocol):
    """Measures sides in fresh processes."""

    def process(self, side: Side) -> Process:
        """Measure in one new process. Raises SideFailed where it is refused or crashes."""

    def round(self, sides: Sequence[Side], order: random.Random) -> Round:
        """Measure a new process of each side in turns, started in random order. Raises SideFailed as `process` does."""

    def answers(self, side: Side) -> Answers:
        """Return the answers to all test pictures of the artifact's data set. Raises SideFailed as `process` does."""


@dataclass(frozen=True)
class Setting:
    """How a gate measures."""

    max_time_s: float = 60.0  # to measure each pair's latency
    seed: int = 0
    clock: Clock = time.monotonic
    counts: Mapping[CountKey, float] | None = None  # instructions of steady inference
    data: Path | None = None  # test pictures; None: the artifacts' own
    measured: Results | None = None  # of this machine: rows of the candidates show figures that the gate does not measure


def counts_in(results: Results | None) -> dict[CountKey, float]:
    """Return the instruction counts of steady inference that results hold."""
    counts: dict[CountKey, float] = {}
    for row in results.rows if results else ():
        if row.instructions is not None:
            counts[count_key(row, row.instructions, row.artifact.sha256)] = row.instructions.steady_inference
    return counts


def count_key(row: ResultRow, count: Instructions, sha256: str) -> CountKey:
    """Return the key by which instruction counts are comparable: only those of equal cores and counters are."""
    return sha256, row.subject.runtime, row.runtime_version, count.core, count.counter, count.user_space_sha256


def gate(
    pairs: Sequence[Pair], baseline: Baseline, environment: Environment, measures: Measures, setting: Setting, say: Say
) -> list[Finding]:
    """Compare each pair and judge its budgets; an unchanged file passes without a comparison.

    Then judge the limits of the candidate's own figures; those whose figures are not known have no finding.
    """
    findings: list[Finding] = []
    for pair in pairs:
        remembering = _Remembering(measures)
        if pair.limits:
            say(f"{pair.row.key}: {pair.candidate.found.path} against {pair.base.found.path}")
        if pair.unchanged:
            findings += [_unchanged(pair, limit) for limit in pair.limits]
        else:
            saved = baseline.results.environments.get(pair.row.subject.device)
            findings += _compare(pair, saved, environment, remembering, setting, say)
        findings += judge_present(pair.absolute, _known(pair, baseline, remembering.answered(pair.candidate), setting))
    return findings


def unjudged(pairs: Sequence[Pair], findings: Sequence[Finding]) -> list[Limit]:
    """Return the limits of the candidates' own figures for which there is no finding."""
    judged = {(finding.subject, finding.limit) for finding in findings}
    return [limit for pair in pairs for limit in pair.absolute if (pair.row.key, limit) not in judged]


def _known(pair: Pair, baseline: Baseline, answers: Answers | None, setting: Setting) -> list[Known]:
    """Return what is known of a candidate, the newest first; what was saved of a file holds while the file is the same."""
    file = pair.candidate.found.path
    own = own_figures(pair.row, file, answers)
    saved = [Known(pair.row, baseline.results, f"in {baseline.folder}", here=False)] if pair.unchanged else []
    return [own, *measured_rows(pair.row, file, setting.measured), *saved]


class _Remembering:
    """Measures as another does, and remembers the answers: the candidate's top-1 has a limit of its own, too."""

    def __init__(self, measures: Measures) -> None:
        self._measures, self._known = measures, list[tuple[Side, Answers]]()

    def process(self, side: Side) -> Process:
        return self._measures.process(side)

    def round(self, sides: Sequence[Side], order: random.Random) -> Round:
        return self._measures.round(sides, order)

    def answers(self, side: Side) -> Answers:
        self._known.append((side, self._measures.answers(side)))
        return self._known[-1][1]

    def answered(self, side: Side) -> Answers | None:
        """Return the answers of a side; None where they were not asked for."""
        return next((answers for one, answers in self._known if one == side), None)


def _compare(
    pair: Pair, saved: Environment | None, environment: Environment, measures: Measures, setting: Setting, say: Say
) -> list[Finding]:
    if all(is_count(limit) for limit in pair.limits):
        return [_instructions(pair, limit, setting) for limit in pair.limits]
    try:
        version = measures.process(pair.base).runtime_version
    except RuntimeMissing as missing:
        reason = f"cannot be measured here: {missing}"
        return [_finding(pair, limit, Verdict.INCONCLUSIVE, None, "", reason, "") for limit in pair.limits]
    note = "; ".join(differences(pair.row, saved, environment, version))
    if note:
        note = f"baseline {note}; both were measured here"
    try:
        return [_held(pair, limit, measures, setting, say, note) for limit in pair.limits]
    except SideFailed as failure:
        if failure.side == pair.base:
            raise
        reason, advice = f"the candidate does not run: {failure}", "see `edgeproof convert check FILE`"
        return [_finding(pair, limit, Verdict.FAIL, None, "", reason, advice) for limit in pair.limits]


def _held(pair: Pair, limit: Limit, measures: Measures, setting: Setting, say: Say, note: str) -> Finding:
    if limit.kind.comparison is Comparison.TIMES:
        return _latency(pair, limit, measures, setting, say, note)
    if limit.kind.comparison is Comparison.ANSWERS:
        return _accuracy(pair, limit, measures.answers(pair.base), measures.answers(pair.candidate), setting, note)
    return _instructions(pair, limit, setting)


def _latency(pair: Pair, limit: Limit, measures: Measures, setting: Setting, say: Say, note: str) -> Finding:
    order = random.Random(setting.seed)
    sides = [pair.base, pair.base, pair.candidate]  # BASE, AGAIN, CANDIDATE

    def one_round() -> npt.NDArray[np.float64]:
        log_ratios = measures.round(sides, order).log_ratios
        advance(1)
        return log_ratios

    end_s = setting.clock() + setting.max_time_s
    judgement: Judgement | None = None
    with task_progress("rounds", timing=True) as advance:
        for judgement in judge_sequentially(one_round, limit.value, lambda: end_s - setting.clock()):
            say(f"  {judgement.rounds} rounds: latency {_times(judgement.ratio)}, {judgement.verdict.value}")
    assert judgement is not None
    ratio = judgement.ratio
    measured = Interval(ratio.value - 1, ratio.low - 1, ratio.high - 1)
    samples = f"{judgement.rounds} rounds of 3 processes, noise floor {judgement.floor - 1:.3f}"
    advice = {
        Verdict.FAIL: "find the cause with `edgeproof bench run --profile`, or save a new baseline if that is intended",
        Verdict.INCONCLUSIVE: "give it more time (--max-time), or use a quieter machine",
    }.get(judgement.verdict, "")
    reason = "; ".join(part for part in (judgement.reason, note) if part)
    return _finding(pair, limit, judgement.verdict, measured, samples, reason, advice)


def _accuracy(pair: Pair, limit: Limit, base: Answers, candidate: Answers, setting: Setting, note: str) -> Finding:
    if not np.array_equal(base.labels, candidate.labels):
        reason = "the two have different test parts"
        advice = "save a new baseline of this data set, or test both on one folder: --data FOLDER"
        return _finding(pair, limit, Verdict.INCONCLUSIVE, None, "", reason, advice)
    paired = Paired.of(base.predictions, candidate.predictions, base.labels)
    measured = paired.judged_drop()
    asked = _tested_on(pair, len(base.labels), setting)
    samples = f"{asked}, {paired.only_first} right only before, {paired.only_second} right only now"
    verdict = judge(measured, limit.value, at_most=True)
    advice = {
        Verdict.FAIL: "see `edgeproof convert doctor`, or save a new baseline if that is intended",
        Verdict.INCONCLUSIVE: "test on more pictures, or set a wider limit",
    }.get(verdict, "")
    return _finding(pair, limit, verdict, measured, samples, note, advice)


def _tested_on(pair: Pair, count: int, setting: Setting) -> str:
    """Return "1,000 pictures of pictures/test": which they are is not seen otherwise."""
    where = own_pictures_text(pair.base.found.card) if setting.data is None else f"of {setting.data}"
    return f"{pictures(count)} {where}".rstrip()


def _instructions(pair: Pair, limit: Limit, setting: Setting) -> Finding:
    before = pair.row.instructions
    key = count_key(pair.row, before, sha256_of(pair.candidate.found.path)) if before else None
    now = (setting.counts or {}).get(key) if key else None
    if before is None or now is None:
        return _finding(pair, limit, NotJudged.SKIPPED, None, "", "they have no counts of the same counter", "")
    measured = Interval.exact(now / before.steady_inference - 1)
    return _finding(pair, limit, judge(measured, limit.value, at_most=True), measured, "a count", "", "")


def _unchanged(pair: Pair, limit: Limit) -> Finding:
    return _finding(pair, limit, Verdict.PASS, Interval.exact(0.0), "the same file, not measured", "", "")


def _finding(
    pair: Pair, limit: Limit, verdict: Verdict | NotJudged, measured: Interval | None, samples: str, reason: str, advice: str
) -> Finding:
    return Finding(limit, pair.row.key, verdict, measured, samples, reason, advice)


def _times(ratio: Interval) -> str:
    return f"{ratio.value:.3f} times [{ratio.low:.3f}, {ratio.high:.3f}]"
