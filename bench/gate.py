"""`bench gate`: today's artifacts against a baseline's, measured side by side in this job on this machine."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench import interval
from bench.artifacts import Found
from bench.baseline import Baseline, differences, key_of
from bench.budget import Budgets, Limit, refuse_unmatched
from bench.check import no_time
from bench.device_match import DEVICES, HOST, names_of
from bench.fresh import Answers, Process, Side, SideFailed
from bench.interval import Interval
from bench.results import Row, load_results
from bench.rounds import Judgement, looks
from bench.turns import Round
from bench.verdict import Finding, Verdict, judge
from convert.paired import Paired
from device.classify import EdgeproofError, RuntimeMissing
from train.files import sha256_of

Say = Callable[[str], None]
Clock = Callable[[], float]  # seconds
CountKey = tuple[Any, ...]  # the artifact's SHA-256, the runtime and its version, and what was counted on and with


class Measures(Protocol):
    """Measures sides in fresh processes."""

    def process(self, side: Side) -> Process: ...

    def round(self, sides: Sequence[Side], order: random.Random) -> Round: ...

    def answers(self, side: Side) -> Answers: ...


@dataclass(frozen=True)
class Pair:
    """A row of the baseline and the artifact that is held against it."""

    row: Row
    base: Side
    candidate: Side
    limits: tuple[Limit, ...]

    @property
    def unchanged(self) -> bool:
        return sha256_of(self.base.found.path) == sha256_of(self.candidate.found.path)


@dataclass(frozen=True)
class Setting:
    """How a gate measures."""

    max_time_s: float = 60.0  # of each pair's latency
    seed: int = 0
    clock: Clock = time.monotonic
    counts: Mapping[CountKey, float] | None = None  # instructions of steady inference


def pairs_of(
    baseline: Baseline,
    candidates: Sequence[Found],
    budgets: Budgets,
    environment: Mapping[str, Any],
    all_named: bool,
    devices: Path = DEVICES,
) -> list[Pair]:
    """Return what there is to compare. With `all_named` the candidates are all that is asked for, else all of the baseline.

    Raises EdgeproofError for an artifact without counterpart, for a rule that matches nothing, and where no budget applies.
    """
    before = {key_of(found): found for found in baseline.artifacts}
    now: dict[tuple[str, str | None, str, str], Found] = {}
    for found in candidates:
        other = now.setdefault(key_of(found), found)
        if other is not found and other.path != found.path:
            raise EdgeproofError(f"{other.path}, {found.path}: both are {_words(key_of(found))}: name the one that is meant")
    for key, found in now.items() if all_named else ():
        if key not in before:
            raise EdgeproofError(
                f"{found.path}: the baseline {baseline.folder} has none of {_words(key)}: save it there first"
            )
    if not all_named:
        refuse_unmatched(budgets.limited("baseline"), baseline.results.rows, f"the baseline {baseline.folder}")
        for key in before.keys() - now.keys():
            raise EdgeproofError(f"{baseline.folder}: {_words(key)} has no counterpart in build/: make it, or name FILE...")
    pairs = [
        Pair(row, Side(before[key], *_how(row)), Side(now[key], *_how(row)), tuple(limits))
        for key in sorted(before.keys() & now.keys(), key=str)
        for row in baseline.rows_of(before[key])
        if (limits := _limits(row, budgets, names_of(row["device"], {HOST: environment}, devices)))
    ]
    if not pairs:
        raise EdgeproofError(
            f"{budgets.path}: none of its max_regression and max_top1_regression is about what is compared: a gate never "
            "passes on nothing"
        )
    return pairs


def _limits(row: Row, budgets: Budgets, names: set[str]) -> list[Limit]:
    """Return what is asked of a row: of one that was measured elsewhere its counts alone, since times are measured here."""
    limits = budgets.of(row, names, "baseline")
    if row["device"] != HOST:
        return [limit for limit in limits if limit.key == "max_instruction_regression"]
    return [limit for limit in limits if limit.key != "max_regression" or not no_time(row)]


def counts_in(path: Path) -> dict[CountKey, float]:
    """Return the instruction counts of steady inference that results hold."""
    if not path.exists():
        return {}
    counted = [row for row in load_results(path).rows if row.get("instructions")]
    return {count_key(row, row["artifact"]["sha256"]): row["instructions"]["steady_inference"] for row in counted}


def count_key(row: Row, sha256: str) -> CountKey:
    """Return what an artifact's count must share with a row's to be comparable: only equal cores and counters are."""
    how = (row["instructions"][name] for name in ("core", "counter", "user_space_sha256"))
    return sha256, row["runtime"], row["runtime_version"], *how


def gate(
    pairs: Sequence[Pair], baseline: Baseline, environment: dict[str, Any], measures: Measures, setting: Setting, say: Say
) -> list[Finding]:
    """Compare each pair and judge its budgets; a file that has not changed passes unmeasured."""
    findings: list[Finding] = []
    for pair in pairs:
        say(f"{pair.row['samples']['key']}: {pair.candidate.found.path} against {pair.base.found.path}")
        if pair.unchanged:
            findings += [_unchanged(pair, limit) for limit in pair.limits]
            continue
        saved = baseline.results.environments.get(pair.row["device"], {})
        findings += _compare(pair, saved, environment, measures, setting, say)
    return findings


def _compare(
    pair: Pair, saved: dict[str, Any], environment: dict[str, Any], measures: Measures, setting: Setting, say: Say
) -> list[Finding]:
    if all(limit.key == "max_instruction_regression" for limit in pair.limits):
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
        reason, advice = f"the candidate does not run: {failure}", "see `python -m convert check FILE`"
        return [_finding(pair, limit, Verdict.FAIL, None, "", reason, advice) for limit in pair.limits]


def _held(pair: Pair, limit: Limit, measures: Measures, setting: Setting, say: Say, note: str) -> Finding:
    if limit.key == "max_regression":
        return _latency(pair, limit, measures, setting, say, note)
    if limit.key == "max_top1_regression":
        return _accuracy(pair, limit, measures.answers(pair.base), measures.answers(pair.candidate), note)
    return _instructions(pair, limit, setting)


def _latency(pair: Pair, limit: Limit, measures: Measures, setting: Setting, say: Say, note: str) -> Finding:
    order = random.Random(setting.seed)
    sides = [pair.base, pair.base, pair.candidate]  # BASE, AGAIN, CANDIDATE

    def one_round() -> npt.NDArray[np.float64]:
        return measures.round(sides, order).log_ratios

    end_s = setting.clock() + setting.max_time_s
    judgement: Judgement | None = None
    for judgement in looks(one_round, limit.value, lambda: end_s - setting.clock()):
        say(f"  {judgement.rounds} rounds: latency {_times(judgement.ratio)}, {judgement.verdict.value}")
    assert judgement is not None
    ratio = judgement.ratio
    measured = Interval(ratio.value - 1, ratio.low - 1, ratio.high - 1)
    samples = f"{judgement.rounds} rounds of 3 processes, noise floor {judgement.floor - 1:.3f}"
    advice = {
        Verdict.FAIL: "look what made it slower: `python -m bench run --profile`, or save a new baseline if it is meant",
        Verdict.INCONCLUSIVE: "give it more time (--max-time), or a quieter machine",
    }.get(judgement.verdict, "")
    reason = "; ".join(part for part in (judgement.reason, note) if part)
    return _finding(pair, limit, judgement.verdict, measured, samples, reason, advice)


def _accuracy(pair: Pair, limit: Limit, base: Answers, candidate: Answers, note: str) -> Finding:
    if not np.array_equal(base.labels, candidate.labels):
        reason = "the two were trained with different test parts"
        return _finding(pair, limit, Verdict.INCONCLUSIVE, None, "", reason, "save a new baseline of this data set")
    paired = Paired.of(base.predictions, candidate.predictions, base.labels)
    measured = interval.of_drop(paired)
    samples = f"{len(base.labels):,} pictures, {paired.only_first} right before alone, {paired.only_second} now alone"
    verdict = judge(measured, limit.value, at_most=True)
    advice = {
        Verdict.FAIL: "see `python -m convert doctor`, or save a new baseline if it is meant",
        Verdict.INCONCLUSIVE: "test on more pictures, or leave more room",
    }.get(verdict, "")
    return _finding(pair, limit, verdict, measured, samples, note, advice)


def _instructions(pair: Pair, limit: Limit, setting: Setting) -> Finding:
    before = pair.row.get("instructions")
    key = count_key(pair.row, sha256_of(pair.candidate.found.path)) if before else None
    now = (setting.counts or {}).get(key) if key else None
    if not before or now is None:
        return _finding(pair, limit, Verdict.SKIPPED, None, "", "no instruction count of both with the same counter", "")
    measured = Interval.exact(now / before["steady_inference"] - 1)
    return _finding(pair, limit, judge(measured, limit.value, at_most=True), measured, "a count", "", "")


def _unchanged(pair: Pair, limit: Limit) -> Finding:
    return _finding(pair, limit, Verdict.PASS, Interval.exact(0.0), "the same file, not measured", "", "")


def _finding(
    pair: Pair, limit: Limit, verdict: Verdict, measured: Interval | None, samples: str, reason: str, advice: str
) -> Finding:
    subject = pair.row["samples"]["key"]
    return Finding(
        limit.name, limit.value, limit.kind.unit, limit.place, subject, verdict, measured, samples, reason, advice
    )


def _how(row: Row) -> tuple[str, int]:
    return row["runtime"], row["threads"]


def _times(ratio: Interval) -> str:
    return f"{ratio.value:.3f} times [{ratio.low:.3f}, {ratio.high:.3f}]"


def _words(key: tuple[str, str | None, str, str]) -> str:
    model, name, variant, file_format = key
    return f"{model}{f'@{name}' if name else ''} {variant}.{file_format}"
