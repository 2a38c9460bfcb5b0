"""The command `python -m bench`."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from train.cli import run_cli

MODES = ("rapid", "quick", "normal")
RESULTS = Path("build/bench.json")
BUDGETS = Path("bench/budgets.toml")
Command = TypeVar("Command", bound=Callable[..., Any])


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
@click.option("--device", "devices", metavar="NAME,...", help="Measure there, over SSH: pi4,pi5. See bench/devices/.")
@click.option("--pictures", type=click.IntRange(1), help="With --device: of each row at most  [default: 100 if emulated]")
@click.option("--offline", is_flag=True, help="Push wheels to a device from here; it then needs no package index.")
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
    devices: str | None,
    pictures: int | None,
    offline: bool,
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
    from bench import environment, history
    from bench.artifacts import find_artifacts
    from bench.given import Told
    from bench.loadgen import check_installed
    from bench.publish import write_report
    from bench.results import results_so_far
    from bench.run import MODES as MODE_TABLE, Extras, run as bench_run
    from train.alone import alone

    if output is None:
        output = RESULTS if data is None else RESULTS.with_name(f"bench@{data.resolve().name}.json")
    how_long = MODE_TABLE[mode] if seconds is None else replace(MODE_TABLE[mode], duration_s=seconds)
    if loadgen:
        check_installed()
    logs = output.with_name("loadgen") if loadgen else None
    with alone(output):
        results = results_so_far(output)
        if devices is not None:
            from bench.device_command import measure_devices

            named = find_artifacts(files)
            failures = measure_devices(devices, named, runtimes, how_long, threads, data, offline, pictures, results, output)
            write_report(results, output)
            for failure in failures:  # last, where a log that was cut still shows it
                click.echo(f"failed: {failure}", err=True)
            return 1 if failures else 0
        if pictures is not None:
            raise click.UsageError("--pictures goes with --device; here a row answers as many as there is time for")
        here = environment.describe().to_json()
        artifacts = find_artifacts(files, Told(labels, preprocess, data, shapes))
        extras = Extras(profile, sustain, None if max_memory_mb is None else max_memory_mb * 1_000_000, logs)
        outcome = bench_run(artifacts, runtimes, how_long, threads, click.echo, data, extras=extras)
        results.merge(outcome.measured, outcome.skipped, here, outcome.evidence)
        results.save(output)
        history.append(history.path_beside(output), history.lines_of([row.to_json() for row in outcome.measured], here))
        write_report(results, output)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return 1 if outcome.crashed else 0


@main.command()
@click.argument("file", type=click.Path(path_type=Path), default=RESULTS)
@click.option(
    "--history/--no-history", "trend", default=None, help="Draw the trend over commits; without, where there are two runs."
)
def report(file: Path, trend: bool | None) -> None:
    """Write report.html and report.md beside FILE (build/bench.json) again and print the table."""
    from bench.publish import write_report
    from bench.results import load_results

    write_report(load_results(file), file, trend)


@main.command()
@click.argument("file", type=click.Path(path_type=Path), default=RESULTS)
@click.option("--max-p50-ms", type=click.FloatRange(min=0, min_open=True), help="Half of all pictures within this.")
@click.option("--max-p90-ms", type=click.FloatRange(min=0, min_open=True), help="Nine of ten pictures within this.")
@click.option("--min-top1", type=click.FloatRange(0, 1), help="At least this share of pictures right.")
@click.option("--max-size-kb", type=click.FloatRange(min=0, min_open=True), help="Of the file, in 1,000 bytes.")
@click.option("--max-memory-mb", type=click.FloatRange(min=0, min_open=True), help="Peak resident, in 1,000,000 bytes.")
@click.option("--model", metavar="NAME", help="Only this one: MODEL or MODEL@NAME.")
@click.option("--runtime", metavar="NAME", help="Only this one.")
@click.option("--device", metavar="NAME", help="Only this one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def recommend(
    file: Path, model: str | None, runtime: str | None, device: str | None, as_json: bool, **budgets: float | None
) -> int:
    """Pick the row of FILE (build/bench.json) that fits the budgets and say why, or name the nearest.

    A budget is kept where the whole 95 % interval keeps it. Exit code 0: one is shown to fit; 1: none fits; 3: the sample
    cannot tell, or its timing is not valid.
    """
    from bench.recommend import EXIT_CODES, Budgets, recommend as pick
    from bench.results import load_results

    found = pick(load_results(file), Budgets(**budgets), {"model": model, "device": device, "runtime": runtime})
    click.echo(json.dumps(found.to_json(), indent=1) if as_json else "\n".join(found.lines))
    return EXIT_CODES[found.verdict]


@main.command()
@click.argument("first", type=click.Path(path_type=Path), metavar="A.json")
@click.argument("second", type=click.Path(path_type=Path), metavar="B.json")
@click.option("--across", multiple=True, metavar="FIELD", help="Compare although FIELD differs; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def compare(first: Path, second: Path, across: tuple[str, ...], as_json: bool) -> None:
    """Compare the rows of B.json with those of A.json: ratio of times (over 1: B is slower), size, accuracy.

    Records of unlike machine, threads, runtime version or data set are refused unless --across names the FIELD: device,
    accelerator, threads, machine, governor, runtime_version, data_set.
    """
    from bench import compare as side_by_side
    from bench.publish import print_table
    from bench.results import load_results
    from device.classify import EdgeproofError

    before, after = load_results(first), load_results(second)
    try:
        found = side_by_side.compare(before, after, across)
    except EdgeproofError as error:
        raise EdgeproofError(f"{first}, {second}: {error}") from error
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
        return
    print_table(side_by_side.COLUMNS, [side_by_side.cells(row) for row in found.rows])
    for line in side_by_side.summary(found, str(first), str(second)):
        click.echo(line)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="In this one; may be given again.")
@click.option("--rounds", default=8, show_default=True, type=click.IntRange(2), help="Fresh processes of each.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of processes.")
def faster(files: tuple[Path, ...], runtimes: tuple[str, ...], rounds: int, seed: int) -> None:
    """How many times as fast as the first FILE the others are: measured in processes that take turns, each 15 ms.

    So all meet the same moments of the machine, and the 95 % intervals are some percent wide even on a shared one. In LiteRT
    or onnxruntime without --runtime; with several, each file in each that opens it, the first one being compared with.
    """
    from bench.artifacts import find_artifacts
    from bench.faster import faster as compare_in_turns, lines, sides_of
    from bench.fresh import FreshProcesses

    sides = sides_of(find_artifacts(files), runtimes)
    with FreshProcesses(click.echo) as fresh:
        for line in lines(sides, compare_in_turns(sides, rounds, fresh, seed)):
            click.echo(line)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(as_json: bool) -> int:
    """Say what this machine can measure and what to fix first; exit code 1 where there is something to fix."""
    from bench.doctor import examine, lines, to_json

    items = examine()
    click.echo(json.dumps(to_json(items), indent=1) if as_json else "\n".join(lines(items)))
    return 1 if any(item.fix for item in items) else 0


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
    from train.alone import alone

    devices = chosen_devices(names)
    with alone(output):
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
    from train.alone import alone

    with alone(output):
        counted = count_all(rehearsed_artifacts(files), cores, runtimes, click.echo)
        for line in (*counts_table(counted), *save_counts(counted, output)):
            click.echo(line)
    return 1 if counted.crashed else 0


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
        from train.alone import alone

        with alone(results):
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


if __name__ == "__main__":
    run_cli(main, "bench")
