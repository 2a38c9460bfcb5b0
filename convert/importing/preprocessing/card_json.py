"""The project's own JSON of `--preprocess`: the steps for a picture, the input's size, the values that the model takes."""

from pathlib import Path
from typing import Any

from convert.importing.preprocessing.preprocess_option import Layout, Preprocess
from device.card import Step
from device.errors import CardError, EdgeproofError
from device.pictures.input_range import range_from_json

INPUT_FIELDS = ("height", "width", "channels", "pixels", "range", "scale", "offset", "order", "layout")
LAYOUTS: tuple[Layout, ...] = ("NHWC", "NCHW")


def read(path: Path, document: Any) -> Preprocess:
    """Take {"preprocess": [...], "input": {...}}, the list of steps alone, or a whole card, of which these two are taken.

    `input` may hold height, width, channels, the layout ("NHWC", "NCHW"), and the values that the model takes: "range"
    ("-1..1") or "scale", "offset" and "order". Raises EdgeproofError that names the field.
    """
    if isinstance(document, list):
        document = {"preprocess": document}
    if not isinstance(document, dict):
        raise EdgeproofError(f"{path}: expected a JSON object with preprocess and input, found {type(document).__name__}")
    unknown = [] if "schema" in document else sorted(set(document) - {"preprocess", "input"})
    if unknown or not {"preprocess", "input"} & set(document):
        raise EdgeproofError(f"{path}: found {', '.join(unknown) or 'nothing'}, expected preprocess and input")
    shape = document.get("input", {})
    if not isinstance(shape, dict) or (unknown := sorted(set(shape) - set(INPUT_FIELDS))):
        raise EdgeproofError(f"{path}: input {', '.join(unknown) or shape}: expected {', '.join(INPUT_FIELDS)}")
    sides = [_side(path, shape, name) for name in ("height", "width", "channels")]
    if (sides[0] is None) != (sides[1] is None):
        raise EdgeproofError(f"{path}: input: expected height and width, or neither")
    layout = next((known for known in LAYOUTS if known == shape.get("layout")), None)
    if layout is None and "layout" in shape:
        raise EdgeproofError(f"{path}: input.layout {shape['layout']!r}: expected {' or '.join(LAYOUTS)}")
    return Preprocess(
        steps=_steps(path, document),
        size=None if sides[0] is None or sides[1] is None else (sides[0], sides[1]),
        channels=sides[2],
        input_range=range_from_json(shape, str(path)),
        layout=layout,
    )


def _side(path: Path, shape: dict[str, Any], name: str) -> int | None:
    value = shape.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 8192:
        raise EdgeproofError(f"{path}: input.{name} {value!r}: expected a number of pixels from 1 to 8192")
    return value


def _steps(path: Path, document: dict[str, Any]) -> tuple[Step, ...] | None:
    entries = document.get("preprocess")
    if entries is None:
        return None
    if not isinstance(entries, list) or not entries:
        raise EdgeproofError(
            f'{path}: preprocess {entries!r}: expected a list of steps, as [["rgb"], ["resize", {{"size": 224}}]]'
        )
    try:
        return tuple(Step.from_json(entry) for entry in entries)
    except CardError as error:
        raise EdgeproofError(f"{path}: {error}") from error
