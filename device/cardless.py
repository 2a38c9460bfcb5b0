"""Models without a card: what is read from the file, what the options say, and which options are required."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from device.card import CARD_SCHEMA, Card, CardlessOptions, Step
from device.errors import CardError, EdgeproofError
from device.formats.labels import read_labels, twice_text
from device.formats.model_facts import ModelFacts
from device.formats.model_graph import FREE, TensorFacts, covered, kind_of
from device.outputs import UNSAID
from device.pictures.input_range import CHOICES, PIXELS, InputRange, parse_range
from device.preprocessing.encoding import NCHW, NHWC, ONE_A_STEP, Encoding, encoding_of
from device.preprocessing.whole_picture import CROP, whole_picture_steps

KNOWN_RANGES = ("0..255", "0..1", "-1..1", "-128..127")  # that quantized models usually take
STEPS_OFF = 2  # how far a quantized input may be off: its zero point is rounded, and 1/128 is used for 1/127.5
SHARE_OFF = 0.15  # of the range: calibration pictures may not reach its ends
SHARE_BEYOND = 0.25  # of the requested range may exceed what the input can hold: with more, pixels would saturate
MIN_SHARE = 0.25  # of what the input can hold: a smaller range would use only a few of its steps; and the other way round
INPUT_RANGE = "--input-range"
WHOLE_NUMBERS = ("uint8", "uint16", "uint32", "int32", "int64")


class Understood(NamedTuple):
    """A fact about a model, and the source of it."""

    encoding: Encoding
    learnt_from: str


class Picture(NamedTuple):
    """The size and layout of a picture as a model takes it."""

    height: int
    width: int
    channels: int
    layout: str


def picture_of(facts: ModelFacts, shape: Optional[Sequence[int]] = None) -> Picture:
    """Return the picture in an input (N, H, W, C), (N, C, H, W) or (N, H, W). `shape` has the free sides filled.

    Raises CardError for an input that is no picture, and for free sides other than the batch.
    """
    if kind_of(facts.input.dtype) not in ("i", "u", "f"):
        raise CardError(f"{facts.path}: is no picture model: its input is of type {facts.input.dtype}, expected numbers")
    found = tuple(facts.input.shape if shape is None else shape)
    shown = "(" + ", ".join("?" if side == FREE else str(side) for side in found) + ")"
    sides = found[1:]
    if len(found) in (3, 4) and FREE in sides:
        raise CardError(
            f"{facts.path}: its input is {shown}: the size of a picture is open: export it with a fixed size, or convert it "
            "with `convert run --size PIXELS`"
        )
    if len(found) == 3:
        sides = (*sides, 1)
    if len(sides) != 3 or (sides[0] not in (1, 3) and sides[2] not in (1, 3)):
        raise CardError(
            f"{facts.path}: is no picture model: its input is {shown} {facts.input.dtype}, "
            "expected (batch, height, width, 1 or 3) or (batch, 1 or 3, height, width)"
        )
    first = sides[0] in (1, 3) and (sides[2] not in (1, 3) or facts.path.suffix.lower() == ".onnx") and len(found) == 4
    channels, height, width = sides if first else (sides[2], sides[0], sides[1])
    if min(height, width) < 1:
        raise CardError(f"{facts.path}: its input {shown} has no pixels")
    return Picture(height, width, channels, NCHW if first else NHWC)


def understood_range(
    facts: ModelFacts, requested: Optional[InputRange], said_by: str = INPUT_RANGE
) -> tuple[Optional[InputRange], str]:
    """Return the values that a model takes and the source of that; None for an 8-bit input that takes the byte as it is.

    `said_by` names what requested a range. Raises CardError that asks for --input-range where the range is unknown, or
    where what is requested contradicts the file.
    """
    limits = _covered(facts.input)
    if requested is not None:
        return _requested_range(facts, requested, limits, said_by)
    if limits is not None:
        return _quantized_range(facts, limits)
    if facts.input.dtype in WHOLE_NUMBERS:
        return PIXELS, "it takes whole numbers"
    if facts.metadata.input_range is not None:
        known = _named(facts.metadata.input_range)
        return known, f"standard metadata says {known.name}"
    if facts.front.covered is not None and not facts.front.operations:
        near = _near(facts.front.covered)
        if near is not None:
            return near, f"its first operation quantizes {_text(facts.front.covered)}"
    if facts.front.takes is not None:
        return parse_range(facts.front.takes), f"it scales by itself ({', '.join(facts.front.operations)})"
    does = f" (it begins with {', '.join(facts.front.operations)})" if facts.front.operations else ""
    raise CardError(
        f"{facts.path}: nothing in it says which values it takes{does}: give --input-range with what it was trained on: "
        f"{CHOICES}"
    )


def _covered(tensor: TensorFacts) -> Optional[tuple[float, float]]:
    """Return the range of real values that a quantized input holds; an 8-bit input without quantization holds 0..255."""
    if tensor.covered is not None or tensor.dtype != "uint8":
        return tensor.covered
    return 0.0, 255.0


def _requested_range(
    facts: ModelFacts, requested: InputRange, limits: Optional[tuple[float, float]], said_by: str
) -> tuple[Optional[InputRange], str]:
    low, high = requested.limits
    if limits is None and kind_of(facts.input.dtype) in ("i", "u"):
        limits = covered(facts.input.dtype, ONE_A_STEP)
    if limits is None:
        return _beside_own_scaling(facts, requested, said_by)
    beyond = max(limits[0] - low, high - limits[1])
    wide = np.dtype(facts.input.dtype).itemsize > 1
    too_small = beyond > SHARE_BEYOND * (high - low) and not _of_dim_pictures(limits, (low, high))
    if too_small or (not wide and high - low < MIN_SHARE * (limits[1] - limits[0])):
        raise CardError(
            f"{facts.path}: {said_by} {requested.name}: its input of type {facts.input.dtype} holds {_text(limits)}: "
            f"that contradicts it: {_without(facts, limits)}give the range that it was trained on"
        )
    same = _is_byte(facts.input, limits, requested)
    return (None if same else requested), said_by


def _of_dim_pictures(held: tuple[float, float], requested: tuple[float, float]) -> bool:
    """Say whether an input holds the lower part of a range, as of calibration pictures without white: brighter saturates."""
    share = (held[1] - held[0]) / (requested[1] - requested[0])
    return abs(held[0] - requested[0]) <= STEPS_OFF * (held[1] - held[0]) / 255 and MIN_SHARE <= share <= 1


def _without(facts: ModelFacts, limits: tuple[float, float]) -> str:
    """Return the advice to leave the option out, where the file says by itself what it takes."""
    try:
        _quantized_range(facts, limits)
    except CardError:
        return ""
    return "leave the option out, or "


def _beside_own_scaling(facts: ModelFacts, requested: InputRange, said_by: str) -> tuple[InputRange, str]:
    """Return the range that a float model takes where its first operations may scale already.

    A file that says how pictures were normalized may describe just these operations: then they are not done twice.
    """
    own = None if facts.front.takes is None else parse_range(facts.front.takes)
    if own is None or requested == own:
        return requested, said_by
    scales = f"it scales by itself ({', '.join(facts.front.operations)}) and so takes {own.name}"
    if said_by == INPUT_RANGE:
        return requested, f"{said_by}, although {scales}"
    if requested.same_values(own.followed_by(facts.front.scale, facts.front.offset)):
        return own, f"{scales}, which is what {said_by} says"
    raise CardError(f"{facts.path}: {scales}, {said_by} says otherwise: give {INPUT_RANGE} {own.name} too")


def _quantized_range(facts: ModelFacts, limits: tuple[float, float]) -> tuple[Optional[InputRange], str]:
    size = "×".join("?" if side == FREE else str(side) for side in facts.input.shape[1:])
    said = f"its {facts.input.dtype} input of {size} holds {_text(limits)}"
    for name in KNOWN_RANGES:
        known = parse_range(name)
        if _is_byte(facts.input, limits, known):
            return None, f"{said}: {name}, a pixel is its byte{'' if facts.input.dtype == 'uint8' else ' - 128'}"
    known_range = _near(limits)
    if known_range is None and facts.metadata.input_range is not None:
        known_range = _named(facts.metadata.input_range)
    if known_range is not None:
        return known_range, f"{said}, so it takes {known_range.name}"
    raise CardError(
        f"{facts.path}: {said}, which is none of {', '.join(KNOWN_RANGES)}: "
        f"it may take something else than pictures, as sound; if it does take pictures, give --input-range with what it was "
        f"trained on: {CHOICES}"
    )


def _is_byte(tensor: TensorFacts, limits: tuple[float, float], known: InputRange) -> bool:
    """Say whether the least and the greatest byte mean black and white of a range."""
    if tensor.dtype not in ("uint8", "int8") or len(known.scale) + len(known.offset) > 2 or known.order != "rgb":
        return False
    step = (limits[1] - limits[0]) / 255
    return all(abs(found - expected) <= STEPS_OFF * step for found, expected in zip(limits, known.limits))


def _near(limits: tuple[float, float]) -> Optional[InputRange]:
    """Return the known range that these limits nearly equal."""
    for name in KNOWN_RANGES:
        low, high = parse_range(name).limits
        if all(abs(found - end) <= SHARE_OFF * (high - low) for found, end in zip(limits, (low, high))):
            return parse_range(name)
    return None


def _named(found: InputRange) -> InputRange:
    """Return the known range that equals this one, under its usual name."""
    for name in (*KNOWN_RANGES, "torch"):
        known = parse_range(name)
        if np.allclose(found.limits, known.limits, atol=0.01 * (known.limits[1] - known.limits[0])):
            return InputRange(name, found.scale, found.offset, found.order) if name != "0..255" else known
    return InputRange(_text(found.limits), found.scale, found.offset, found.order)


def _text(limits: tuple[float, float]) -> str:
    low, high = (f"{round(limit, 3):g}" for limit in limits)
    return f"{low}..{high}"


def understood_encoding(facts: ModelFacts, requested: Optional[str], picture: Picture) -> Understood:
    """Return how a prepared picture becomes the input. Raises CardError or EdgeproofError as `understood_range`."""
    wanted = None if requested is None else parse_range(requested)
    if wanted is not None:
        wanted.check_channels(picture.channels)
    found, learnt_from = understood_range(facts, wanted)
    if found is not None:
        found.check_channels(picture.channels)
    return Understood(Encoding(found, picture.layout), learnt_from)


def card_for(
    facts: ModelFacts, labels: Sequence[str], source: str, steps: Sequence[Step], picture: Picture, variant: str
) -> Card:
    """Make the card of a model that has none. Raises CardError where labels and outputs differ in number."""
    outputs = _outputs(facts)
    if outputs not in (None, len(labels)) and (outputs, len(labels)) != (1, 2):
        more = ": its first class may be 'background', which then needs a label too" if outputs == len(labels) + 1 else ""
        if len(labels) == 1 and set(labels[0]) & set(",;[|"):
            more = f": the one label is {labels[0][:40]!r}: put each label on a line of its own"
        raise CardError(f"{facts.path}: {len(labels)} labels in {source}, the model has {outputs} outputs{more}")
    if outputs == 1 and facts.activation is None:
        raise CardError(
            f"{facts.path}: its only output is a probability or a logit, and its last operations do not say which: export "
            "the model with a Sigmoid at its end"
        )
    return Card.from_json(
        {
            "schema": CARD_SCHEMA,
            "model": facts.path.stem,
            "variant": variant,
            "labels": list(labels),
            "input": {
                "height": picture.height,
                "width": picture.width,
                "channels": picture.channels,
                "pixels": "0..255",
            },
            "preprocess": [step.to_json() for step in steps],
            "output": {"activation": facts.activation or UNSAID},
        }
    )


def _outputs(facts: ModelFacts) -> Optional[int]:
    """Return how many outputs a picture has, or None where the file leaves it open."""
    sides = facts.output.shape[1:]
    return None if FREE in sides or not sides else math.prod(sides)


def labels_for(facts: ModelFacts, requested: Optional[Path]) -> tuple[list[str], str]:
    """Return the labels and their source. Raises CardError where there are none."""
    if requested is not None:
        return read_labels(requested), str(requested)
    if facts.labels is not None:
        return list(facts.labels), "its standard metadata"
    raise CardError(
        f"{facts.path}: has no card, so its labels and preprocessing are unknown: give --labels FILE (one label a line), "
        "or add a card to it"
    )


def describe(
    facts: ModelFacts, options: CardlessOptions, shape: Optional[Sequence[int]] = None, variant: str = "unknown"
) -> tuple[Card, str]:
    """Make the card of a model that has none; also return a line for people on what was found and where.

    `shape` is the input's with its free sides filled. Raises EdgeproofError where something is missing. Only the
    way in which a picture is cut is guessed, and the line says so.
    """
    labels, source = labels_for(facts, options.labels)
    picture = picture_of(facts, shape)
    try:
        encoding, learnt_from = understood_encoding(facts, options.input_range, picture)
    except CardError:
        raise
    except EdgeproofError as error:
        raise CardError(f"{facts.path}: {error}") from error
    fit = options.fit or CROP
    steps = whole_picture_steps(picture.height, picture.width, picture.channels, fit)
    card = card_for(facts, labels, source, (*steps, *encoding.to_steps()), picture, variant)
    values = "the byte" if encoding.input_range is None else encoding.input_range.name
    size = f"{picture.height}×{picture.width}×{picture.channels}"
    shown = "cropped in the middle" if fit == CROP else "stretched"
    hint = "" if options.fit else " (--fit stretch, if it was trained that way)"
    outputs = "outputs unknown, judged by their values" if facts.activation is None else f"outputs {facts.activation}"
    line = (
        f"{facts.path}: has no card; {size} {facts.input.dtype} {picture.layout}, values {values} ({learnt_from}); "
        f"pictures are {shown}{hint}; {outputs}; {len(labels)} labels of {source}"
    )
    twice = twice_text(labels)
    return card, f"{line}; note: {twice}" if twice else line


def is_made_up(card: Card) -> bool:
    """Say whether a card was made by `describe`, for a model that has none."""
    return "model_sha256" not in card.document


def with_fit(card: Card, fit: str) -> Card:
    """Return a copy of such a card with another `fit`."""
    whole = whole_picture_steps(card.height, card.width, card.channels, fit)
    return replace(card, preprocess=(*whole, *encoding_of(card.preprocess).to_steps()))
