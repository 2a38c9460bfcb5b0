"""The command `bench run`: measure artifacts here, or on devices over SSH."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from bench.commands.options import MODES, Duration, ThreadCounts
from common.cli import Number, count_from
from common.paths import RESULTS


@dataclass(frozen=True)
class RunOptions:
    """The options of `bench run`; their help texts explain them."""

    files: tuple[Path, ...]
    runtimes: tuple[str, ...]
    mode: str
    data: Path | None
    seconds: float | None
    threads: tuple[int, ...]
    devices: str | None
    pictures: int | None
    offline: bool
    profile: bool
    sustain: float
    loadgen: bool
    labels: Path | None
    preprocess: str | None
    input_range: str | None
    fit: str | None
    shapes: tuple[str, ...]
    max_memory_mb: int | None
    output: Path | None

    @property
    def results_path(self) -> Path:
        """Return the file that the rows are merged into; each data folder has its own."""
        return self.output or (RESULTS if self.data is None else RESULTS.with_name(f"bench@{self.data.resolve().name}.json"))


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--mode", type=click.Choice(MODES), default="rapid", show_default=True, help="Measure 2, 10 or 60 s a row.")
@click.option("--data", type=click.Path(path_type=Path), help="Test on this folder of class folders of pictures.")
@click.option("--seconds", type=Number(min=0), help="Measure each row this long.")
@click.option("--threads", type=ThreadCounts(), default="1", show_default=True, help="Threads; a row for each number.")
@click.option(
    "--device",
    "devices",
    metavar="NAME,...",
    help="Measure on these: pi4,pi5 over SSH, chromium, tflite-micro; see docs/ssh-devices.md.",
)
@click.option(
    "--pictures", type=count_from(1), help="With --device: at most N a row  [default: 1000 in chromium; 100 if emulated]"
)
@click.option("--offline", is_flag=True, help="Push wheels to a device, which then needs no package index.")
@click.option("--profile", is_flag=True, help="Print each row's time per operation too, and keep it in build/profile/.")
@click.option("--sustain", type=Duration(), default=0.0, help="Then keep each row busy so long: 10m.")
@click.option("--loadgen", is_flag=True, help="Run each row under MLPerf's LoadGen too; its logs go to loadgen/.")
@click.option("--labels", type=click.Path(path_type=Path), help="Labels of a model without a card, one a line.")
@click.option("--preprocess", metavar="FILE|PRESET", help="Steps and values of a model without a card.")
@click.option("--input-range", metavar="A..B", help="Values that a model without a card takes, as -1..1.")
@click.option("--fit", metavar="crop|stretch", help="For a model without a card: crop pictures to its size, or stretch.")
@click.option(
    "--input-shape", "shapes", multiple=True, metavar="[NAME=]SIDES", help="Shape of a model with free sides: 1,224,224,3."
)
@click.option("--max-memory-mb", type=count_from(1), help="Memory limit of each measuring process  [default: 40 % of free]")
@click.option("--output", type=click.Path(path_type=Path), help=f"Merge into this file: {RESULTS}, or bench@FOLDER.json.")
def run(**given: Any) -> int:
    """Measure FILE... (default: all artifacts of build/) and merge the rows into build/bench.json.

    A FILE that was not made here and has no card is measured with random input; --labels and --data together
    measure its accuracy. Ctrl-C keeps the rows that are finished. Exit code 1: a row crashed, or a FILE was
    measured in no runtime.
    """
    options = RunOptions(**given)
    if options.devices is None and options.pictures is not None:
        raise click.UsageError("--pictures needs --device; on this machine a row answers as many as there is time for")
    from bench.report.place import check_report_place
    from bench.results.place import check_place

    check_place(options.results_path)
    check_report_place(options.results_path)
    if options.loadgen:
        from bench.measure.loadgen import check_installed

        check_installed()
    from common.lock import exclusive

    with exclusive(options.results_path):
        return _on_this_machine(options) if options.devices is None else _on_devices(options, options.devices)


def _on_devices(options: RunOptions, devices: str) -> int:
    from bench.artifacts.find import find_artifacts
    from bench.remote.command import measure_devices
    from bench.report.write import write_report
    from bench.results.integrity import results_so_far
    from bench.search.shown.section import search_sections

    results, output = results_so_far(options.results_path), options.results_path
    named, mode = find_artifacts(options.files), _mode(options)
    failures = measure_devices(
        devices,
        named,
        options.runtimes,
        mode,
        options.threads,
        options.data,
        options.offline,
        options.pictures,
        results,
        output,
    )
    write_report(results, output, search_sections(output), written=[output, output.with_suffix(".npz")])
    for failure in failures:  # last, so that the end of a log shows it
        click.echo(f"failed: {failure}", err=True)
    return 1 if failures else 0


def _on_this_machine(options: RunOptions) -> int:
    from bench.budgets.baseline import key_of
    from bench.machine import environment
    from bench.measure.row import Extras
    from bench.measure.run import run as measure
    from bench.measure.unmeasured import unmeasured
    from bench.report.write import write_report
    from bench.results import history
    from bench.results.integrity import results_so_far
    from bench.search.shown.section import search_sections

    results, output = results_so_far(options.results_path), options.results_path
    current = environment.describe()
    artifacts = _artifacts(options)
    results.refuse_another_machine(current, again={key_of(found) for found in artifacts})  # before minutes of measuring
    logs = output.with_name("loadgen") if options.loadgen else None
    extras = Extras(options.profile, options.sustain, options.max_memory_mb and options.max_memory_mb * 1_000_000, logs)
    outcome = measure(artifacts, options.runtimes, _mode(options), options.threads, click.echo, options.data, extras=extras)
    if outcome.interrupted and not outcome.measured:  # there is nothing to keep
        raise KeyboardInterrupt
    removed = results.merge(outcome.measured, outcome.skipped, current, outcome.evaluation_sets)
    results.save(output)
    for line in removed:
        click.echo(line)
    written, lines = [output, output.with_suffix(".npz")], history.lines_of([one.row for one in outcome.measured], current)
    if lines:
        written.append(history.path_beside(output))
        history.append(written[-1], lines)
    write_report(results, output, search_sections(output), written=written)
    if outcome.interrupted:
        raise KeyboardInterrupt
    missed = unmeasured(options.files, outcome.measured)
    for line in missed:  # last, so that the end of a log shows it
        click.echo(f"failed: {line}", err=True)
    return 1 if outcome.crashed or missed else 0


def _artifacts(options: RunOptions) -> Sequence[Any]:
    """Find the artifacts, and print what is known of those without a card."""
    from bench.artifacts.cardless import CardlessRunOptions
    from bench.artifacts.find import find_artifacts
    from device.safe_text import printable

    cardless_options = CardlessRunOptions(
        options.labels, options.preprocess, options.data, options.shapes, options.input_range, options.fit
    )
    artifacts = find_artifacts(options.files, cardless_options)
    for line in (found.cardless.understood for found in artifacts if found.cardless and found.cardless.understood):
        click.echo(printable(line), err=True)
    return artifacts


def _mode(options: RunOptions) -> Any:
    from bench.measure.row import MODES as MODE_TABLE

    mode = MODE_TABLE[options.mode]
    if options.seconds is None:
        return mode
    return replace(mode, duration_s=options.seconds, enough_queries=None, further_rounds=0)  # as long as it was asked for
