"""The command `python -m convert`."""

import json
from pathlib import Path

import click

from train.cli import run_cli


@click.group()
def main() -> None:
    """Convert trained models into artifacts that carry their card."""


@main.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL|FILE.keras...")
@click.option("--variants", default="", metavar="A,B", help="Only these, as int8 or int8.onnx; all without it.")
@click.option("--target", "target_name", metavar="NAME", help="Convert for what runs there, as pi4_bookworm, and check it.")
def run(models: tuple[str, ...], variants: str, target_name: str | None) -> int:
    """Convert each MODEL (or MODEL@NAME) of build/ into its variants, verify them and write them beside it."""
    from convert.run import convert_model, keras_path
    from convert.target import best_wheel, find_target
    from convert.variant import find_variants

    target = None if target_name is None else find_target(target_name)
    chosen = find_variants([name.strip() for name in variants.split(",") if name.strip()])
    if target is not None and not variants:  # what no runtime there reads is made only when asked for by name
        chosen = tuple(variant for variant in chosen if best_wheel(target, variant.format))
    paths = [keras_path(model) for model in models]
    failures: list[str] = []

    def failed(message: str) -> None:
        failures.append(message)
        click.echo(f"convert: {message}", err=True)

    for path in paths:
        for artifact in convert_model(path, chosen, failed, target):
            agreement = artifact.agreement
            click.echo(
                f"{artifact.path}: {artifact.size_bytes / 1000:,.0f} kB, {artifact.variant.promise}; "
                f"answers {agreement.agree} of {agreement.total} validation pictures as Keras does"
            )
    return 1 if failures else 0


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def show(file: Path) -> None:
    """Print the card that is inside FILE."""
    from device.classify import CardError, read_card

    card = read_card(file)
    if card is None:
        raise CardError(f"{file}: has no card: convert it with `python -m convert run`")
    click.echo(json.dumps(card.document, indent=1, ensure_ascii=False))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", "targets", multiple=True, metavar="NAME", help="As pi4_bookworm; all without it.")
def check(file: Path, targets: tuple[str, ...]) -> int:
    """Say for each target whether its runtime can load FILE, what to install there, or what to use instead."""
    from convert.check import check_all, verdicts_text

    verdicts = check_all(file, targets)
    click.echo(verdicts_text(verdicts))
    return 0 if all(verdict.runs for verdict in verdicts) else 1


if __name__ == "__main__":
    run_cli(main, "convert")
