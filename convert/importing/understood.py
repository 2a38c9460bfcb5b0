"""What is understood of a model file: each fact with where it was learnt, and what is missing to go on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from common.advice import command
from device.card import Step
from device.pictures.input_range import InputRange

T = TypeVar("T")
Shape = tuple[int | None, ...]  # None where a side is free
Layout = Literal["NHWC", "NCHW", "NHW"]  # of the input: N pictures, H height, W width, C channels
Fit = Literal["crop", "stretch"]  # a picture's middle is cut out, or the whole picture is stretched to the input's sides
# What the outputs are: probabilities of one class in several, any numbers, each class for itself, or one number for two
Activation = Literal["softmax", "logits", "sigmoid"]
ACTIVATIONS: Mapping[str | None, Activation] = {"softmax": "softmax", "sigmoid": "sigmoid", "logits": "logits"}
LABELS_SHOWN = 8
LABELLED = "--labels FILE"
CALIBRATED = "--calibration DIR"


@dataclass(frozen=True)
class Fact(Generic[T]):
    """One thing that is known of a model, and where it was learnt ("the file's config.json")."""

    value: T
    learnt_from: str


@dataclass(frozen=True)
class Understood:
    """What a file is and says of itself. A fact that nothing says is None."""

    path: Path
    format: str  # the name of the module in convert/importing/sources
    description: str  # for people: "Keras 2 model (.h5)"
    framework: str  # gives the reference answers: "Keras 3.15.1"
    shape: Fact[Shape]  # of the input as it stands in the file, the batch in front
    dtype: Fact[str]
    layout: Fact[Layout]
    output_shape: Fact[Shape]
    input_range: Fact[InputRange] | None = None
    made_of_pixels: InputRange | None = None  # by its own first operations, where it scales by itself
    fit: Fact[Fit] | None = None
    steps: Fact[tuple[Step, ...]] | None = None  # the whole preprocessing, where the source comes with it
    activation: Fact[Activation] | None = None
    labels: Fact[tuple[str, ...]] | None = None
    in_half: bool = False  # it computes in 16 bits, so that its scores are rounded
    unclear: str = ""  # why its values are not known, where there is more to say than that nothing says them
    resized_to: tuple[int, int] | None = None  # height and width that a layer makes of a picture of any size
    converted: bool = False  # it is taken as it is, with `convert card`; nothing is made of it

    @property
    def sides(self) -> tuple[int | None, int | None]:
        """Return height and width of the input, None where they are free."""
        shape, layout = self.shape.value, self.layout.value
        return shape[layout.index("H")], shape[layout.index("W")]

    @property
    def channels(self) -> int | None:
        """Return the input's channels; 1 where it has no axis for them."""
        return self.shape.value[self.layout.value.index("C")] if "C" in self.layout.value else 1

    def shape_for(self, height: int, width: int) -> Shape:
        """Return the input's shape for pictures of that size."""
        sides = {"H": height, "W": width}
        return tuple(sides.get(axis, side) for axis, side in zip(self.layout.value, self.shape.value, strict=True))

    @property
    def classes(self) -> int | None:
        """Return how many scores it gives a picture; None where the outputs are no row of scores."""
        _, *between, last = self.output_shape.value if len(self.output_shape.value) > 1 else (None, None)
        return last if all(side == 1 for side in between) else None

    @property
    def origin(self) -> dict[str, str]:
        """Return what a card says of the file that the model came from, beside its hash."""
        return {"file": self.path.resolve().name, "format": self.format, "framework": self.framework}

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the options that `convert run`, or for what is converted `convert card`, needs besides the file."""
        wanted = {
            LABELLED: self.labels is None,
            "--input-range A..B": self.input_range is None,
            "--size PIXELS": None in self.sides and self.steps is None and self.resized_to is None,
            CALIBRATED: not self.converted,
        }
        return tuple(option for option, needed in wanted.items() if needed)

    @property
    def next_command(self) -> str:
        """Return the command that takes the file, with the options that are missing."""
        return " ".join([command("convert", "card" if self.converted else "run", self.path), *self.missing])

    def to_json(self) -> dict[str, Any]:
        """Return it for `convert inspect --json`; a fact is {"value", "learnt_from"}, or null."""
        input_range, steps = self.input_range, self.steps
        facts: dict[str, Fact[Any] | None] = {
            "shape": self.shape,
            "dtype": self.dtype,
            "layout": self.layout,
            "input_range": None if input_range is None else _also(input_range, input_range.value.to_json()),
            "fit": self.fit,
            "steps": None if steps is None else _also(steps, [step.to_json() for step in steps.value]),
            "output_shape": self.output_shape,
            "activation": self.activation,
            "labels": self.labels,
        }
        return {
            "file": str(self.path),
            "format": self.format,
            "description": self.description,
            "framework": self.framework,
            **{name: None if fact is None else _fact_json(fact) for name, fact in facts.items()},
            "missing": list(self.missing),
        }


def _also(fact: Fact[Any], value: object) -> Fact[Any]:
    """Return another value that was learnt from the same place."""
    return Fact(value, fact.learnt_from)


def _fact_json(fact: Fact[Any]) -> dict[str, Any]:
    value = list(fact.value) if isinstance(fact.value, tuple) else fact.value
    return {"value": value, "learnt_from": fact.learnt_from}


def shape_text(shape: Shape) -> str:
    """Return "(?, 224, 224, 3)"."""
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"


def understood_text(understood: Understood, with_missing: bool = True, given: Fact[InputRange] | None = None) -> str:
    """Return what was understood, for people: a line for the file, and one for each fact with where it was learnt.

    `given` is the range that an option states: it counts in place of the file's own.
    """
    lines = [f"{understood.path}: {understood.description}, answered by {understood.framework}"]
    lines += [f"  {subject:<10} {text}" for subject, text in _lines(understood, given)]
    lines += [f"  {'next':<10} {understood.next_command}"] if with_missing else []
    return "\n".join(lines)


def _lines(understood: Understood, given: Fact[InputRange] | None) -> Iterator[tuple[str, str]]:
    shape, taken, steps, activation = understood.shape, understood.input_range, understood.steps, understood.activation
    yield "input", _said(shape, f"{shape_text(shape.value)} {understood.layout.value}, {understood.dtype.value}")
    if given is not None:
        yield "range", f"{given.value.name} (given by {given.learnt_from})"
    else:
        unknown = f"not known: {understood.unclear or '--input-range says it'}"
        yield "range", _said(taken, taken.value.name) if taken else unknown
    if steps is not None:
        yield "steps", _said(steps, ", ".join(step.name for step in steps.value))
    else:
        fit = understood.fit
        yield "fit", _said(fit, fit.value) if fit else "not known: a picture's middle is cut out, or it is stretched"
    outputs = shape_text(understood.output_shape.value) + (f", {activation.value}" if activation else "")
    yield "outputs", _said(understood.output_shape, outputs)
    if understood.labels is None:
        yield "labels", "not known: --labels says them"
    else:
        names, more = understood.labels.value[:LABELS_SHOWN], len(understood.labels.value) - LABELS_SHOWN
        text = ", ".join(names) + (f" and {more:,} more" if more > 0 else "")
        yield "labels", _said(understood.labels, text)


def _said(fact: Fact[Any], text: str) -> str:
    return f"{text} ({fact.learnt_from})"
