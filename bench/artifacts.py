"""Finding what there is to measure: the artifacts of build/, or the files that a person names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device.classify import Card, CardError, EdgeproofError, ModelError, read_card
from train.files import BUILD, read_json

FORMATS = ("keras", "tflite", "onnx")


@dataclass(frozen=True)
class Found:
    """A model file with its card."""

    path: Path
    format: str
    card: Card

    @property
    def name(self) -> str | None:
        name = self.card.document.get("name")
        return None if name is None else str(name)


def find_artifacts(files: Sequence[Path]) -> list[Found]:
    """Open the cards of `files`, or of every artifact in build/ where none is named.

    Raises EdgeproofError for a file that cannot be measured, or where there is nothing at all.
    """
    paths = list(files) or sorted(
        path for path in BUILD.glob("*/*") if path.suffix[1:] in FORMATS and not path.name.startswith(".")
    )
    if not paths:
        raise EdgeproofError(f"{BUILD}/: holds no artifacts: run `make train convert`, or name files")
    return [_open(path) for path in paths]


def _open(path: Path) -> Found:
    file_format = path.suffix[1:]
    if file_format not in FORMATS:
        raise ModelError(f"{path}: expected a .tflite, .onnx or .keras file")
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    if file_format == "keras":
        card_path = path.with_name(f"{path.stem}.card.json")
        return Found(path, file_format, Card.from_json({**read_json(card_path), "variant": "float32"}))
    card = read_card(path)
    if card is None:
        raise CardError(f"{path}: has no card, so its test pictures are unknown: convert it with `python -m convert run`")
    return Found(path, file_format, card)
