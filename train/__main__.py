"""The command `python -m train`."""

from pathlib import Path
from typing import Any

import click

from common.cli import SEEDS, Commands, count_from, run_cli
from common.native_lines import filtered


@click.group(cls=Commands)
def main() -> None:
    """Train image classifiers; each run leaves build/MODEL/ with the model, its card and its history."""


@main.command()
@click.argument("model")
@click.option(
    "--recipe", help="How to train; `list` shows each model's recipes. By default, what suits the number of pictures."
)
@click.option("--data", type=click.Path(path_type=Path), help="A folder of class folders of pictures instead of MNIST.")
@click.option("--name", help="Write to build/MODEL@NAME/; made from the other options unless given.")
@click.option(
    "--weights",
    type=click.Choice(["imagenet", "bundled", "none"]),
    default="imagenet",
    show_default=True,
    help="The weights that a pretrained model starts from.",
)
@click.option("--freeze", is_flag=True, help="Train only the head; the pretrained base stays as it is.")
@click.option(
    "--frame",
    type=click.Choice(["whole", "digit"]),
    default="whole",
    show_default=True,
    help="How a folder's pictures are cut: the middle of the whole picture, or one handwritten digit, found and framed.",
)
@click.option("--side", type=count_from(1), help="Side of the model's pictures; mobilenet_v2: 96 to 224 by 32.")
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read, instead of refusing the folder.")
@click.option("--resume", is_flag=True, help="Continue after the last epoch that an interrupted run finished.")
@click.option("--seed", type=SEEDS, default=0, show_default=True, help="Seed of everything random.")
@filtered()
def run(model: str, resume: bool, **options: Any) -> None:
    """Train MODEL, test it once, and write build/MODEL/."""
    from common.memory import keep_freed_memory
    from device.safe_text import printable
    from train.request import Request
    from train.run import run as train_run

    keep_freed_memory()
    request = Request(model, **options)
    outcome = train_run(request, click.echo, resume)
    for path in outcome.skipped:
        click.echo(f"skipped, not usable: {printable(path)}")
    low, high = outcome.ci95
    click.echo("a few test pictures: " + ", ".join(f"{s.truth} → {s.answer} ({s.score:.3f})" for s in outcome.samples))
    click.echo(
        f"test accuracy {100 * outcome.top1:.2f} % ({outcome.correct:,} of {outcome.total:,}, "
        f"95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
    )
    click.echo(f"wrote {outcome.folder}/")


@main.command()
@click.argument("model")
@click.option("--set", "texts", multiple=True, metavar="NAME=A,B", help="A setting and its values; may be given again.")
@click.option("--data", type=click.Path(path_type=Path), help="A folder of class folders of pictures instead of MNIST.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Points to train at a time, here.")
@click.option("--dask", metavar="ADDRESS", help="Train on the Dask cluster of this scheduler, as tcp://host:8786.")
@filtered()
def sweep(model: str, texts: tuple[str, ...], data: Path | None, jobs: int, dask: str | None) -> int:
    """Train MODEL with every combination of settings and compare them on the validation part.

    Finished points are not trained again. A point that fails is a row with its reason, and is tried again next time.
    """
    from common.lock import exclusive
    from common.tables import table_lines
    from train import sweep as sweeps
    from train.data.dataset import DataReference
    from train.data.folders import load_folder
    from train.points import executor_for

    points = sweeps.parse_grid(model, texts)
    folder = sweeps.sweep_folder(model)
    reference = DataReference("mnist") if data is None else load_folder(data).reference
    with exclusive(folder / model), executor_for(jobs, dask) as executor:
        done = sweeps.sweep(model, points, executor, folder, click.echo, reference)
        sweeps.write_summary(model, done, folder)
    header, rows = sweeps.table(done)
    for line in table_lines(header, rows, ("parameters", "s", "val loss")):
        click.echo(line)
    click.echo(f"wrote {folder}/sweep.md, sweep.json and sweep.png")
    return 1 if any(point.error for point in done) else 0


@main.command(name="list")
def list_models() -> None:
    """List the models and their recipes."""
    from train.models import find_model, model_names

    for name in model_names():
        spec = find_model(name).spec
        sides = find_model(name).sides
        others = f" (--side {', '.join(map(str, sides))})" if sides else ""
        click.echo(f"{name}: {spec.height}×{spec.width}×{spec.channels}{others}, recipes {', '.join(spec.recipes)}")


if __name__ == "__main__":
    run_cli(main, "train")
