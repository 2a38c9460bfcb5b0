"""Commands for what an artifact runs on: check, export, bundle."""

from pathlib import Path

import click

from common.paths import RESULTS
from convert.commands.shared import PATH, say

ARENA_HELP = f"Results with the measured arena, for a board  [default: {RESULTS}]"


@click.command()
@click.argument("file", type=PATH)
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
        say(line)
    return EXIT_CODES[overall(one.verdict for one in checked)]


@click.command()
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
    say(exported.line)
    return EXIT_CODES[exported.fit.verdict]


@click.command()
@click.argument("model", metavar="MODEL|FILE")
@click.option("--variant", "name", default="int8", show_default=True, help="Variant of MODEL, such as int8 or int8.onnx.")
@click.option("--target", "target_name", metavar="NAME", help="As pi4_bookworm.")
@click.option("--one-file", is_flag=True, help="Write MODEL.VARIANT.pyz too, which Python runs; needs no target.")
@click.option("--wheels", "with_wheels", is_flag=True, help="Include the packages, to install offline.")
@click.option("--output", type=PATH, help="Write the .tar.gz (without a target, the .pyz) here, not beside the artifact.")
def bundle(model: str, name: str, target_name: str | None, one_file: bool, with_wheels: bool, output: Path | None) -> None:
    """Pack what a device needs into one .tar.gz: classify.pyz, the artifact, exact requirements, an installer, checksums.

    The same input gives the same bytes.
    """
    from common.outputs import refuse_overwriting
    from convert.deployment.bundle import write_bundle
    from convert.deployment.one_file import one_file_line, write_one_file
    from convert.deployment.target import find_target
    from convert.trained_model import artifact_path

    if target_name is None and (not one_file or with_wheels):
        raise click.UsageError("name the device with --target, or give only --one-file for one file that Python runs")
    artifact = artifact_path(model, name)
    if one_file:
        own_output = output if target_name is None else None
        if own_output is not None:
            refuse_overwriting({"--output": own_output}, [artifact])
        click.echo(one_file_line(write_one_file(artifact, own_output)))
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
