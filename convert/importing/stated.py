"""What is stated of a model, by options or by its own file: its range of values, its labels, its size and its steps."""

from collections.abc import Sequence
from pathlib import Path

from convert.importing.import_options import ImportOptions
from convert.importing.model_io import InputSpec
from convert.importing.preprocessing import Preprocess
from convert.importing.sources import Source
from convert.importing.understood import Fact, shape_text
from device.cardless import INPUT_RANGE
from device.errors import EdgeproofError
from device.pictures.input_range import InputRange, parse_range
from device.pictures.steps import sides
from device.preprocessing.whole_picture import CROP, whole_picture_steps


def stated_range(text: str | None, asked: Preprocess, preprocess: str | None) -> Fact[InputRange] | None:
    """Return the range that an option states, and which one. Raises EdgeproofError where a person's own file differs."""
    given = None if text is None else parse_range(text)
    if given is not None:
        if asked.input_range not in (None, given) and not asked.of_training:
            raise EdgeproofError(f"{INPUT_RANGE} {given.name}: {preprocess} says otherwise: leave one of them out")
        return Fact(given, INPUT_RANGE)
    return None if asked.input_range is None else Fact(asked.input_range, f"--preprocess {preprocess}")


def stated_labels(source: Source, given: Sequence[str] | None, path: Path | str | None) -> list[str]:
    """Return the labels that were given, or those that come with the model. Raises EdgeproofError where they do not fit."""
    understood = source.understood
    outputs = understood.classes
    if outputs is None:
        raise EdgeproofError(
            f"{understood.path}: its output is {shape_text(understood.output_shape.value)}, expected (batch, classes): save "
            "the model with its classifying head"
        )
    classes = 2 if outputs == 1 else outputs  # one output is that of the second class
    if given is None and understood.labels is None:
        raise EdgeproofError(f"{understood.path}: nothing in it says its {classes} labels: give --labels FILE")
    labels = list(given if given is not None else understood.labels.value if understood.labels else ())
    if classes != len(labels):
        more = ": its first class may be 'background', which then needs a label too" if classes == len(labels) + 1 else ""
        meant = "1 output, for two classes" if outputs == 1 else f"{outputs} outputs"
        raise EdgeproofError(f"{path or understood.path}: holds {len(labels)} labels, the model has {meant}{more}")
    return labels


def stated_input(source: Source, options: ImportOptions, asked: Preprocess) -> InputSpec:
    """Settle size and steps. Raises EdgeproofError where they are not known or contradict each other."""
    path, fixed, channels = source.understood.path, source.understood.sides, source.understood.channels
    assert channels is not None  # open_source has looked
    layout = source.understood.layout.value
    if asked.layout not in (None, layout):
        raise EdgeproofError(f"{path}: takes {layout}, --preprocess says {asked.layout}")
    if asked.channels not in (None, channels):
        raise EdgeproofError(f"{path}: takes {channels} channels, --preprocess says {asked.channels}")
    wanted = (options.size, options.size) if options.size is not None else asked.size
    if wanted is None and asked.steps and None in fixed:
        last = next((step.parameters["size"] for step in reversed(asked.steps) if "size" in step.parameters), None)
        wanted = None if last is None else sides(last)
    if wanted is None and None in fixed:
        wanted = source.understood.resized_to
    if wanted is None and None in fixed:
        raise EdgeproofError(f"{path}: takes pictures of any size: give --size N, in pixels, as 224")
    height, width = (side or wanted or 0 for side, wanted in zip(fixed, wanted or fixed, strict=True))
    if wanted is not None and wanted != (height, width):
        raise EdgeproofError(f"{path}: takes {height}×{width} pixels, asked for are {wanted[0]}×{wanted[1]}")
    steps = asked.steps_for((height, width, channels))
    shape = (height, width, channels)
    if steps and options.fit is not None:
        raise EdgeproofError(f"--fit {options.fit}: --preprocess {options.preprocess} says it: leave one of them out")
    if steps:
        return InputSpec(steps, shape)
    known = source.understood.fit.value if source.understood.fit else None
    return InputSpec(whole_picture_steps(*shape, options.fit or known or CROP), shape, bool(options.fit or known))
