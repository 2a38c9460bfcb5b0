"""Finding what there is to measure: the artifacts of build/, or the named files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.artifacts.cardless import CardlessRunOptions, describe
from bench.artifacts.cardless_input import CardlessInput
from common.advice import command
from common.files import read_json
from common.paths import BUILD, PROGRAM
from device.card import Card
from device.errors import CardError, EdgeproofError, ModelError
from device.formats.model_file import read_card
from device.safe_text import printable

FORMATS = ("keras", "tflite", "onnx")
TYPICAL_VARIANTS = ("int8", "float32")  # they stand for the others where each row takes long


@dataclass(frozen=True)
class Artifact:
    """A model file with its card; `cardless` is set for a model that has none: its card holds what the options say."""

    path: Path
    format: str
    card: Card
    cardless: CardlessInput | None = None

    @property
    def name(self) -> str | None:
        """Return the NAME of `MODEL@NAME`; None for a model without one."""
        name = self.card.document.get("name")
        return None if name is None else str(name)

    @property
    def test_sha256(self) -> str:
        """Return the hash of the test pictures that it was made with. Raises CardError where its card lacks it."""
        try:
            return self.card.test_sha256
        except CardError as error:
            raise CardError(f"{self.path}: {error}") from error


def find_artifacts(files: Sequence[Path], options: CardlessRunOptions | None = None) -> list[Artifact]:
    """Open the cards of `files`, or of every artifact in build/ where none is named; `options` replace missing cards.

    Raises EdgeproofError for a file that cannot be measured, or where there is no artifact.
    """
    paths = list(files) or built_files()
    if not paths:
        make = "run `make train convert`, or " if (PROGRAM / "Makefile").exists() and Path.cwd() == PROGRAM else ""
        raise EdgeproofError(f"{BUILD}/: holds no artifacts: {make}name files, as model.tflite or model.onnx")
    return [_open(path, options or CardlessRunOptions()) for path in paths]


def built_files() -> list[Path]:
    """Return the paths of the artifacts in build/."""
    return sorted(path for path in BUILD.glob("*/*") if path.suffix[1:].lower() in FORMATS and not path.name.startswith("."))


def deployable_artifacts(files: Sequence[Path]) -> list[Artifact]:
    """Return the named artifacts, or the int8 and float32 ones of build/. Raises EdgeproofError for a Keras model."""
    artifacts = find_artifacts(files)
    if not files:
        return [found for found in artifacts if found.format != "keras" and found.card.variant in TYPICAL_VARIANTS]
    for found in artifacts:
        if found.format == "keras":
            raise EdgeproofError(f"{found.path}: Keras runs on no device: name a .tflite or .onnx file")
    return artifacts


def _common_card(path: Path) -> Card:
    """Read the card beside a Keras model."""
    document = read_json(path)
    try:
        return Card.from_json({**document, "variant": "float32"} if isinstance(document, dict) else document)
    except CardError as error:
        raise CardError(f"{path}: {error}") from error


def _import_first(path: Path) -> str:
    """Return advice for a model that was not trained here."""
    return f": for a model from elsewhere, `{command('convert', 'inspect', path)}` says how it is converted"


def _open(path: Path, options: CardlessRunOptions) -> Artifact:
    file_format = path.suffix[1:].lower()
    if path.is_dir():
        raise ModelError(f"{path}: is a folder: expected a .tflite, .onnx or .keras file{_import_first(path)}")
    if not path.is_file():
        raise ModelError(f"{path}: {'is no regular' if path.exists() else 'no such'} file")
    if file_format not in FORMATS:
        raise ModelError(f"{path}: expected a .tflite, .onnx or .keras file{_import_first(path)}")
    if printable(path.name) != path.name:
        raise ModelError(f"{path}: its name holds control characters: rename it")
    if file_format == "keras":
        card_path = path.with_name(f"{path.stem}.card.json")
        if not card_path.exists():
            raise ModelError(f"{path}: has no {card_path.name} beside it{_import_first(path)}")
        return Artifact(path, file_format, _common_card(card_path))
    card = read_card(path)
    if card is None:
        return Artifact(path, file_format, *describe(path, options))
    if options.names:
        raise EdgeproofError(f"{path}: has a card, which says it: {' and '.join(options.names)}: leave it out")
    return Artifact(path, file_format, card)
