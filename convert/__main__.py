"""The command `python -m convert`."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

from common.cli import Commands, Number, count_from, run_cli
from common.native_lines import filtered
from common.paths import RESULTS

if TYPE_CHECKING:
    from convert.child import Child, Workplace
    from convert.doctor.diagnose import Diagnosis
    from convert.doctor.layer_error import LayerError


P = ParamSpec("P")
R = TypeVar("R")
PATH = click.Path(path_type=Path)
ARENA_HELP = f"Results with the measured arena, for a board  [default: {RESULTS}]"
MENDED = ("accuracy", "agreement")  # the findings that `doctor --fix` repairs


@click.group(cls=Commands)
def main() -> None:
    """Convert trained models into artifacts that carry their card."""


@main.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL|FILE...")
@click.option("--variants", default="", metavar="A,B", help="Only these, as int8 or int8.onnx  [default: all]")
@click.option("--target", "target_name", metavar="NAME", help="Convert for the runtimes of this target and check that.")
@click.option("--labels", type=PATH, metavar="FILE", help="Labels of a model from elsewhere, one a line.")
@click.option("--calibration", type=PATH, metavar="DIR", help="Its pictures: in DIR, or in a folder for each class.")
@click.option("--validation", type=PATH, metavar="DIR", help="Verify with these, not with a third of DIR.")
@click.option("--input-range", metavar="A..B", help="Values that it takes: 0..255, 0..1, -1..1, any A..B, caffe, torch.")
@click.option(
    "--preprocess",
    metavar="FILE|PRESET",
    help="Steps and values: JSON, preprocessor_config.json, timm's config.json; torchvision, keras:NAME, teachable-machine.",
)
@click.option("--size", type=click.IntRange(1, 8192), metavar="PIXELS", help="Side of its pictures, if it takes any size.")
@click.option("--name", metavar="NAME", help="Name of its folder, build/NAME  [default: the file's]")
@click.option("--skip-bad", is_flag=True, help="Leave out unusable pictures.")
@click.option("--fit", type=click.Choice(["crop", "stretch"]), help="How pictures are fitted to its size.")
@click.option("--confirm-range", is_flag=True, help="Convert even if labelled pictures contradict --input-range.")
@click.option("--signature", metavar="NAME", help="Signature of a SavedModel with several.")
@click.option("--unsafe-code", "unsafe", is_flag=True, help="Run the Python code inside it (Lambda layers).")
@filtered()
def run(models: tuple[str, ...], variants: str, target_name: str | None, **import_options: Any) -> int:
    """Convert each MODEL (or MODEL@NAME) of build/ into its variants, verify them and write them beside it.

    With --calibration, FILE is a model from elsewhere (`convert inspect FILE` says what is known of it):
    it is first imported as build/NAME/.
    """
    from convert.bias_correction.choice import describe as correction_line
    from convert.child import Child
    from convert.deployment.target import best_wheel, find_target
    from convert.pipeline import convert_model
    from convert.trained_model import keras_path
    from convert.variants import find_variants
    from convert.verification.verify import describe

    target = None if target_name is None else find_target(target_name)
    chosen = find_variants([name.strip() for name in variants.split(",") if name.strip()])
    if target is not None and not variants:  # variants that no runtime of the target reads are made only by name
        chosen = tuple(variant for variant in chosen if best_wheel(target, variant.format))
    failures: list[str] = []

    def failed(message: str) -> None:
        failures.append(message)
        click.echo(f"convert: {message}", err=True)

    with Child(_say) as child:
        known = not any(import_options.values())
        for path in [keras_path(model) for model in models] if known else [_imported(child, models, **import_options)]:
            for artifact in convert_model(child, path, chosen, failed, target):
                size = f"{artifact.size_bytes / 1000:,.0f} kB"
                correction = "" if artifact.correction is None else f"; {correction_line(artifact.correction)}"
                promise = artifact.variant.promise
                _say(f"{artifact.path}: {size}, {promise}; {describe(artifact.agreement)}{correction}")
    return 1 if failures else 0


def _say(line: str) -> None:
    from device.safe_text import NEWLINE, printable

    click.echo(printable(line, allow=NEWLINE))


def _imported(child: "Child", models: Sequence[str], labels: Path | None, calibration: Path | None, **others: Any) -> Path:
    """Import the one model that was not trained here."""
    from convert.importing.import_model import ImportOptions, import_in_child

    if len(models) != 1:
        raise click.UsageError(
            f"found {len(models)} models; --labels, --calibration and their options need exactly one FILE"
        )
    if calibration is None:
        raise click.UsageError(
            "a model that was not trained here needs --calibration DIR, and --labels FILE if it has no labels"
        )
    return _understanding(child, models[0], import_in_child, ImportOptions(Path(models[0]), labels, calibration, **others))


def _understanding(
    child: "Child",
    file: str | Path,
    task: "Callable[Concatenate[Workplace, P], R]",
    *arguments: "P.args",
    **named: "P.kwargs",
) -> "R":
    """Do a task with an untrusted file. Raises EdgeproofError, also for errors in a library."""
    from convert.child import Crashed, Unexpected
    from device.errors import EdgeproofError

    try:
        return child.run(task, *arguments, **named)
    except (Crashed, Unexpected) as error:
        raise EdgeproofError(f"{file}: cannot be imported: {error}") from error


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the source of each fact.")
@click.option("--signature", metavar="NAME", help="Signature of a SavedModel with several.")
@click.option("--unsafe-code", "unsafe", is_flag=True, help="Run the Python code inside it (Lambda layers).")
def inspect(file: Path, as_json: bool, signature: str | None, unsafe: bool) -> None:
    """Print what is known of FILE, a model that was not trained here, and what is missing to convert it."""
    from convert.child import Child
    from convert.importing.import_model import inspect_in_child
    from convert.importing.sources import Opening
    from convert.importing.understood import understood_text

    with Child(_say) as child:
        understood = _understanding(child, file, inspect_in_child, file, Opening(unsafe, signature))
    _say(json.dumps(understood.to_json(), indent=1, ensure_ascii=False) if as_json else understood_text(understood))


@main.command()
@click.argument("file", type=PATH)
@click.option("--labels", type=PATH, metavar="FILE", help="Its labels, if it does not have them inside.")
@click.option("--input-range", metavar="A..B", help="The values that it takes, if it does not say them.")
@click.option("--preprocess", metavar="FILE|PRESET", help="Steps and values, as for `run`.")
@click.option("--fit", type=click.Choice(["crop", "stretch"]), help="How pictures are fitted to its size  [default: crop]")
@click.option("--pictures", type=PATH, metavar="DIR", help="Choose golden pictures from these; else they are made up.")
@click.option("--name", metavar="NAME", help="Name of its folder, build/NAME  [default: the file's]")
def card(file: Path, **options: Any) -> None:
    """Add a card to FILE, a .tflite of another converter: build/NAME/ gets its unchanged bytes and the card behind them."""
    from convert.child import Child
    from convert.importing.add_card import CardOptions, add_card_in_child

    with Child(_say) as child:
        added = _understanding(child, file, add_card_in_child, CardOptions(file, **options))
    steps = ", ".join(step.name for step in added.card.preprocess)
    _say(f"{added.path}: {len(added.card.labels)} labels, steps {steps}, {added.golden} golden pictures")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the whole card.")
def show(file: Path, as_json: bool) -> None:
    """Print the card that is inside FILE."""
    from convert.show import card_text, how_to_get_a_card
    from device.errors import CardError
    from device.formats.model_file import model_format, read_card, read_model_bytes
    from device.safe_text import NEWLINE, printable

    card = read_card(file)
    if card is None:
        raise CardError(f"{file}: has no card: {how_to_get_a_card(file)}")
    if as_json:
        click.echo(printable(json.dumps(card.document, indent=1, ensure_ascii=False), allow=NEWLINE))
    else:
        click.echo(card_text(file, model_format(file, read_model_bytes(file)), card))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="Such as pi4_bookworm or the board pico  [default: all targets]",
)
@click.option("--results", type=PATH, metavar="FILE", help=ARENA_HELP)
def check(file: Path, targets: tuple[str, ...], results: Path | None) -> int:
    """Say for each target whether its runtime can load FILE, and what to install or what to use instead.

    A microcontroller's board is judged only by its name: does FILE fit, and by how much? Exit code 1: a target cannot load
    it or it does not fit, 3: not known, as its arena is not measured.
    """
    from common.verdict import EXIT_CODES, overall
    from convert.deployment.checked import check_named, checked_lines

    checked = check_named(file, targets, results)
    for line in checked_lines(checked):
        _say(line)
    return EXIT_CODES[overall(one.verdict for one in checked)]


@main.command()
@click.argument("model", metavar="MODEL|FILE")
@click.option("--target", "board_name", required=True, metavar="BOARD", help="As pico, or a file that ends in .toml.")
@click.option("--variant", "name", default="int8", show_default=True, help="Variant of MODEL.")
@click.option("--results", type=PATH, metavar="FILE", help=ARENA_HELP)
@click.option("--output", type=PATH, metavar="DIR", help="Write this folder, not NAME.BOARD beside the artifact.")
def export(model: str, board_name: str, name: str, results: Path | None, output: Path | None) -> int:
    """Write a model's C sources for a microcontroller: array, arena, operations, golden pictures and a program that tests.

    Exit code 1: it does not fit, 3: its arena is not measured, or only the board can tell whether it fits.
    """
    from common.micro_figures import MeasuredFigures
    from common.verdict import EXIT_CODES
    from convert.deployment.microcontroller.board import find_board
    from convert.deployment.microcontroller.export import write_export
    from convert.trained_model import artifact_path

    board, artifact = find_board(board_name), artifact_path(model, name)
    folder = output or artifact.with_name(f"{artifact.stem}.{board.name}")
    exported = write_export(artifact, board, folder, MeasuredFigures.read(results))
    _say(exported.line)
    return EXIT_CODES[exported.fit.verdict]


@main.command()
@click.argument("model", metavar="MODEL|FILE")
@click.option("--variant", "name", default="int8", show_default=True, help="Variant of MODEL, such as int8 or int8.onnx.")
@click.option("--target", "target_name", metavar="NAME", help="As pi4_bookworm.")
@click.option("--one-file", is_flag=True, help="Write MODEL.VARIANT.pyz too, which Python runs; needs no target.")
@click.option("--wheels", "with_wheels", is_flag=True, help="Include the packages, to install offline.")
@click.option("--output", type=click.Path(path_type=Path), help="Write here, not to NAME.TARGET.tar.gz beside the artifact.")
def bundle(model: str, name: str, target_name: str | None, one_file: bool, with_wheels: bool, output: Path | None) -> None:
    """Pack what a device needs into one .tar.gz: classify.pyz, the artifact, exact requirements, an installer, checksums.

    The same input gives the same bytes.
    """
    from common.outputs import refuse_overwriting
    from convert.deployment.bundle import write_bundle
    from convert.deployment.one_file import one_file_line, write_one_file
    from convert.deployment.target import find_target
    from convert.trained_model import artifact_path

    if target_name is None and (not one_file or with_wheels or output):
        raise click.UsageError("name the device with --target, or give only --one-file for one file that Python runs")
    artifact = artifact_path(model, name)
    if one_file:
        click.echo(one_file_line(write_one_file(artifact)))
    if target_name is None:
        return
    target = find_target(target_name)
    path = output or artifact.with_name(f"{artifact.name}.{target.name}.tar.gz")
    refuse_overwriting({"--output": path}, [artifact])
    done = write_bundle(artifact, target, path, with_wheels)
    wheels = f", {done.wheels} wheels" if done.wheels else ""
    click.echo(
        f"{done.path}: {done.size_bytes / 1000:,.0f} kB, {', '.join(done.requirements)}{wheels}; sha256 {done.sha256}"
    )


@main.command()
@click.argument("model", metavar="MODEL|FILE")
@click.option("--variant", "name", default="int8", show_default=True, help="int8, int8.tflite or int8.onnx.")
@click.option("--layers", default=15, show_default=True, type=count_from(0), help="Print this many, the worst first.")
@click.option("--fix", "mend", is_flag=True, help="Leave the worst layers in float and write that as int8_fixed.")
@click.option("--max-drop", default=0.001, show_default=True, type=Number(0, 1, min_open=True, max_open=True))
def doctor(model: str, name: str, layers: int, mend: bool, max_drop: float) -> int:
    """Examine the quantization of MODEL: each layer's error, calibration, leaks, ranges and answers.

    Exit code 0: no finding, 1: a finding, 2: unusable files. --max-drop is the accuracy that int8 may lose
    against float on the validation pictures, by the whole 99 % interval; --fix leaves an int8 within it alone.
    """
    from convert.child import Child
    from convert.doctor import text
    from convert.doctor.in_child import diagnosed
    from convert.trained_model import keras_path

    unexamined: list[str] = []

    def failed(key: str, message: str) -> None:
        unexamined.append(key)
        click.echo(f"convert: {message if message.startswith(key) else f'{key}: {message}'}", err=True)

    with Child(_progress) as child:
        path = keras_path(model)
        diagnosis = diagnosed(child, path, name, locked=mend, max_drop=max_drop, say=_progress, failed=failed)
        _print_layers([error for one in diagnosis.examinations for error in one.layers], layers)
        for line in (*text.notes(diagnosis), *(text.findings(diagnosis) if diagnosis.examinations else ())):
            click.echo(line)
        if not mend:
            return 1 if diagnosis.findings or unexamined else 0
        _mend(child, diagnosis, max_drop, failed)
        return 1 if unexamined or any(finding.name not in MENDED for finding in diagnosis.findings) else 0


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _print_layers(errors: "Sequence[LayerError]", most: int) -> None:
    from common.tables import table_lines
    from convert.doctor.text import COLUMNS, LEFT_OUT_FIRST, LEGEND, layer_table

    if not most:
        return
    for line in table_lines(COLUMNS, layer_table(errors)[:most], LEFT_OUT_FIRST):
        click.echo(line)
    click.echo(f"{min(most, len(errors))} of {len(errors)} layers, worst first. {LEGEND}")


def _mend(child: "Child", diagnosis: "Diagnosis", max_drop: float, failed: Callable[[str, str], None]) -> None:
    """Fix each examined variant; `failed` gets the reason if that is not possible."""
    from convert.doctor.in_child import fixed
    from convert.doctor.text import fix_line

    if diagnosis.calibration_findings:
        failed("--fix", "repair the findings on calibration first: float layers would only hide them")
        return
    for one, done in fixed(child, diagnosis.examinations, max_drop, failed):
        click.echo(fix_line(one, done, max_drop))


if __name__ == "__main__":
    run_cli(main, "convert")
