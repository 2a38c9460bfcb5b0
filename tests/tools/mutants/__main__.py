"""`make mutants`: a seeded sample of changes to the modules that decide something, and how many of them a test notices."""

import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from device.scoring import wilson_interval
from tests.tools.mutants.mutations import Mutation, mutations_of
from tests.tools.mutants.own_tests import tests_of
from tests.tools.mutants.trial import Trial, copy_checkout, load_libraries, passes, run_all

CHECKOUT = Path(__file__).resolve().parents[3]
DECIDING = (  # where a mistake is a wrong verdict, figure or answer; a folder is all that lies in it
    "bench/analysis/best_variant.py",
    "bench/analysis/compare.py",
    "bench/analysis/float_pairs.py",
    "bench/analysis/recommend.py",
    "bench/budgets/check.py",
    "bench/budgets/device_match.py",
    "bench/budgets/figures.py",
    "bench/budgets/finding.py",
    "bench/budgets/gate.py",
    "bench/budgets/gate_pairs.py",
    "bench/budgets/kinds.py",
    "bench/budgets/limit.py",
    "bench/budgets/relative_figures.py",
    "bench/budgets/remeasure.py",
    "bench/budgets/rules.py",
    "bench/remote/microcontroller/arena.py",
    "bench/results/validity.py",
    "bench/stats",
    "common/interval.py",
    "common/micro_figures.py",
    "common/paired_accuracy.py",
    "common/verdict.py",
    "convert/calibration.py",
    "convert/deployment/compatibility.py",
    "convert/deployment/microcontroller/fit.py",
    "convert/deployment/required_operators.py",
    "convert/variants.py",
    "convert/verification",
    "device/card.py",
    "device/pictures/digit_frame.py",
    "device/pictures/ink_pieces.py",
    "device/pictures/stroke_frame.py",
    "device/preprocessing/prepare.py",
    "device/scoring.py",
    "device/pictures/steps.py",
)
FIRST_LIMIT_S = 600.0  # of the tests of one module, without a change
LIMIT_TIMES, LIMIT_MORE_S = 5, 20.0  # of a mutant: so much longer than without the change is a hang


@click.command()
@click.option("--sample", type=click.IntRange(1), default=300, show_default=True, help="Take so many changes by chance.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draw them by this seed.")
@click.option("--module", "modules", multiple=True, help="Change this file or folder only, such as bench/stats.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Run so many at a time.")
def main(sample: int, seed: int, modules: Sequence[str], jobs: int) -> None:
    """Change the code in one place at a time, run its tests, and print each change that no test notices."""
    files = [file for name in modules or DECIDING for file in files_of(name)]
    sources = {file: (CHECKOUT / file).read_bytes() for file in files}
    every = [mutation for file, source in sources.items() for mutation in mutations_of(file, source)]
    drawn = sorted(random.Random(seed).sample(every, min(sample, len(every))), key=every.index)
    click.echo(f"{len(drawn)} of {len(every)} changes to {len(files)} files, seed {seed}")
    load_libraries()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Path(folder) / str(number) for number in range(jobs)]
        for copy in copies:
            copy_checkout(CHECKOUT, copy)
        _report(_survivors(drawn, copies), drawn, sources)


def files_of(name: str) -> list[Path]:
    """Return the Python files of a name in DECIDING, from the top of the checkout."""
    path = CHECKOUT / name
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    if not all(file.is_file() for file in found) or not found:
        raise click.BadParameter(f"{name}: no such file or folder in the checkout")
    return [file.relative_to(CHECKOUT) for file in found]


def _survivors(drawn: Sequence[Mutation], copies: Sequence[Path]) -> list[Mutation]:
    """Run the tests of each file as it is, then against each change; return the changes with which they pass."""
    tests = {file: tuple(tests_of(file, CHECKOUT)) for file in dict.fromkeys(mutation.path for mutation in drawn)}
    sets = list(dict.fromkeys(found for found in tests.values() if found))
    seconds = {chosen: copies[0].parent / f"{number}.json" for number, chosen in enumerate(sets)}
    for _ in range(2):  # the second time in the order that they will have
        done = list(run_all([Trial(copies[0], chosen, FIRST_LIMIT_S, seconds[chosen]) for chosen in sets], copies))
        limits_s = {tuple(trial.tests): LIMIT_TIMES * trial.seconds + LIMIT_MORE_S for trial in done}
        if failed := [trial for trial in done if not passes(trial.code)]:
            raise click.ClickException("\n".join(f"do not pass without a change: {trial.output}" for trial in failed))
    for trial in done:
        click.echo(f"{trial.seconds:5.1f} s  {' '.join(map(str, trial.tests))}")
    tested = [(mutation, tests[mutation.path]) for mutation in drawn if tests[mutation.path]]
    trials = [Trial(copies[0], own, limits_s[own], seconds[own], mutation) for mutation, own in tested]
    survivors = [mutation for mutation in drawn if not tests[mutation.path]]
    for number, trial in enumerate(run_all(trials, copies), 1):
        assert trial.mutation is not None
        if passes(trial.code):
            survivors.append(trial.mutation)
        how = "survived" if passes(trial.code) else "out of time" if trial.code is None else "killed"
        place = f"{trial.mutation.path}:{trial.mutation.line}"
        click.echo(f"{number}/{len(trials)} {how} in {trial.seconds:.1f} s: {place}")
    return survivors


def _report(survivors: Sequence[Mutation], drawn: Sequence[Mutation], sources: dict[Path, bytes]) -> None:
    for mutation in sorted(survivors, key=lambda mutation: (mutation.path, mutation.start)):
        click.echo(f"\n{mutation.diff(sources[mutation.path])}")
    of_all, left = (Counter(mutation.path for mutation in group) for group in (drawn, survivors))
    click.echo("\n| module | mutants | killed | survived |\n|---|---:|---:|---:|")
    for path, count in of_all.items():
        click.echo(f"| {path} | {count} | {count - left[path]} | {left[path]} |")
    killed = len(drawn) - len(survivors)
    low, high = wilson_interval(killed, len(drawn))
    click.echo(f"\nkilled {killed} of {len(drawn)}: {100 * killed / len(drawn):.1f} % ({100 * low:.1f} to {100 * high:.1f})")


if __name__ == "__main__":
    main()
