"""The command `python -m train`."""

import sys
from pathlib import Path

import click

from train.cli import run_cli


@click.group()
def main() -> None:
    """Train image classifiers; each run leaves build/MODEL/ with the model, its card and its history."""


@main.command()
@click.argument("model")
@click.option(
    "--recipe", help="How to train; `list` shows each model's recipes. Without: what suits the number of pictures."
)
@click.option("--data", type=click.Path(path_type=Path), help="A folder of class folders of pictures instead of MNIST.")
@click.option("--name", help="Write to build/MODEL@NAME/; made from the other options unless given.")
@click.option(
    "--weights",
    type=click.Choice(["imagenet", "bundled", "none"]),
    default="imagenet",
    show_default=True,
    help="What a pretrained model starts from.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
def run(model: str, recipe: str | None, data: Path | None, name: str | None, weights: str, seed: int) -> None:
    """Train MODEL, test it once, and write build/MODEL/."""
    from train.run import Request, run as train_run

    request = Request(model, recipe, data, name, weights, seed)  # type: ignore[arg-type]  # click checked the choice
    verbose = 1 if sys.stdout.isatty() else 2  # a progress bar for people, a line an epoch for logs
    outcome = train_run(request, click.echo, verbose)
    low, high = outcome.ci95
    click.echo("a few test pictures: " + ", ".join(f"{s.truth} → {s.answer} ({s.score:.3f})" for s in outcome.samples))
    click.echo(
        f"test accuracy {100 * outcome.top1:.2f} % ({outcome.correct:,} of {outcome.total:,}, "
        f"95 % interval {100 * low:.2f} to {100 * high:.2f} %)"
    )
    click.echo(f"wrote {outcome.folder}/")


@main.command(name="list")
def list_models() -> None:
    """List the models and their recipes."""
    from train.spec import find_model, model_names

    for name in model_names():
        spec = find_model(name).spec
        click.echo(f"{name}: {spec.height}×{spec.width}×{spec.channels}, recipes {', '.join(spec.recipes)}")


if __name__ == "__main__":
    run_cli(main, "train")
