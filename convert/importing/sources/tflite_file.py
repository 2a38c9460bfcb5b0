"""A `.tflite` file of another converter: understood, and taken as it is with `convert card`; nothing is made of it."""

from dataclasses import dataclass
from pathlib import Path

from common.files import sha256_of
from convert.importing.sources import Opening, Scores, Wrapped, Wrapping
from convert.importing.understood import ACTIVATIONS, Fact, Layout, Understood
from device.cardless import Picture, picture_of, understood_range
from device.errors import CardError, EdgeproofError
from device.formats.model_facts import ModelFacts, classifier_facts
from device.formats.model_file import read_card, read_model_bytes
from device.formats.model_graph import FREE
from device.pictures.input_range import PIXELS
from device.preprocessing.encoding import NCHW
from train.data.dataset import Pixels

EXPECTS = "a .tflite file"
CONVERTED = "is converted already, and nothing else is made of it: `convert card` takes it as it is"
IDENTIFIER = b"TFL3"  # at byte 4 of every TFLite flatbuffer
LIMIT_BYTES = 2_000_000_000  # of a flatbuffer


@dataclass(frozen=True)
class TfliteSource:
    """A converted model as it came, and what it says of itself."""

    understood: Understood
    sha256: str
    names: tuple[str, ...]
    parameters: int
    file: Path  # the model itself: understood.path may be the archive around it
    facts: ModelFacts
    picture: Picture

    def answers(self, _values: Pixels) -> Scores:
        """Raise EdgeproofError: the file is converted already."""
        raise EdgeproofError(f"{self.understood.path}: {CONVERTED}")

    def wrapped(self, _wrapping: Wrapping) -> Wrapped:
        """Raise EdgeproofError: the file is converted already."""
        raise EdgeproofError(f"{self.understood.path}: {CONVERTED}")


def recognises(path: Path) -> bool:
    """Say whether a path is a TFLite flatbuffer, or calls itself one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return path.suffix.lower() == ".tflite" or file.read(8)[4:] == IDENTIFIER


def open_source(path: Path, _: Opening) -> TfliteSource:
    """Read what a model says of itself; it is not run. Raises EdgeproofError for what is no picture classifier."""
    if (size := path.stat().st_size) > LIMIT_BYTES:
        raise EdgeproofError(f"{path}: has {size / 1e9:.1f} GB, a .tflite has at most {LIMIT_BYTES / 1e9:.0f} GB")
    if read_card(path) is not None:
        raise CardError(f"{path}: has a card: `convert show`, `convert bundle` and classify.py take it as it is")
    data = read_model_bytes(path)
    facts = classifier_facts(path, data)
    picture = picture_of(facts)
    return TfliteSource(
        understood=_understood(path, facts, picture),
        sha256=sha256_of(path),
        names=(),
        parameters=0,
        file=path,
        facts=facts,
        picture=picture,
    )


def _understood(path: Path, facts: ModelFacts, picture: Picture) -> Understood:
    said = "the file's tensors"
    layout: Layout = "NHW" if len(facts.input.shape) == 3 else "NCHW" if picture.layout == NCHW else "NHWC"
    activation = ACTIVATIONS.get(facts.activation)
    shape, output_shape = (
        tuple(None if side == FREE else side for side in end.shape) for end in (facts.input, facts.output)
    )
    unclear = ""
    try:
        found, learnt_from = understood_range(facts, None)
    except CardError as error:
        taken, unclear = None, str(error).removeprefix(f"{path}: ")
    else:
        taken = Fact(found or PIXELS, learnt_from)
    return Understood(
        path=path,
        format="tflite_file",
        description="TFLite model",
        framework="LiteRT",
        shape=Fact(shape, said),
        dtype=Fact(facts.input.dtype, said),
        layout=Fact(layout, "its sides"),
        output_shape=Fact(output_shape, said),
        input_range=taken,
        activation=Fact(activation, "its last operation") if activation else None,
        labels=None if facts.labels is None else Fact(facts.labels, "standard metadata"),
        unclear=unclear,
        converted=True,
    )
