"""The command that examines a quantization: doctor."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from common.cli import Number, count_from

if TYPE_CHECKING:
    from convert.child import Child
    from convert.doctor.diagnose import Diagnosis
    from convert.doctor.layer_error import LayerError

MENDED = ("accuracy", "agreement")  # the findings that `doctor --fix` repairs


@click.command()
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
