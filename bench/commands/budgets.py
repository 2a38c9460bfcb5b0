"""Commands that judge: check, gate, baseline save."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import BUDGETS_HELP, judging
from common.cli import SEEDS, Commands, Number
from common.counts import counted
from common.paths import RESULTS

if TYPE_CHECKING:
    from bench.budgets.finding import Finding


@click.command()
@click.argument("results", type=click.Path(path_type=Path), default=RESULTS)
@click.option("--measure", is_flag=True, help="First measure what has budgets, and longer where there is no verdict.")
@click.option("--data", type=click.Path(path_type=Path), help="For --measure: a folder of class folders of test pictures.")
@click.option("--max-time", type=Number(min=0), default=600, show_default=True, help="Seconds for --measure in total.")
@judging
def check(results: Path, measure: bool, data: Path | None, max_time: float, budgets: Path | None, **outputs: Any) -> int:
    """Compare RESULTS (build/bench.json) with the budgets: 0 all pass, 1 one fails, 3 one is inconclusive."""
    from bench.budgets.output import Outputs, publish, telling_refusals

    if data is not None and not measure:
        raise click.UsageError("--data needs --measure: the pictures of results that exist are known")
    wanted = Outputs(**outputs)
    wanted.refuse_inputs(results, [budgets, data])
    with telling_refusals(wanted, click.echo):
        findings = _measured_findings(results, budgets, data, max_time) if measure else _findings(results, budgets)
        return publish(findings, f"Budgets of {results}", wanted, click.echo)


def _findings(results: Path, budgets: Path | None) -> "list[Finding]":
    from bench.budgets.changed_files import doubted, missing_note
    from bench.budgets.check import check as check_results
    from bench.budgets.rules import load_budgets
    from bench.results.integrity import load_sound_results
    from common.project import budgets_path

    measured = load_sound_results(results)
    findings = doubted(check_results(measured, load_budgets(budgets_path(budgets))), measured.rows)
    note = missing_note(measured.rows)
    if note:
        click.echo(note)
    return findings


def _measured_findings(results: Path, budgets: Path | None, data: Path | None, max_time: float) -> "list[Finding]":
    from bench.budgets.remeasure import measure_and_check
    from bench.budgets.rules import load_budgets
    from common.lock import exclusive
    from common.project import budgets_path

    rules = load_budgets(budgets_path(budgets))
    with exclusive(results):
        return measure_and_check(results, rules, max_time, click.echo, data)


@dataclass(frozen=True)
class GateOptions:
    """What `bench gate` compares and how it measures; the help texts of its options explain them."""

    files: tuple[Path, ...]
    baseline: Path | None
    data: Path | None
    max_time: float  # seconds
    seed: int
    results: Path
    budgets: Path | None

    @property
    def inputs(self) -> list[Path | None]:
        """Return the files and folders that are read besides the results; None: one that was not given."""
        return [*self.files, self.budgets, self.baseline, self.data]


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Of `baseline save`  [default: of edgeproof.toml]",
)
@click.option("--data", type=click.Path(path_type=Path), help="Test on this folder of class folders of pictures.")
@click.option(
    "--max-time",
    type=Number(min=0),
    default=60,
    show_default=True,
    help="Seconds to measure each row; at least 8 rounds are measured.",
)
@click.option("--seed", type=SEEDS, default=0, show_default=True, help="Seed of the order of processes.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=RESULTS,
    show_default=True,
    help="Results of FILE...: figures that the gate does not measure.",
)
@judging
def gate(**given: Any) -> int:
    """Measure FILE... (default: build/) and the baseline in turns: 0 pass, 1 a regression, 3 inconclusive.

    The budgets of the files themselves, as of their size, are judged too, if the gate or the results know their figures.
    """
    from bench.budgets.output import Outputs, publish, telling_refusals

    options = GateOptions(**{field.name: given.pop(field.name) for field in fields(GateOptions)})
    wanted = Outputs(**given)
    wanted.refuse_inputs(options.results, options.inputs)
    with telling_refusals(wanted, click.echo):
        findings, folder = _compared(options)
        return publish(findings, f"Compared with {folder}/", wanted, click.echo)


def _compared(options: GateOptions) -> "tuple[list[Finding], Path]":
    """Return the findings, and the baseline's folder."""
    from bench.artifacts.find import find_artifacts
    from bench.budgets.baseline import load, without
    from bench.budgets.gate import Setting, counts_in, gate as compare_pairs, unjudged
    from bench.budgets.gate_pairs import pairs_of
    from bench.budgets.present_limits import not_judged, results_if_there
    from bench.budgets.rules import load_budgets
    from bench.machine import environment
    from bench.measure.fresh_processes import FreshProcesses
    from bench.remote.browser.sides import with_browsers
    from common.project import baseline_path, budgets_path

    rules, before = load_budgets(budgets_path(options.budgets)), load(baseline_path(options.baseline))
    current = environment.describe()
    candidates = find_artifacts(options.files)
    pairs = pairs_of(before, candidates, rules, current, all_named=bool(options.files))
    for text in without(before.artifacts, candidates):
        click.echo(f"not compared: {text}, which {before.folder} holds too")
    with FreshProcesses(click.echo, data=options.data) as fresh, with_browsers(fresh, options.data) as measures:
        measured = results_if_there(options.results)
        counts = counts_in(measured)
        setting = Setting(options.max_time, options.seed, counts=counts, data=options.data, measured=measured)
        findings = compare_pairs(pairs, before, current, measures, setting, click.echo)
    next_step = "`edgeproof bench run FILE...`, then `edgeproof bench check`, which judges them"
    left = not_judged(rules, [pair.row.subject for pair in pairs], unjudged(pairs, findings), next_step)
    if left:
        click.echo(left)
    return findings, before.folder


@click.group(cls=Commands)
def baseline() -> None:
    """Keep artifacts to compare later builds with."""


@baseline.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Results with the rows of FILE..."
)
@click.option("--budgets", type=click.Path(path_type=Path), help=f"Budgets that FILE... must keep. {BUDGETS_HELP}")
def save(folder: Path, files: tuple[Path, ...], results: Path, budgets: Path | None) -> None:
    """Store FILE... with their results and hashes in DIR; a FILE that breaks a budget is refused."""
    from bench.artifacts.find import find_artifacts
    from bench.budgets.baseline import removed_by_saving, save as save_baseline
    from bench.budgets.rules import load_budgets
    from bench.results.integrity import load_sound_results
    from common.project import budgets_path

    artifacts = find_artifacts(files)
    removed = removed_by_saving(folder, artifacts)
    saved = save_baseline(folder, artifacts, load_sound_results(results), load_budgets(budgets_path(budgets)))
    click.echo(f"wrote {folder}: {counted(len(saved.artifacts), 'artifact')}, {counted(len(saved.results.rows), 'row')}")
    for text in removed:
        click.echo(f"removed from {folder}: {text}, which was not named: save it again with the others to compare it")
