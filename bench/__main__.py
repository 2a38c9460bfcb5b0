"""The command `python -m bench`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from train.cli import run_cli

if TYPE_CHECKING:
    from bench.results import Results

MODES = ("rapid", "quick", "normal")
RESULTS = Path("build/bench.json")
BUDGETS = Path("bench/budgets.toml")
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def main() -> None:
    """Measure artifacts: accuracy, latency, start-up, memory and size in every runtime."""


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--mode", type=click.Choice(MODES), default="rapid", show_default=True, help="How long: 6, 10 or 60 s a row.")
@click.option("--data", type=click.Path(path_type=Path), help="Test on a folder of class folders of pictures instead.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Measure each row this long instead.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Of each runtime.")
@click.option("--output", type=click.Path(path_type=Path), help=f"Merged into this file: {RESULTS}, or bench@FOLDER.json.")
def run(
    files: tuple[Path, ...],
    runtimes: tuple[str, ...],
    mode: str,
    data: Path | None,
    seconds: float | None,
    threads: int,
    output: Path | None,
) -> int:
    """Measure FILE... (all artifacts of build/ without) and merge the rows into build/bench.json."""
    from bench import environment
    from bench.artifacts import find_artifacts
    from bench.results import Results, load_results
    from bench.run import MODES as MODE_TABLE, run as bench_run

    if output is None:
        output = RESULTS if data is None else RESULTS.with_name(f"bench@{data.resolve().name}.json")
    how_long = MODE_TABLE[mode] if seconds is None else replace(MODE_TABLE[mode], duration_s=seconds)
    results = load_results(output) if output.exists() else Results()
    here = environment.describe().to_json()
    outcome = bench_run(find_artifacts(files), runtimes, how_long, threads, click.echo, data)
    results.merge(outcome.measured, outcome.skipped, here)
    results.save(output)
    _write_report(results, output)
    return 1 if outcome.crashed else 0


@main.command()
@click.argument("file", type=click.Path(path_type=Path), default=RESULTS)
def report(file: Path) -> None:
    """Write report.md beside FILE (build/bench.json) again and print its table."""
    from bench.results import load_results

    _write_report(load_results(file), file)


def _judging(command: Command) -> Command:
    """Give a command the options that `check` and `gate` share."""
    file = click.Path(path_type=Path)
    for option in (
        click.option("--json", type=file, metavar="FILE", help="Write everything as JSON."),
        click.option("--bmf", type=file, metavar="FILE", help="Write Bencher Metric Format."),
        click.option("--markdown", type=file, metavar="FILE", help="Write a pull request's comment."),
        click.option("--junit", type=file, metavar="FILE", help="Write JUnit XML, one case a budget."),
        click.option(
            "--inconclusive", type=click.Choice(["pass", "fail"]), help="What INCONCLUSIVE counts as, instead of code 3."
        ),
        click.option("--budgets", type=file, default=BUDGETS, show_default=True, help="The budgets file."),
    ):
        command = option(command)
    return command


@main.command()
@click.argument("results", type=click.Path(path_type=Path), default=RESULTS)
@click.option("--measure", is_flag=True, help="Measure what has budgets first, and longer where nothing is decided.")
@click.option(
    "--max-time", type=click.FloatRange(min=0), default=600, show_default=True, help="Seconds for --measure, in all."
)
@_judging
def check(results: Path, measure: bool, max_time: float, budgets: Path, **outputs: Any) -> int:
    """Hold the budgets against RESULTS (build/bench.json): 0 all pass, 1 one fails, 3 one is inconclusive."""
    from bench.budget import load_budgets
    from bench.check import check as check_results
    from bench.soundness import load_sound_results
    from bench.tell import Outputs, tell

    rules = load_budgets(budgets)
    if measure:
        from bench.remeasure import measure_and_check

        findings = measure_and_check(results, rules, max_time, click.echo)
    else:
        findings = check_results(load_sound_results(results), rules)
    return tell(findings, f"Budgets of {results}", Outputs(**outputs), click.echo)


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--baseline", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Made by `baseline save`.")
@click.option("--max-time", type=click.FloatRange(min=0), default=60, show_default=True, help="Seconds of latency a row.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of processes.")
@_judging
def gate(files: tuple[Path, ...], baseline: Path, max_time: float, seed: int, budgets: Path, **outputs: Any) -> int:
    """Measure FILE... (build/ without) and the baseline side by side: 0 pass, 1 a regression, 3 inconclusive."""
    from bench import environment
    from bench.artifacts import find_artifacts
    from bench.baseline import load
    from bench.budget import load_budgets
    from bench.fresh import FreshProcesses
    from bench.gate import Setting, counts_in, gate as gate_pairs, pairs_of
    from bench.tell import Outputs, tell

    rules, before, here = load_budgets(budgets), load(baseline), environment.describe().to_json()
    pairs = pairs_of(before, find_artifacts(files), rules, here, all_named=bool(files))
    with FreshProcesses(click.echo) as fresh:
        setting = Setting(max_time, seed, counts=counts_in(RESULTS))
        findings = gate_pairs(pairs, before, here, fresh, setting, click.echo)
    return tell(findings, f"Against the baseline {baseline}", Outputs(**outputs), click.echo)


@main.group()
def baseline() -> None:
    """Keep artifacts to compare later builds with."""


@baseline.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Where FILE... were measured."
)
@click.option(
    "--budgets", type=click.Path(path_type=Path), default=BUDGETS, show_default=True, help="Which FILE... must not break."
)
def save(folder: Path, files: tuple[Path, ...], results: Path, budgets: Path) -> None:
    """Store FILE... with their results and hashes in DIR; refused where one breaks a budget."""
    from bench.artifacts import find_artifacts
    from bench.baseline import save as save_baseline
    from bench.budget import load_budgets
    from bench.soundness import load_sound_results

    saved = save_baseline(folder, find_artifacts(files), load_sound_results(results), load_budgets(budgets))
    click.echo(f"wrote {folder}: {len(saved.artifacts)} artifacts, {len(saved.results.rows)} rows")


def _write_report(results: "Results", path: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from bench.report import COLUMNS, markdown, notes, table
    from train.files import write_bytes

    report_path = path.with_name(path.stem.replace("bench", "report", 1) + ".md")
    write_bytes(report_path, markdown(results).encode())
    shown = Table(*COLUMNS)
    for cells in table(results.rows):
        shown.add_row(*cells)
    console = Console() if Console().is_terminal else Console(width=200)
    console.print(shown)
    for note in notes(results):
        click.echo(note)
    click.echo(f"wrote {path}, {path.with_suffix('.npz')} and {report_path}")


if __name__ == "__main__":
    run_cli(main, "bench")
