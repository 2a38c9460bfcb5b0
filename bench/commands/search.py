"""The command `bench search`: the smallest model that keeps a budget."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.commands.options import Duration
from common.cli import SEEDS, Number, count_from, is_name
from common.paths import BUILD

if TYPE_CHECKING:
    from bench.search.spec import SearchSpec

MINIMIZED = ("latency", "instructions", "size", "flash", "arena", "memory")
LIMIT_OPTIONS = {  # of the budget: the figure, and how many of its units one of the option's is
    "min_top1": ("top1", 1),
    "max_size_kb": ("size_bytes", 1000),
    "max_flash_kb": ("flash_bytes", 1000),
    "max_arena_kb": ("arena_bytes", 1000),
    "max_latency_ms": ("latency_ms", 1),
    "max_latency_ratio": ("latency_ratio", 1),
    "max_instructions_m": ("instructions", 1_000_000),
    "max_memory_mb": ("peak_rss_mb", 1),
}
ABOVE_ZERO = Number(0, min_open=True)


@dataclass(frozen=True)
class SearchOptions:
    """The options of `bench search` that are no limits; their help texts explain them."""

    minimize: str
    space: Path | None
    data: Path | None
    name: str
    reference: Path | None
    core: str
    trials: int | None
    max_time: float | None
    jobs: int
    dask: str | None
    seed: int
    target: str | None


@click.command()
@click.argument("model")
@click.option(
    "--minimize", type=click.Choice(MINIMIZED), default="latency", show_default=True, help="The figure to make small."
)
@click.option("--min-top1", type=Number(0, 1, max_open=True), help="Least share of right answers, as 0.992.")
@click.option("--max-size-kb", type=ABOVE_ZERO, help="Most kB of the file, with its card.")
@click.option("--max-flash-kb", type=ABOVE_ZERO, help="Most kB of the model's own bytes.")
@click.option("--max-arena-kb", type=ABOVE_ZERO, help="Most kB of arena in a microcontroller's interpreter.")
@click.option("--max-latency-ms", type=ABOVE_ZERO, help="Most ms of an inference on this machine.")
@click.option("--max-latency-ratio", type=ABOVE_ZERO, help="Most times the latency of the reference, as 0.5.")
@click.option("--max-instructions-m", type=ABOVE_ZERO, help="Most million instructions of an inference on --core.")
@click.option("--max-memory-mb", type=ABOVE_ZERO, help="Most MB of the process's memory.")
@click.option(
    "--space", type=click.Path(path_type=Path), metavar="FILE", help="Search this space  [default: the model's own]"
)
@click.option("--data", type=click.Path(path_type=Path), help="A folder of class folders of pictures instead of MNIST.")
@click.option("--name", default="search", show_default=True, help="Write to build/MODEL@NAME/; `search` or `search-...`.")
@click.option("--reference", type=click.Path(path_type=Path), metavar="FILE", help="Compare latencies with this artifact.")
@click.option("--core", default="cortex-a53", show_default=True, help="Count instructions on this emulated core, or host.")
@click.option("--trials", type=count_from(1), help="Most trials  [default: as many as there is time for]")
@click.option("--max-time", type=Duration(), metavar="TIME", help="Most time of trials: 90s, 30m, 1h.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Trials at a time, here.")
@click.option("--dask", metavar="ADDRESS", help="Run the trials on the Dask cluster of this scheduler, as tcp://host:8786.")
@click.option("--seed", type=SEEDS, default=0, show_default=True, help="Seed of the proposals and the trainings.")
@click.option("--target", metavar="NAME", help="Pack the winner for this device, as pi4_bookworm, or board, as pico.")
def search(model: str, **given: Any) -> int:
    """Search the smallest MODEL that keeps a budget: trials that train, convert and measure, then the winner in full.

    Trials see validation pictures only; the test pictures are looked at for the winner. The same command again goes on
    where an interrupted one stopped. Exit code 1: nothing keeps the budget.
    """
    from bench.search.run import run_search
    from bench.search.spec import Effort

    limits = {name: given.pop(name) for name in LIMIT_OPTIONS}
    options = SearchOptions(**given)
    if options.trials is None and options.max_time is None:
        raise click.UsageError("give --max-time, as 30m, or --trials: a search has no end of its own")
    if not (options.name == "search" or options.name.startswith("search-")):
        raise click.UsageError(f"--name {options.name!r}: expected search, or a name that begins with search-")
    if not is_name(options.name):
        raise click.UsageError(f"--name {options.name!r}: expected letters, digits, '-', '_' and '.' only")
    effort = Effort(options.trials, options.max_time, options.jobs, options.dask, options.target)
    return run_search(_spec(model, limits, options), BUILD / f"{model}@{options.name}", effort, click.echo)


def _spec(model: str, limits: dict[str, float | None], options: SearchOptions) -> "SearchSpec":
    from bench.search.budget_line import TIMED
    from bench.search.space import read_space
    from bench.search.spec import FIGURES, SearchSpec, reference_for
    from train.data.dataset import DataReference
    from train.data.folders import load_folder

    space = read_space(model, options.space)
    wanted = tuple(_limit(name, value) for name, value in limits.items() if value is not None)
    minimize = FIGURES[options.minimize]
    timed = {minimize, *(limit.figure for limit in wanted)} & TIMED
    reference = reference_for(model, space.artifacts[0][0], options.reference) if timed else None
    data = (DataReference("mnist") if options.data is None else load_folder(options.data).reference).to_json()
    core = options.core if "instructions" in {minimize, *(limit.figure for limit in wanted)} else ""
    return SearchSpec(model, minimize, wanted, space, options.seed, data, core, reference)


def _limit(option: str, value: float) -> Any:
    from bench.search.result import Limit

    figure, units = LIMIT_OPTIONS[option]
    return Limit(figure, least=value) if option.startswith("min_") else Limit(figure, most=value * units)
