"""How often the gate errs: its false alarms and its detections, simulated and from recorded rounds (`make gate-power`).

python -m bench.budgets.gate_error_rates record [--neighbour] MODEL_FILE...
    rounds of equal sides on this machine, into build/gate_noise.json
python -m bench.budgets.gate_error_rates simulate
    docs/gate-power.md and docs/gate-power.png
"""

import math
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.machine import disturbance
from bench.stats.sequential_test import BASE, CANDIDATE, FIRST_LOOK, judge_sequentially
from common.files import read_json, write_bytes, write_json
from common.verdict import Verdict

TRIALS = 2_000
SLOWER = (0.0, 0.02, 0.05, 0.10, 0.20)
ROUND_S = 2.4  # of simulated noise: three fresh processes, 0.3 s of inference each, the rest is start-up and warm-up
RECORDED = Path("build/gate_noise.json")
TABLE, PLOT = Path("docs/gate-power.md"), Path("docs/gate-power.png")
ROUNDS_A_FILE = 20 * FIRST_LOOK  # twenty A/A comparisons at the first look

Random = np.random.Generator
Logs = npt.NDArray[np.float64]  # (rounds, 3), as in bench.stats.sequential_test


@dataclass(frozen=True)
class Noise:
    """How the p50s of several processes of one file scatter."""

    name: str
    draw: Callable[[Random, int], tuple[Logs, Logs]]  # rounds: ratios as the gate sees them, single p50s
    round_s: float = ROUND_S


@dataclass(frozen=True)
class Setting:
    """A simulation: a noise, a budget, and how long the gate may measure."""

    noise: Noise
    max_regression: float = 0.05
    seconds: float = 60.0

    @property
    def rounds(self) -> int:
        """Return how many rounds the gate measures in its time, at least those before its first look."""
        return max(FIRST_LOOK, int(self.seconds / self.noise.round_s))


@dataclass(frozen=True)
class Rates:
    """The results of all trials with one slow-down, as fractions of one."""

    verdicts: Mapping[Verdict, float]
    others: Mapping[str, float]  # alarms of other rules for the same samples
    rounds: float  # mean number


def normal(name: str, scatter: float, drift: float = 0.0) -> Noise:
    """Return lognormal scatter, with a drift of the machine over the rounds, as a fraction of one."""
    return Noise(name, _alike(lambda random, rounds: random.normal(0, scatter, (rounds, 3)) + _drift(rounds, drift)))


def heavy(name: str, scatter: float) -> Noise:
    """Return scatter with the same standard deviation and the tails of Student's t with 3 degrees of freedom."""
    return Noise(name, _alike(lambda random, rounds: random.standard_t(3, (rounds, 3)) * scatter / math.sqrt(3)))


def hiccups(name: str, scatter: float, share: float, slower: float) -> Noise:
    """Return lognormal scatter where a share of the processes of all sides is slower."""

    def draw(random: Random, rounds: int) -> Logs:
        slowed = random.random((rounds, 3)) < share
        return random.normal(0, scatter, (rounds, 3)) + slowed * math.log1p(slower)

    return Noise(name, _alike(draw))


def _alike(draw: Callable[[Random, int], Logs]) -> Callable[[Random, int], tuple[Logs, Logs]]:
    """Return a noise that turns do not reduce: it comes from the processes, not from the machine's changes."""

    def both(random: Random, rounds: int) -> tuple[Logs, Logs]:
        logs = draw(random, rounds)
        return logs, logs.copy()

    return both


def recorded(name: str, rounds_of: "Recording") -> Noise:
    """Return recorded rounds: a random part in its order, with the sides shuffled in each round.

    So a drift of the machine stays in it. A recording that is too short is continued backwards.
    """

    def draw(random: Random, rounds: int) -> tuple[Logs, Logs]:
        places = np.concatenate([np.arange(len(rounds_of.turns)), np.arange(len(rounds_of.turns))[::-1]])
        start = int(random.integers(len(places)))
        stretch = np.take(places, range(start, start + rounds), mode="wrap")
        sides = random.permuted(np.tile(np.arange(3), (rounds, 1)), axis=1)
        turns, alone = (np.take_along_axis(logs[stretch], sides, axis=1) for logs in (rounds_of.turns, rounds_of.alone))
        return turns, alone

    return Noise(name, draw, rounds_of.round_s)


@dataclass(frozen=True)
class Recording:
    """Rounds of three processes of one and the same file, logarithms (rounds, 3)."""

    turns: Logs  # ratios that were measured in turns
    alone: Logs  # each process's own p50, as without turns
    round_s: float = ROUND_S  # how long one took; more beside a neighbour

    @property
    def text(self) -> str:
        """Say how much both of them scatter."""
        turns, alone = (
            100 * (logs[:, CANDIDATE] - logs[:, :CANDIDATE].mean(axis=1)).std(ddof=1) for logs in (self.turns, self.alone)
        )
        return f"a round's ratio scatters by {turns:.1f} %, by {alone:.1f} % without turns"


