"""Commands that show what was measured: report, recommend, compare."""

import json
from pathlib import Path
from typing import Any

import click

from bench.commands.options import WithBudgets
from common.paths import RESULTS


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=RESULTS)
@click.option(
    "--history/--no-history", "trend", default=None, help="Draw the trend over commits; by default if there are two runs."
)
def report(file: Path, trend: bool | None) -> None:
    """Write report.html and report.md beside FILE (build/bench.json) again and print the table."""
    from bench.report.place import check_report_place
    from bench.report.write import write_report
    from bench.results.integrity import load_verified_results
    from bench.search.shown.section import search_sections

    results = load_verified_results(file)
    check_report_place(file)
    write_report(results, file, search_sections(file), trend)


@click.command(cls=WithBudgets)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--model", metavar="NAME", help="Only this model: MODEL or MODEL@NAME.")
@click.option("--runtime", metavar="NAME", help="Only this one.")
@click.option("--device", metavar="NAME", help="Only this one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def recommend(
    files: tuple[Path, ...],
    model: str | None,
    runtime: str | None,
    device: str | None,
    as_json: bool,
    **budgets: float | None,
) -> int:
    """Pick the row of FILE (build/bench.json) that fits the budgets and say why, or name the nearest.

    A budget is kept if the whole 99 % interval is within it, as in `bench check`. With several files each machine is judged
    by itself, and the exit code is that of the worst. Exit code 0: one is shown to fit; 1: none fits; 3: the sample does not
    show it, or its timing is not valid.
    """
    from bench.analysis.recommend import limits_of, per_machine, recommend as pick
    from bench.results.integrity import load_sound_results
    from bench.search.shown.section import search_lines
    from common.verdict import EXIT_CODES, overall

    wanted = {"model": model, "device": device, "runtime": runtime}
    if len(files) < 2:
        file = files[0] if files else RESULTS
        found = pick(load_sound_results(file), limits_of(budgets), wanted)
        searched = search_lines(file, model)
        document = found.to_json() | {"searches": searched}
        click.echo(json.dumps(document, indent=1) if as_json else "\n".join([*found.lines, *searched]))
        return EXIT_CODES[found.verdict]
    machines = per_machine({str(file): load_sound_results(file) for file in files}, limits_of(budgets), wanted)
    if as_json:
        click.echo(json.dumps({"machines": [machine.to_json() for machine in machines]}, indent=1))
    else:
        click.echo("\n".join(line for machine in machines for line in machine.lines))
    return EXIT_CODES[overall(machine.found.verdict for machine in machines)]


@click.command()
@click.argument("first", type=click.Path(path_type=Path), metavar="A.json")
@click.argument("others", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="B.json...")
@click.option("--across", multiple=True, metavar="FIELD", help="Compare even if FIELD differs; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compare(first: Path, others: tuple[Path, ...], across: tuple[str, ...], as_json: bool) -> None:
    """Compare the rows of each B.json with those of A.json: ratio of times (over 1: B is slower), size and accuracy.

    Rows with a different machine, threads, runtime version or data set are refused unless --across names the FIELD: device,
    accelerator, threads, machine, governor, runtime_version, data_set.
    """
    from bench.analysis import compare as side_by_side
    from bench.results.integrity import load_verified_results
    from device.errors import EdgeproofError

    before = load_verified_results(first)
    found = []
    for other in others:
        after = load_verified_results(other)
        try:
            found.append(side_by_side.compare(before, after, across))
        except EdgeproofError as error:
            raise EdgeproofError(f"{first}, {other}: {error}") from error
    if as_json:
        documents = [{"first": str(first), "second": str(b), **one.to_json()} for b, one in zip(others, found, strict=True)]
        click.echo(json.dumps(found[0].to_json() if len(found) == 1 else {"comparisons": documents}, indent=1))
        return
    for other, comparison in zip(others, found, strict=True):
        if len(found) > 1:
            click.echo(f"{other} against {first}:")
        _print_comparison(comparison, first, other)


def _print_comparison(found: Any, first: Path, second: Path) -> None:
    from bench.analysis import compare as side_by_side
    from common.tables import table_lines, wrapped

    rows = [side_by_side.cells(row) for row in found.rows]
    for line in table_lines(side_by_side.COLUMNS, rows, side_by_side.LEFT_OUT_FIRST):
        click.echo(line)
    for line in wrapped(side_by_side.summary(found, str(first), str(second))):
        click.echo(line)
