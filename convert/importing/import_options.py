"""What a person says of a model from elsewhere, and the folder that it gets."""

from dataclasses import dataclass
from pathlib import Path

from common.files import read_json
from common.paths import BUILD
from device.errors import EdgeproofError
from train.models import model_names


@dataclass(frozen=True)
class ImportOptions:
    """A model from elsewhere and the options for it."""

    path: Path
    labels: Path | None
    calibration: Path
    validation: Path | None = None
    preprocess: str | None = None  # a file, or the name of a preset
    input_range: str | None = None
    size: int | None = None
    name: str | None = None
    skip_bad: bool = False
    unsafe: bool = False
    signature: str | None = None
    fit: str | None = None
    confirm_range: bool = False

    @property
    def folder(self) -> Path:
        """Return the folder that it is imported to, build/NAME."""
        return build_folder(self.path, self.name)


def build_folder(path: Path, name: str | None) -> Path:
    """Return build/NAME. Raises EdgeproofError for a name that a folder or a model of this project cannot have."""
    if name is None:
        stem = path.resolve().name if path.is_dir() else path.stem
        name = "".join(letter if _may_stand(letter) else "_" for letter in stem).strip("._-") or "model"
    if not name or not all(_may_stand(letter) for letter in name) or not name[0].isalnum():
        raise EdgeproofError(f"--name {name!r}: expected letters, digits, '-', '_' and '.' only, first a letter or digit")
    if name in model_names():
        raise EdgeproofError(f"--name {name}: is a model of this project: choose another with --name")
    return BUILD / name


def _may_stand(letter: str) -> bool:
    return letter.isascii() and (letter.isalnum() or letter in "-_.")


def check_folder(folder: Path) -> None:
    """Raise EdgeproofError for a folder that holds a model which was trained here."""
    card_path = folder / f"{folder.name}.card.json"
    card = read_json(card_path) if card_path.exists() else None
    if card is not None and "source" not in (card.get("provenance", {}) if isinstance(card, dict) else {}):
        raise EdgeproofError(f"{folder}: holds a model that was trained here: choose another --name")