# As if turns did not reduce it: the scatter of mobilenet_v2 (2.7 %) and mnist_cnn (6.3 %) from process to process
# that were measured one after the other, 40 of each on one pinned core of the machine in README
MUCH = 0.027
MAX_DRAWN = 0.063
DRAWN = (
    normal(f"drawn, {100 * MUCH:.1f} %", MUCH),
    normal(f"drawn, {100 * MAX_DRAWN:.1f} %", MAX_DRAWN),
    normal(f"drawn, {100 * MUCH:.1f} %, the machine drifts by 8 %", MUCH, drift=0.08),
    heavy(f"drawn, {100 * MUCH:.1f} %, heavy tails", MUCH),
    hiccups(f"drawn, {100 * MUCH:.1f} %, one process in 20 takes 1.5 times as long", MUCH, 0.05, 0.5),
)


def _drift(rounds: int, drift: float) -> Logs:
    drifted: Logs = np.log1p(drift * np.arange(rounds * 3) / (rounds * 3))
    return drifted.reshape(rounds, 3)


def simulate(setting: Setting, slower: float, trials: int = TRIALS, seed: int = 0) -> Rates:
    """Run the gate's own looks over simulated rounds; `slower` is the slow-down that the candidate gets."""
    random = np.random.default_rng(seed)
    verdicts: list[Verdict] = []
    alarms: list[dict[str, bool]] = []
    rounds = 0
    for _ in range(trials):
        logs, alone = setting.noise.draw(random, setting.rounds)
        for sides in (logs, alone):
            sides[:, CANDIDATE] += math.log1p(slower)
        judgement = _last_look(logs, setting.max_regression)
        verdicts.append(judgement[0])
        rounds += judgement[1]
        alarms.append({name: rule(alone[:, BASE], alone[:, CANDIDATE]) for name, rule in OTHER_RULES.items()})
    counted = {verdict: verdicts.count(verdict) / trials for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)}
    return Rates(counted, {name: sum(a[name] for a in alarms) / trials for name in OTHER_RULES}, rounds / trials)


def _last_look(logs: Logs, max_regression: float) -> tuple[Verdict, int]:
    """Feed the gate the rounds in turn; time is counted in rounds."""
    used = 0

    def measure() -> npt.NDArray[np.float64]:
        nonlocal used
        used += 1
        logs_of_one: npt.NDArray[np.float64] = logs[used - 1]
        return logs_of_one

    *_, judgement = judge_sequentially(measure, max_regression, lambda: float(len(logs) - used))
    return judgement.verdict, judgement.rounds


def _asv(base: npt.NDArray[np.float64], new: npt.NDArray[np.float64]) -> bool:
    """Return asv's verdict: a factor of 1.1 between medians, and p < 0.002 in the U test of Mann and Whitney."""
    from scipy.stats import mannwhitneyu

    factor = float(np.exp(np.median(new) - np.median(base)))
    return factor > 1.1 and float(mannwhitneyu(base, new).pvalue) < 0.002


OTHER_RULES: Mapping[str, Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], bool]] = {
    "single runs, 5 %": lambda base, new: bool(np.exp(new[0] - base[0]) > 1.05),
    "mean, 5 %": lambda base, new: bool(np.exp(new).mean() / np.exp(base).mean() > 1.05),
    "min, 5 %": lambda base, new: bool(np.exp(new.min() - base.min()) > 1.05),
    "asv": _asv,
    "200 %": lambda base, new: bool(np.exp(new).mean() / np.exp(base).mean() > 3.0),
}


def record(files: Sequence[Path], say: Callable[[str], None], neighbour: bool = False) -> None:
    """Measure rounds of three equal sides of each file in its preferred runtime and write their logarithms, in order.

    With a neighbour they share one core with a busy process.
    """
    from bench.artifacts.find import find_artifacts
    from bench.measure.fresh_processes import FreshProcesses, Side
    from bench.runtimes import find_runtime, preferred_runtimes

    order, preferred = random.Random(0), preferred_runtimes()
    document = read_json(RECORDED) if RECORDED.exists() else {}
    condition = "recorded beside a neighbour on its core" if neighbour else "recorded"
    with disturbance.neighbour() if neighbour else nullcontext(), FreshProcesses(say) as fresh:
        for found in find_artifacts(files):
            side = Side(found, next(name for name in preferred if found.format in find_runtime(name).FORMATS))
            start_s = time.monotonic()
            rounds = [fresh.round([side] * 3, order) for _ in range(ROUNDS_A_FILE)]
            round_s = (time.monotonic() - start_s) / len(rounds)
            turns, alone = (np.array(logs) for logs in zip(*((r.log_ratios, np.log(r.p50_ns)) for r in rounds), strict=True))
            name = f"{found.card.model} {found.card.variant}, {condition}"
            document[name] = {"turns": turns.tolist(), "alone": alone.tolist(), "round_s": round_s}
            write_json(RECORDED, document)
            say(f"{found.path}: {len(rounds)} rounds of {round_s:.1f} s: {Recording(turns, alone).text}")


