"""Models that were not made here: what the options say of them, since no card does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.artifacts.cardless_input import CardlessInput
from bench.artifacts.fit_trial import right_answers
from convert.importing.preprocessing import Preprocess, read_preprocess
from device import cardless
from device.card import CARD_SCHEMA, Card, CardlessOptions, Step
from device.errors import EdgeproofError, PictureError
from device.formats.model_facts import ModelFacts, classifier_facts
from device.formats.model_file import read_model_bytes
from device.formats.model_graph import FREE
from device.preprocessing.encoding import Encoding
from device.preprocessing.whole_picture import STRETCH, whole_picture_steps
from train.data.folders import labelled_split

LONGEST_SIDE = 10  # characters


@dataclass(frozen=True)
class CardlessRunOptions:
    """What the options of `bench run` say of models without a card."""

    labels: Path | None = None
    preprocess: str | None = None  # a file, or the name of a preset
    data: Path | None = None
    shapes: tuple[str, ...] = ()  # "1,224,224,3" or "NAME=1,224,224,3"
    input_range: str | None = None
    fit: str | None = None

    @property
    def names(self) -> list[str]:
        """Return the options that were given and that a model with a card does not need."""
        named = {
            "--labels": self.labels,
            "--preprocess": self.preprocess,
            "--input-shape": self.shapes,
            "--input-range": self.input_range,
            "--fit": self.fit,
        }
        return [name for name, value in named.items() if value]


def describe(path: Path, options: CardlessRunOptions) -> tuple[Card, CardlessInput]:
    """Make the card of a model that has none: complete where labels and pictures are given, else with its name only.

    Raises EdgeproofError where only some of what accuracy needs is given, or where something does not fit.
    """
    shapes = dict(_shape(text) for text in options.shapes)
    if not options.data and not set(options.names) - {"--input-shape"}:
        document = {"schema": CARD_SCHEMA, "model": path.stem, "variant": "given"}
        return Card(path.stem, "given", (), 0, 0, 0, (), document), CardlessInput(shapes)
    if options.data is None:
        raise EdgeproofError(
            f"{path}: has no card: its accuracy needs --labels FILE and --data FOLDER; "
            f"without {' and '.join(options.names)} its latency is measured with random input"
        )
    facts = classifier_facts(path, read_model_bytes(path))
    filled = next(iter(shapes.values()), facts.input.shape)  # of the only input
    if options.preprocess is None:
        return _with_better_fit(facts, options, options.data, filled, CardlessInput(shapes))
    if options.fit is not None:
        raise EdgeproofError(
            f"--fit {options.fit}: {options.preprocess} says how a picture is fitted: leave one of them out"
        )
    return _with_steps(facts, options, options.preprocess, filled), CardlessInput(shapes)


def _with_better_fit(
    facts: ModelFacts, options: CardlessRunOptions, data: Path, filled: Sequence[int], found: CardlessInput
) -> tuple[Card, CardlessInput]:
    """Make a card with the fit that is given, else with the one that more labelled pictures are answered rightly with."""

    def described(fit: str | None) -> tuple[Card, str]:
        given = CardlessOptions(options.labels, options.input_range, fit)
        return cardless.describe(facts, given, filled, variant="given")

    card, line = described(options.fit)
    other, other_line = described(STRETCH)
    right = None if options.fit else right_answers(facts.path, [card, other], data)
    if right is None:
        return card, replace(found, understood=line)
    if right[1] > right[0]:
        card, line = other, other_line
    tried = f"tried on labelled pictures: {right[0]} right cropped, {right[1]} stretched"
    return card, replace(found, understood=f"{line}; {tried}")


def _with_steps(facts: ModelFacts, options: CardlessRunOptions, preprocess: str, filled: Sequence[int]) -> Card:
    """Make a card from what --preprocess says; what it leaves out comes from the other options or from the model."""
    asked = read_preprocess(preprocess)
    if asked.labels is not None and options.labels is None:
        labels, source = list(asked.labels), preprocess
    else:
        labels, source = cardless.labels_for(facts, options.labels)
    steps, (height, width, channels) = _steps_and_shape(facts, options, asked, filled, labels)
    if asked.input_range is not None and not (options.input_range and asked.of_training):
        asked.input_range.check_channels(channels)
        if options.input_range is not None:
            raise EdgeproofError(f"--input-range {options.input_range}: {preprocess} says it: leave one of them out")
        found, _ = cardless.understood_range(facts, asked.input_range, f"--preprocess {preprocess}")
    else:
        picture = cardless.Picture(height, width, channels, asked.layout or "")
        found = cardless.understood_encoding(facts, options.input_range, picture).encoding.input_range
    layout = asked.layout
    if layout is None:  # free sides do not matter here
        shape = [1 if side == FREE else side for side in facts.input.shape]
        picture = cardless.picture_of(facts, shape)
    else:
        picture = cardless.Picture(height, width, channels, layout)
    whole = (*steps, *Encoding(found, picture.layout).to_steps())
    return cardless.card_for(
        facts, labels, source, whole, cardless.Picture(height, width, channels, picture.layout), "given"
    )


def _steps_and_shape(
    facts: ModelFacts, options: CardlessRunOptions, asked: Preprocess, filled: Sequence[int], labels: Sequence[str]
) -> tuple[Sequence[Step], tuple[int, int, int]]:
    """Return the steps, and their (height, width, channels); those of a preset follow from the model's input."""
    assert options.data is not None
    if asked.steps is not None:
        height, width, channels = _prepared_shape(options.data, labels, asked.steps)
        return asked.steps, (height, width, channels)
    picture = cardless.picture_of(facts, filled)
    shape = (picture.height, picture.width, picture.channels)
    return asked.steps_for(shape) or whole_picture_steps(*shape), shape


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sides = text.rpartition("=")
    parts = sides.split(",")
    whole = all(part.strip().isdecimal() and len(part) <= LONGEST_SIDE for part in parts)
    if not whole or not 0 < math.prod(int(part) for part in parts) < 2**31:
        raise EdgeproofError(f"--input-shape {text[:40]}: expected [NAME=]SIDES such as 1,224,224,3")
    return name, tuple(int(part) for part in parts)


def _prepared_shape(data: Path, labels: Sequence[str], steps: Sequence[Step]) -> tuple[int, ...]:
    """Return the shape (H, W, C) that the steps give to the first picture that they can use."""
    pictures = labelled_split(data, labels)
    for index in range(len(pictures)):
        try:
            return pictures.prepare(index, steps).shape
        except PictureError:
            continue
    raise EdgeproofError(f"{data}: the steps can use none of its {len(pictures)} pictures")
