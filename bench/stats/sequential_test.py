"""Comparing two artifacts over rounds of fresh processes: what the rounds show, and when to stop.

A round is two processes of the baseline and one of the candidate, all fresh and in turns
(bench/measure/interleaving.py): one process is one sample, since the p50 of the same file differs by some percent from
process to process.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.stats import intervals
from common.interval import ERROR, Interval
from common.verdict import Verdict, judge

FIRST_LOOK = 8  # rounds; each later look doubles them if there is time
MIN_GROWTH = 0.5  # a look after fewer new rounds uses more of the error than it gains
BASE, AGAIN, CANDIDATE = range(3)

LogP50s = npt.NDArray[np.float64]  # (rounds, 3), logarithms of the p50 of BASE, AGAIN, CANDIDATE


@dataclass(frozen=True)
class Judgement:
    """The verdict of the rounds of a pair."""

    ratio: Interval  # the candidate's p50 over the baseline's
    floor: float  # how far the baseline may differ from itself in this run, as a ratio above 1
    verdict: Verdict
    rounds: int
    reason: str = ""


def error_of_look(look: int, error: float = ERROR) -> float:
    """Return the error that a look may spend, look 0 is the first: half, a quarter, ...; their sum never exceeds `error`.

    Repeated looks at a growing sample find something by chance sooner or later. With a shared error, all looks together
    stay within the error of one (Bonferroni), however many there are.
    """
    return error / 2.0 ** (look + 1)


def judge_rounds(logs: LogP50s, max_regression: float, error: float) -> Judgement:
    """Judge a pair by its rounds (rounds, 3), at least two.

    The candidate is compared with the mean of both baseline processes round by round, so that a drift of the machine affects
    both sides alike. FAIL needs the whole interval beyond the budget, and the ratio itself beyond the floor: the far
    end of the interval of the baseline against itself. A baseline that differs from itself by more than the budget decides
    nothing.
    """
    ratio = intervals.of_log_differences(logs[:, CANDIDATE] - logs[:, (BASE, AGAIN)].mean(axis=1), error)
    itself = intervals.of_log_differences(logs[:, AGAIN] - logs[:, BASE], ERROR)
    floor = max(itself.high, 1 / itself.low)
    verdict = judge(ratio, 1 + max_regression, at_most=True)
    reason = ""
    if min(itself.high, 1 / itself.low) < 1 / (1 + max_regression):
        verdict, reason = (
            Verdict.INCONCLUSIVE,
            "the baseline differs from itself by more than the budget: the machine is too noisy",
        )
    elif verdict is Verdict.FAIL and ratio.value <= floor:
        verdict, reason = Verdict.INCONCLUSIVE, "not beyond the noise floor of this run"
    return Judgement(ratio, floor, verdict, len(logs), reason)


def judge_sequentially(
    measure: Callable[[], npt.NDArray[np.float64]],
    max_regression: float,
    seconds_left: Callable[[], float],
    error: float = ERROR,
) -> Iterator[Judgement]:
    """Yield a judgement after each look. The last one is final: decided, or out of time.

    `measure` returns a round: the logarithms of the p50s of BASE, AGAIN and CANDIDATE (3,) in any unit; `seconds_left`
    returns the time that is left. The first look is always taken.
    """
    logs = np.empty((0, 3))
    look, wanted = 0, FIRST_LOOK
    while True:
        before_s = seconds_left()
        new = np.array([measure() for _ in range(wanted - len(logs))])
        round_s = (before_s - seconds_left()) / len(new)
        logs = np.concatenate([logs, new])
        judgement = judge_rounds(logs, max_regression, error_of_look(look, error))
        yield judgement
        fitting = int(seconds_left() / round_s) if round_s > 0 else len(logs)
        if judgement.verdict is not Verdict.INCONCLUSIVE or fitting < len(logs) * MIN_GROWTH:
            return
        look, wanted = look + 1, len(logs) + min(len(logs), fitting)