def real_pairs(logs: Logs) -> list[Verdict]:
    """Judge each part of the recorded rounds that fills a first look as an A/A comparison, with a budget of 5 %."""
    starts = range(0, len(logs) - FIRST_LOOK + 1, FIRST_LOOK)
    return [_last_look(logs[start : start + FIRST_LOOK], 0.05)[0] for start in starts]


def report(trials: int, say: Callable[[str], None]) -> None:
    """Simulate every setting and write the table and the plot."""
    lines = [f"Budget `max_regression = 0.05`, 60 s of measuring, {trials:,} trials each. FAIL in percent:", ""]
    document = read_json(RECORDED) if RECORDED.exists() else {}
    kept = {
        name: Recording(np.array(one["turns"]), np.array(one["alone"]), one["round_s"]) for name, one in document.items()
    }
    noises = [recorded(name, recording) for name, recording in kept.items()]
    curves = {noise.name: [simulate(Setting(noise), slower, trials) for slower in SLOWER] for noise in (*noises, *DRAWN)}
    lines += _table(curves, lambda rates: rates.verdicts[Verdict.FAIL])
    lines += ["", "INCONCLUSIVE in percent; the rest is PASS:", ""]
    lines += _table(curves, lambda rates: rates.verdicts[Verdict.INCONCLUSIVE])
    lines += ["", "Other rules, same samples, alarms in percent without a slow-down / at 10 %:", "", *_others(curves)]
    longer = {
        f"{noise.name}, {seconds:.0f} s": [simulate(Setting(noise, 0.02, seconds), slower, trials) for slower in SLOWER]
        for noise in (*noises, DRAWN[0])
        for seconds in (60.0, 180.0)
    }
    lines += ["", "Budget `max_regression = 0.02`. FAIL in percent:", ""]
    lines += _table(longer, lambda rates: rates.verdicts[Verdict.FAIL])
    for name, recording in kept.items():
        verdicts = real_pairs(recording.turns)
        counts = ", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in Verdict if verdict in verdicts)
        lines += ["", f"{name}, {len(recording.turns)} rounds of {recording.round_s:.1f} s: {recording.text}."]
        lines += [f"Real A/A comparisons of it (first look, {len(verdicts)} of them): {counts}."]
    write_bytes(
        TABLE,
        (
            "# The gate's error rates\n\nMade by `make gate-power`; [gate.md](gate.md) explains them.\n\n"
            + "\n".join(lines)
            + "\n"
        ).encode(),
    )
    _plot(curves)
    say("\n".join(lines))
    say(f"wrote {TABLE} and {PLOT}")


def _table(curves: Mapping[str, Sequence[Rates]], figure: Callable[[Rates], float]) -> list[str]:
    head = ["noise", *(f"+{100 * slower:.0f} %" for slower in SLOWER)]
    rows = [[name, *(f"{100 * figure(rates):.1f}" for rates in all_rates)] for name, all_rates in curves.items()]
    return _markdown(head, rows)


def _others(curves: Mapping[str, Sequence[Rates]]) -> list[str]:
    ten = SLOWER.index(0.10)
    rows = []
    for name, rates in curves.items():
        own = f"{100 * rates[0].verdicts[Verdict.FAIL]:.1f} / {100 * rates[ten].verdicts[Verdict.FAIL]:.1f}"
        others = [f"{100 * rates[0].others[rule]:.1f} / {100 * rates[ten].others[rule]:.1f}" for rule in OTHER_RULES]
        rows.append([name, own, *others])
    return _markdown(["noise", "edgeproof", *OTHER_RULES], rows)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def _plot(curves: Mapping[str, Sequence[Rates]]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, rates in curves.items():
        style = "--" if name in {noise.name for noise in DRAWN} else "-"
        axes.plot([100 * s for s in SLOWER], [100 * r.verdicts[Verdict.FAIL] for r in rates], style, marker="o", label=name)
    axes.axvline(5, color="grey", linewidth=0.8)
    axes.annotate("the budget", (5, 50), (5.3, 50), color="grey")
    axes.set(
        xlabel="planted slow-down, %", ylabel="FAIL, % of comparisons", title="What the gate finds in 60 s", ylim=(-2, 102)
    )
    axes.legend(fontsize=7)
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"] and len(sys.argv) > 2:
        names = [name for name in sys.argv[2:] if name != "--neighbour"]
        record([Path(name) for name in names], print, neighbour="--neighbour" in sys.argv)
    elif sys.argv[1:2] == ["simulate"]:
        report(int(sys.argv[2]) if len(sys.argv) > 2 else TRIALS, print)
    else:
        sys.exit(__doc__)
