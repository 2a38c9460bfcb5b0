"""The command `python -m bench`."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from train.cli import run_cli

if TYPE_CHECKING:
    from bench.results import Results

MODES = ("rapid", "quick", "normal")
RESULTS = Path("build/bench.json")


@click.group()
def main() -> None:
    """Measure artifacts: accuracy, latency, start-up, memory and size in every runtime."""


class ThreadCounts(click.ParamType[tuple[int, ...]]):
    """`1` or `1,2,4`: a row for each."""

    name = "N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the counts in the order given, each once."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.isdigit() and 1 <= int(part) <= 256 for part in parts):
            self.fail(f"{value!r}: expected numbers from 1 to 256, such as 1,2,4", param, ctx)
        return tuple(dict.fromkeys(int(part) for part in parts))


class Duration(click.ParamType[float]):
    """`90s`, `10m` or `1h`, in seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", str(value))
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r}: expected a time such as 90s, 10m or 1h", param, ctx)
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--mode", type=click.Choice(MODES), default="rapid", show_default=True, help="How long: 6, 10 or 60 s a row.")
@click.option("--data", type=click.Path(path_type=Path), help="Test on a folder of class folders of pictures instead.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Measure each row this long instead.")
@click.option("--threads", type=ThreadCounts(), default="1", show_default=True, help="Of each runtime; a row for each.")
@click.option("--profile", is_flag=True, help="Print each row's time per operation too, and keep it in build/profile/.")
@click.option("--sustain", type=Duration(), default=0.0, help="Then keep each row busy so long: 10m. Told minute by minute.")
@click.option("--loadgen", is_flag=True, help="Run each row under MLPerf's LoadGen too; its logs go to loadgen/.")
@click.option("--labels", type=click.Path(path_type=Path), help="Of a model without a card: one label a line.")
@click.option("--preprocess", type=click.Path(path_type=Path), help="Of a model without a card: JSON of the card's steps.")
@click.option(
    "--input-shape", "shapes", multiple=True, metavar="[NAME=]SIDES", help="Of a model with free sides: 1,224,224,3."
)
@click.option(
    "--max-memory-mb", type=click.IntRange(min=1), help="Of each measuring process  [default: 40 % of what is free]"
)
@click.option("--output", type=click.Path(path_type=Path), help=f"Merged into this file: {RESULTS}, or bench@FOLDER.json.")
def run(
    files: tuple[Path, ...],
    runtimes: tuple[str, ...],
    mode: str,
    data: Path | None,
    seconds: float | None,
    threads: tuple[int, ...],
    profile: bool,
    sustain: float,
    loadgen: bool,
    labels: Path | None,
    preprocess: Path | None,
    shapes: tuple[str, ...],
    max_memory_mb: int | None,
    output: Path | None,
) -> int:
    """Measure FILE... (all artifacts of build/ without) and merge the rows into build/bench.json.

    A FILE that was not made here and has no card is measured with random input; --labels, --preprocess and --data together
    tell how its accuracy is measured. Ctrl-C keeps the rows that are finished.
    """
    from bench import environment
    from bench.artifacts import find_artifacts
    from bench.given import Told
    from bench.loadgen import check_installed
    from bench.results import Results, load_results
    from bench.run import MODES as MODE_TABLE, Extras, run as bench_run

    if output is None:
        output = RESULTS if data is None else RESULTS.with_name(f"bench@{data.resolve().name}.json")
    how_long = MODE_TABLE[mode] if seconds is None else replace(MODE_TABLE[mode], duration_s=seconds)
    if loadgen:
        check_installed()
    logs = output.with_name("loadgen") if loadgen else None
    results = load_results(output) if output.exists() else Results()
    here = environment.describe().to_json()
    artifacts = find_artifacts(files, Told(labels, preprocess, data, shapes))
    extras = Extras(profile, sustain, None if max_memory_mb is None else max_memory_mb * 1_000_000, logs)
    outcome = bench_run(artifacts, runtimes, how_long, threads, click.echo, data, extras=extras)
    results.merge(outcome.measured, outcome.skipped, here)
    results.save(output)
    _write_report(results, output)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return 1 if outcome.crashed else 0


@main.command()
@click.argument("file", type=click.Path(path_type=Path), default=RESULTS)
def report(file: Path) -> None:
    """Write report.md beside FILE (build/bench.json) again and print its table."""
    from bench.results import load_results

    _write_report(load_results(file), file)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(as_json: bool) -> int:
    """Say what this machine can measure and what to fix first; exit code 1 where there is something to fix."""
    import json

    from bench.doctor import examine, lines, to_json

    items = examine()
    click.echo(json.dumps(to_json(items), indent=1) if as_json else "\n".join(lines(items)))
    return 1 if any(item.fix for item in items) else 0


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
