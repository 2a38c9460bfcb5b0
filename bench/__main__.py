"""The command `python -m bench`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from train.cli import run_cli

if TYPE_CHECKING:
    from bench.results import Results

MODES = ("rapid", "quick", "normal")
RESULTS = Path("build/bench.json")


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


@main.command()
@click.argument("names", nargs=-1, metavar="[DEVICE...]")
def emulate(names: tuple[str, ...]) -> None:
    """Build the emulated DEVICE... (all without): an ARM user space, QEMU, the runtimes' ARM wheels. Once; then kept."""
    from bench.emulated.build import build_devices

    for line in build_devices(names, click.echo):
        click.echo(line)


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--device", "names", default="emulated-pi4", show_default=True, metavar="A,B", help="Emulated ones; or all.")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--pictures", default=100, show_default=True, type=click.IntRange(1), help="Test pictures of each row.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Merged into this.")
def rehearse(files: tuple[Path, ...], names: str, runtimes: tuple[str, ...], pictures: int, output: Path) -> int:
    """Run FILE... (all int8 and float32 artifacts of build/ without) on an emulated device, and compare with this machine.

    Golden pictures, accuracy and memory are real there; times are not latencies. Ends with 1 where an answer differs.
    """
    from bench.emulated.build import chosen_devices
    from bench.rehearse import rehearse as run_rehearsal, rehearsed_artifacts
    from bench.rows import save_rehearsals

    devices = chosen_devices(names)
    outcome = run_rehearsal(rehearsed_artifacts(files), devices, runtimes, pictures, click.echo)
    save_rehearsals(outcome, devices, output)
    click.echo(f"{outcome.summary}; wrote {output}")
    return 1 if outcome.failed else 0


@main.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--core", "cores", default="cortex-a72", show_default=True, metavar="A,B", help="cortex-a53, ..., host; all.")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Merged into this.")
def count(files: tuple[Path, ...], cores: str, runtimes: tuple[str, ...], output: Path) -> int:
    """Count the instructions of FILE... (all int8 and float32 artifacts of build/ without) on emulated cores, or here.

    For import, load, first and steady inference. An emulated core's count is the same in every run and on every machine; it
    is no time. Where it cannot be had the row is skipped with the reason.
    """
    from bench.count import count_all, counts_table
    from bench.rehearse import rehearsed_artifacts
    from bench.rows import save_counts

    counted = count_all(rehearsed_artifacts(files), cores, runtimes, click.echo)
    for line in (*counts_table(counted), *save_counts(counted, output)):
        click.echo(line)
    return 1 if counted.crashed else 0


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
