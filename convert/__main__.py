"""The command `python -m convert`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from train.cli import run_cli

if TYPE_CHECKING:
    from convert.doctor import Diagnosis
    from convert.layer_error import LayerError
    from convert.patient import Patient


PATH = click.Path(path_type=Path)
MENDED = ("accuracy", "agreement")  # what `doctor --fix` mends


@click.group()
def main() -> None:
    """Convert trained models into artifacts that carry their card."""


@main.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL|FILE...")
@click.option("--variants", default="", metavar="A,B", help="Only these, as int8 or int8.onnx; all without it.")
@click.option("--target", "target_name", metavar="NAME", help="Convert for what runs there, as pi4_bookworm, and check it.")
@click.option("--labels", type=PATH, metavar="FILE", help="One label a line: of a model that was not trained here.")
@click.option("--calibration", type=PATH, metavar="DIR", help="Its pictures: in DIR itself, or in one folder a class.")
@click.option("--validation", type=PATH, metavar="DIR", help="Verify with these, not with a held-out third of DIR.")
@click.option("--input-range", metavar="A..B", help="The values it takes: 0..255, 0..1, -1..1, any A..B, caffe or torch.")
@click.option(
    "--preprocess", type=PATH, metavar="card.json", help='JSON with "preprocess" (steps) and "input" (its values).'
)
@click.option("--size", type=click.IntRange(1, 8192), metavar="PIXELS", help="Where it takes pictures of any size.")
@click.option("--name", metavar="NAME", help="Of its folder, build/NAME; the file's without it.")
@click.option("--skip-bad", is_flag=True, help="Leave its unusable pictures out.")
@click.option("--unsafe-code", "unsafe", is_flag=True, help="Run Python code that is stored in it (Lambda layers).")
def run(models: tuple[str, ...], variants: str, target_name: str | None, **outside: Any) -> int:
    """Convert each MODEL (or MODEL@NAME) of build/ into its variants, verify them and write them beside it.

    With --labels and --calibration FILE is a model that was not trained here, .keras, .h5 or the folder of a SavedModel: it
    is taken in as build/NAME/ first.
    """
    from convert.run import convert_model, keras_path
    from convert.target import best_wheel, find_target
    from convert.variant import find_variants
    from convert.verify import describe

    target = None if target_name is None else find_target(target_name)
    chosen = find_variants([name.strip() for name in variants.split(",") if name.strip()])
    if target is not None and not variants:  # what no runtime there reads is made only when asked for by name
        chosen = tuple(variant for variant in chosen if best_wheel(target, variant.format))
    paths = [_adopted(models, **outside)] if any(outside.values()) else [keras_path(model) for model in models]
    failures: list[str] = []

    def failed(message: str) -> None:
        failures.append(message)
        click.echo(f"convert: {message}", err=True)

    for path in paths:
        for artifact in convert_model(path, chosen, failed, target):
            size = f"{artifact.size_bytes / 1000:,.0f} kB"
            click.echo(f"{artifact.path}: {size}, {artifact.variant.promise}; {describe(artifact.agreement)}")
    return 1 if failures else 0


def _adopted(models: Sequence[str], labels: Path | None, calibration: Path | None, **told: Any) -> Path:
    """Take in the one model that was not trained here."""
    from convert.adopt import Outside, adopt

    if len(models) != 1:
        raise click.UsageError(
            f"found {len(models)} models; --labels, --calibration and what belongs to them are of one FILE"
        )
    if labels is None or calibration is None:
        raise click.UsageError("a model that was not trained here needs both --labels FILE and --calibration DIR")
    return adopt(Outside(Path(models[0]), labels, calibration, **told), click.echo)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The whole card as it is.")
def show(file: Path, as_json: bool) -> None:
    """Print the card that is inside FILE."""
    from convert.card_text import card_text
    from device.classify import NEWLINE, CardError, model_format, printable, read_card, read_model_bytes

    card = read_card(file)
    if card is None:
        raise CardError(f"{file}: has no card: convert it with `python -m convert run`")
    if as_json:
        click.echo(printable(json.dumps(card.document, indent=1, ensure_ascii=False), keep=NEWLINE))
    else:
        click.echo(card_text(file, model_format(file, read_model_bytes(file)), card))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--target", "targets", multiple=True, metavar="NAME", help="As pi4_bookworm; all without it.")
def check(file: Path, targets: tuple[str, ...]) -> int:
    """Say for each target whether its runtime can load FILE, what to install there, or what to use instead."""
    from convert.check import check_all, verdicts_text

    verdicts = check_all(file, targets)
    click.echo(verdicts_text(verdicts))
    return 0 if all(verdict.runs for verdict in verdicts) else 1


@main.command()
@click.argument("model", metavar="MODEL|FILE")
@click.option("--variant", "name", default="int8", show_default=True, help="Of MODEL: int8, int8.onnx and the like.")
@click.option("--target", "target_name", required=True, metavar="NAME", help="As pi4_bookworm.")
@click.option("--wheels", "with_wheels", is_flag=True, help="Put the packages in, so that it installs offline.")
@click.option("--output", type=click.Path(path_type=Path), help="Instead of NAME.TARGET.tar.gz beside the artifact.")
def bundle(model: str, name: str, target_name: str, with_wheels: bool, output: Path | None) -> None:
    """Pack what a device needs into one .tar.gz: classify.py, the artifact, exact requirements, an installer, checksums.

    The same input gives the same bytes.
    """
    from convert.bundle import write_bundle
    from convert.run import artifact_path
    from convert.target import find_target

    artifact, target = artifact_path(model, name), find_target(target_name)
    path = output or artifact.with_name(f"{artifact.name}.{target.name}.tar.gz")
    done = write_bundle(artifact, target, path, with_wheels)
    wheels = f", {done.wheels} wheels" if done.wheels else ""
    click.echo(
        f"{done.path}: {done.size_bytes / 1000:,.0f} kB, {', '.join(done.requirements)}{wheels}; sha256 {done.sha256}"
    )


@main.command()
@click.argument("model", metavar="MODEL|FILE")
@click.option("--variant", "name", default="int8", show_default=True, help="int8, int8.tflite or int8.onnx.")
@click.option("--layers", default=15, show_default=True, type=click.IntRange(0), help="Print so many, the worst.")
@click.option("--fix", "mend", is_flag=True, help="Leave the worst layers in float and write that as int8_fixed.")
@click.option("--max-drop", default=0.001, show_default=True, type=click.FloatRange(0, 1, min_open=True, max_open=True))
def doctor(model: str, name: str, layers: int, mend: bool, max_drop: float) -> int:
    """Examine how MODEL is quantized: each layer's error, calibration, leaks, ranges, answers.

    Ends with 0 for a healthy model, 1 for a finding, 2 for unusable files. --max-drop is what int8 may cost in accuracy
    against float, on the validation pictures, by the whole 95 % interval; an int8 that keeps it is not fixed.
    """
    from contextlib import nullcontext

    from convert import diagnosis_text as text
    from convert.doctor import diagnose, quantized_variants
    from convert.patient import Patient
    from convert.run import TrainedModel, keras_path
    from train.alone import alone

    variants = quantized_variants(name)
    trained = TrainedModel(keras_path(model))

    def progress(line: str) -> None:
        click.echo(line, err=True)

    try:
        with alone(trained.folder / trained.name) if mend else nullcontext():
            patient = Patient(trained)
            diagnosis = diagnose(patient, variants, max_drop, progress)
            _print_layers([error for one in diagnosis.examinations for error in one.layers], layers)
            for line in (*text.notes(diagnosis), *text.findings(diagnosis)):
                click.echo(line)
            if mend:
                failed = _mend(patient, diagnosis, max_drop)
                return 1 if failed or any(finding.name not in MENDED for finding in diagnosis.findings) else 0
            return 1 if diagnosis.findings else 0
    finally:
        trained.close()


def _print_layers(errors: "Sequence[LayerError]", most: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from convert.diagnosis_text import COLUMNS, LEGEND, layer_table

    if not most:
        return
    table = Table(*COLUMNS)
    for cells in layer_table(errors)[:most]:
        table.add_row(*cells)
    console = Console() if Console().is_terminal else Console(width=140)
    console.print(table)
    click.echo(f"{min(most, len(errors))} of {len(errors)} layers, worst first. {LEGEND}")


def _mend(patient: "Patient", diagnosis: "Diagnosis", max_drop: float) -> bool:
    """Fix each examined variant; say whether one could not be."""
    from convert.diagnosis_text import fix_line
    from convert.fix import fix
    from device.classify import CheckFailed

    if diagnosis.calibration_findings:
        click.echo("convert: --fix: mend the findings on calibration first: float layers would only hide them", err=True)
        return True
    failed = False
    for one in diagnosis.examinations:
        try:
            done = fix(patient, one.variant, one.layers, max_drop, lambda line: click.echo(line, err=True))
            click.echo(fix_line(one, done, max_drop))
        except CheckFailed as error:
            click.echo(f"convert: {error}", err=True)
            failed = True
    return failed


if __name__ == "__main__":
    run_cli(main, "convert")
