"""Finding what there is to measure: the artifacts of build/, or the files that a person names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.given import Given, Told, describe
from device.classify import Card, CardError, EdgeproofError, ModelError, printable, read_card
from train.files import BUILD, read_json

FORMATS = ("keras", "tflite", "onnx")


@dataclass(frozen=True)
class Found:
    """A model file with its card; `given`, of a model that has none: its card holds what a person told."""

    path: Path
    format: str
    card: Card
    given: Given | None = None

    @property
    def name(self) -> str | None:
        name = self.card.document.get("name")
        return None if name is None else str(name)


def find_artifacts(files: Sequence[Path], told: Told | None = None) -> list[Found]:
    """Open the cards of `files`, or of every artifact in build/ where none is named; `told` stands in for missing cards.

    Raises EdgeproofError for a file that cannot be measured, or where there is nothing at all.
    """
    paths = list(files) or sorted(
        path for path in BUILD.glob("*/*") if path.suffix[1:] in FORMATS and not path.name.startswith(".")
    )
    if not paths:
        raise EdgeproofError(f"{BUILD}/: holds no artifacts: run `make train convert`, or name files")
    return [_open(path, told or Told()) for path in paths]


def _common_card(path: Path) -> Card:
    """Read the card beside a Keras model."""
    document = read_json(path)
    try:
        return Card.from_json({**document, "variant": "float32"} if isinstance(document, dict) else document)
    except CardError as error:
        raise CardError(f"{path}: {error}") from error


def _open(path: Path, told: Told) -> Found:
    file_format = path.suffix[1:]
    if file_format not in FORMATS:
        raise ModelError(f"{path}: expected a .tflite, .onnx or .keras file")
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    if printable(path.name) != path.name:
        raise ModelError(f"{path}: its name holds control characters: rename it")
    if file_format == "keras":
        card_path = path.with_name(f"{path.stem}.card.json")
        return Found(path, file_format, _common_card(card_path))
    card = read_card(path)
    if card is None:
        return Found(path, file_format, *describe(path, told))
    if told.labels or told.preprocess or told.shapes:
        raise EdgeproofError(f"{path}: has a card: --labels, --preprocess and --input-shape are for models without one")
    return Found(path, file_format, card)
