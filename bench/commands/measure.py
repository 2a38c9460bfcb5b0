"""Commands that measure: run, faster, doctor, emulate, rehearse, count."""

import json
from pathlib import Path

import click

from common.cli import SEEDS, count_from
from common.paths import RESULTS
from common.progress import hide_progress, task_progress


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Measure in this one; may be given again.")
@click.option("--rounds", default=8, show_default=True, type=count_from(2), help="Fresh processes for each file.")
@click.option("--seed", type=SEEDS, default=0, show_default=True, help="Seed of the order of processes.")
def faster(files: tuple[Path, ...], runtimes: tuple[str, ...], rounds: int, seed: int) -> None:
    """Measure how many times faster than the first FILE the others are, in processes that take turns of 15 ms.

    So changes of the machine affect all alike, and the 95 % intervals are some percent wide even on a shared one. Without
    --runtime it uses LiteRT or onnxruntime; with several, each file in each runtime that opens it, compared with the first.
    """
    from bench.analysis.faster import faster as compare_in_turns, lines, sides_of
    from bench.artifacts.find import find_artifacts
    from bench.measure.fresh_processes import FreshProcesses

    sides = sides_of(find_artifacts(files), runtimes)
    with FreshProcesses(click.echo) as fresh:
        for line in lines(sides, compare_in_turns(sides, rounds, fresh, seed)):
            click.echo(line)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(as_json: bool) -> int:
    """Say what this machine can measure and what to fix first; exit code 1 if there is something to fix."""
    from bench.measure.doctor import examine, lines, to_json

    if as_json:
        hide_progress()
    with task_progress("looking at this machine"):
        items = examine()
    click.echo(json.dumps(to_json(items), indent=1) if as_json else "\n".join(lines(items)))
    return 1 if any(item.fix for item in items) else 0


@click.command()
@click.argument("names", nargs=-1, metavar="[DEVICE...]")
def emulate(names: tuple[str, ...]) -> None:
    """Build the emulated DEVICE... (default: all) from an ARM user space, QEMU and the runtimes' ARM wheels.

    Devices that exist already are kept.
    """
    from bench.remote.emulation.build import build_devices

    with task_progress("building"):
        for line in build_devices(names, click.echo):
            click.echo(line)


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--device", "names", default="emulated-pi4", show_default=True, metavar="A,B", help="Emulated; or all.")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--pictures", default=100, show_default=True, type=count_from(1), help="Test pictures of each row.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Merge into this file.")
@click.pass_context
def rehearse(
    context: click.Context, files: tuple[Path, ...], names: str, runtimes: tuple[str, ...], pictures: int, output: Path
) -> int:
    """Run FILE... (default: build/'s int8 and float32) on an emulated device, and compare its answers with this machine's.

    The same as `bench run --device`. Golden pictures, accuracy and memory are real there; times are not latencies.
    Exit code 1: an answer differs.
    """
    from bench.artifacts.find import deployable_artifacts
    from bench.commands.run import run
    from bench.remote.emulation.build import chosen_devices

    devices = ",".join(device.name for device in chosen_devices(names))
    paths = tuple(found.path for found in deployable_artifacts(files))
    ended: int = context.invoke(run, files=paths, runtimes=runtimes, devices=devices, pictures=pictures, output=output)
    return ended


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option("--core", "cores", default="cortex-a72", show_default=True, metavar="A,B", help="cortex-a53, ..., host; all.")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option("--output", type=click.Path(path_type=Path), default=RESULTS, show_default=True, help="Merge into this file.")
def count(files: tuple[Path, ...], cores: str, runtimes: tuple[str, ...], output: Path) -> int:
    """Count the instructions of FILE... (default: int8 and float32 artifacts of build/) on emulated cores or this machine.

    It counts import, load, first and steady inference. An emulated core's count is the same in every run on every machine.
    A count is not a time. A row that cannot be counted is skipped with the reason.
    """
    from bench.artifacts.find import deployable_artifacts
    from bench.remote.emulation.count import count_all, counts_table
    from bench.remote.emulation.save_counts import save_counts
    from bench.results.place import check_place
    from common.lock import exclusive

    check_place(output)
    with exclusive(output):
        with task_progress("counting"):
            counted = count_all(deployable_artifacts(files), cores, runtimes, click.echo)
        for line in (*counts_table(counted), *save_counts(counted, output)):
            click.echo(line)
    return 1 if counted.failed else 0
