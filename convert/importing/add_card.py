"""Add a card to a model that is converted already: its bytes stay, and the card stands behind them (`convert card`).

What the file says of itself, in its quantization and its standard metadata, is not demanded again.
"""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from common.files import replacing
from common.lock import exclusive
from common.version import tool_versions
from convert.child import Say, Workplace
from convert.formats.card_writer import embed
from convert.formats.tflite_reader import min_runtime, read_model
from convert.importing.import_options import build_folder
from convert.importing.preprocessing import Preprocess, read_preprocess
from convert.importing.sources import Opening, open_source
from convert.importing.sources.tflite_file import TfliteSource
from convert.importing.stated import stated_range
from convert.importing.understood import Fact, understood_text
from convert.variants import GIVEN
from convert.verification import golden
from convert.verification.verify import margins
from device.card import Card, Step
from device.cardless import Picture, card_for, understood_range
from device.errors import CardError, CheckFailed, EdgeproofError
from device.formats.labels import read_labels, twice_text
from device.formats.model_file import read_model_bytes
from device.open_model import open_session
from device.pictures.input_range import InputRange
from device.preprocessing.encoding import Encoding
from device.preprocessing.prepare import prepare, read_picture
from device.preprocessing.whole_picture import CROP, whole_picture_steps
from device.runtimes import Session
from train.data.calibration import labelled_files
from train.data.dataset import Pixels

PICTURES_LOOKED_AT = 200
MADE_UP, MADE_UP_SIDES, MADE_UP_PATCHES = 6, (96, 128), (3, 4)


@dataclass(frozen=True)
class CardOptions:
    """A converted model and the options for it."""

    path: Path
    labels: Path | None = None
    input_range: str | None = None
    preprocess: str | None = None
    fit: str | None = None
    pictures: Path | None = None
    name: str | None = None


@dataclass(frozen=True)
class CardAdded:
    """The file that was written."""

    path: Path
    card: Card
    golden: int


def add_card_in_child(workplace: Workplace, options: CardOptions) -> CardAdded:
    """Add a card, in the child process."""
    return add_card(options, workplace.say)


def add_card(options: CardOptions, say: Say) -> CardAdded:
    """Write build/NAME/NAME.given.tflite: the model's own bytes and its card. The source stays as it is.

    Raises EdgeproofError where something is not known or contradicts the file, before anything is written.
    """
    folder = build_folder(options.path, options.name)
    if (folder / f"{folder.name}.card.json").exists():
        raise EdgeproofError(f"{folder}: holds a model that artifacts are made of: choose another --name")
    asked = Preprocess() if options.preprocess is None else read_preprocess(options.preprocess)
    given = stated_range(options.input_range, asked, options.preprocess)
    source = open_source(options.path, Opening())
    say(understood_text(source.understood, with_missing=False, given=given))
    if not isinstance(source, TfliteSource):
        raise EdgeproofError(
            f"{options.path}: is to be converted: give it to `convert run`; `convert card` is for a .tflite"
        )
    labels, learnt_from = _labels(source, options, asked)
    if twice := twice_text(labels):
        say(f"note: {twice}")
    steps = (*_steps(source, options, asked), *_encoding(source, given).to_steps())
    card = card_for(source.facts, labels, learnt_from, steps, source.picture, GIVEN)
    path = folder / f"{folder.name}.{GIVEN}.tflite"
    with exclusive(folder / folder.name), replacing(path) as temporary:
        temporary.write_bytes(read_model_bytes(source.file))
        proof = _proof(temporary, card, options.pictures)
        embed(temporary, {**card.document, "model": folder.name, **proof, **_provenance(source)})
    return CardAdded(path, card, len(proof["golden"]))


def _labels(source: TfliteSource, options: CardOptions, asked: Preprocess) -> tuple[Sequence[str], str]:
    if options.labels is not None:
        return read_labels(options.labels), str(options.labels)
    if asked.labels is not None:
        return asked.labels, str(options.preprocess)
    inside = source.understood.labels
    if inside is None:
        raise CardError(f"{options.path}: nothing in it names its labels: give --labels FILE")
    return inside.value, inside.learnt_from


def _steps(source: TfliteSource, options: CardOptions, asked: Preprocess) -> tuple[Step, ...]:
    """Return the steps for a picture. Raises EdgeproofError where those of an option lead to another input."""
    picture, known = source.picture, source.understood.fit
    shape = (picture.height, picture.width, picture.channels)
    steps = asked.steps_for(shape)
    if steps is None:
        fit = options.fit or (known.value if known else CROP)
        return whole_picture_steps(*shape, fit)
    if options.fit is not None:
        raise EdgeproofError(f"--fit {options.fit}: --preprocess {options.preprocess} says it: leave one of them out")
    sides = asked.size in (None, shape[:2]) and asked.channels in (None, shape[2])
    if not sides or asked.layout not in (None, picture.layout):
        raise EdgeproofError(
            f"{options.path}: takes {_text(picture)}, --preprocess {options.preprocess} is for another input"
        )
    return steps


def _text(picture: Picture) -> str:
    return f"{picture.height}×{picture.width}×{picture.channels} {picture.layout}"


def _encoding(source: TfliteSource, given: Fact[InputRange] | None) -> Encoding:
    """Return the values that a pixel becomes: as options, as the file says, or as its kind has it.

    Raises CardError where nothing says it, or where an option contradicts a quantized input.
    """
    if given is not None:
        given.value.check_channels(source.picture.channels)
        return Encoding(understood_range(source.facts, given.value, given.learnt_from)[0], source.picture.layout)
    try:
        found, _ = understood_range(source.facts, None)
    except CardError:
        if source.understood.input_range is None:
            raise
        found = source.understood.input_range.value
    return Encoding(found, source.picture.layout)


def _provenance(source: TfliteSource) -> dict[str, Any]:
    document: dict[str, Any] = {
        "provenance": {
            "source": {**source.understood.origin, "sha256": source.sha256},
            "tools": tool_versions(("ai-edge-litert", "numpy", "pillow")),
        }
    }
    oldest = min_runtime(read_model(read_model_bytes(source.file)))
    return document | ({"min_runtime": oldest} if oldest else {})


# ---- golden pictures ------------------------------------------------------------------------------------------------


def _proof(path: Path, card: Card, pictures: Path | None) -> dict[str, Any]:
    """Return the card's golden pictures, and how much their scores may differ elsewhere.

    Raises CheckFailed for a model that does not answer with numbers.
    """
    session = open_session(path, card)
    images = made_up_pictures() if pictures is None else _some_of(pictures, card)
    scores = np.concatenate([_answer(session, prepare(image, card)[None]) for image in images])
    order = range(len(images)) if pictures is None else _clearest(scores)
    clear = margins(scores) > golden.CLEAR_MARGIN
    limit_bytes = golden.MAX_BYTES // len(order)
    chosen = [
        golden.packed(images[at], card, bool(clear[at]), limit_bytes, lambda pixels: _answer(session, pixels))
        for at in order
    ]
    return {
        "golden": golden.golden_json(chosen, session),
        "golden_tolerance": golden.tolerance_as_it_is(session),
    }


def _some_of(folder: Path, card: Card) -> list[Image.Image]:
    files, _ = labelled_files(folder, card.labels, frozenset(), Counter())
    every = max(1, len(files) // PICTURES_LOOKED_AT)
    return [read_picture(path) for path in files[::every]]


def _answer(session: Session, pixels: Pixels) -> npt.NDArray[np.float32]:
    """Answer prepared pictures (N, H, W, C): (N, classes). Raises CheckFailed for answers that are no numbers."""
    scores = np.stack([session.scores(session.infer(session.tensor(picture))) for picture in pixels])
    if not np.isfinite(scores).all():
        raise CheckFailed("it answers a picture with no numbers (NaN or infinite): it is damaged, or takes another range")
    return scores


def _clearest(scores: npt.NDArray[np.float32]) -> list[int]:
    """Choose the clearest picture of each class that is answered, then the clearest others, MAX_PICTURES in all."""
    order, answers = np.argsort(-margins(scores), kind="stable"), scores.argmax(axis=1)
    first = [int(at) for place, at in enumerate(order) if answers[at] not in answers[order[:place]]]
    rest = [int(at) for at in order if at not in first]
    return (first + rest)[: golden.MAX_PICTURES]


def made_up_pictures() -> list[Image.Image]:
    """Return pictures of soft patches of colour, always the same: they prove that a device computes as here."""
    random, (height, width) = np.random.default_rng(0), MADE_UP_SIDES
    found = []
    for _ in range(MADE_UP):
        patches = Image.fromarray(random.integers(0, 256, (*MADE_UP_PATCHES, 3), np.uint8))
        smooth = patches.resize((width, height), Image.Resampling.BICUBIC)
        packed = io.BytesIO()
        smooth.quantize(32).convert("RGB").save(packed, "PNG", optimize=True)
        found.append(read_picture(packed))
    return found
