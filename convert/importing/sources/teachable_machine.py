"""What Google's Teachable Machine downloads: a ZIP or its folder, with labels.txt beside a Keras or TFLite model.

Labels, values (-1..1), size and how a picture is cut (its middle square) are the same in every export.
"""

import dataclasses
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from common.files import sha256_of
from common.unzip import unpack
from convert.importing.sources import Opening, Source, find_format, saved_model
from convert.importing.understood import Fact
from device.errors import EdgeproofError
from device.files import archive_errors
from device.formats.labels import read_labels
from device.pictures.input_range import parse_range

EXPECTS = "the ZIP or folder of a Teachable Machine export"
LABELS = "labels.txt"
MODELS = {  # by the name that the export gives it: the format that opens it
    "keras_model.h5": "keras_file",
    "model.savedmodel": "saved_model",
    "model_unquant.tflite": "tflite_file",
    "model.tflite": "tflite_file",
}


def recognises(path: Path) -> bool:
    """Say whether a path is a folder or a ZIP with labels.txt beside one of the export's models."""
    return _place(_names(path)) is not None


def _names(path: Path) -> set[str]:
    """Return the names at the top of a folder or ZIP, and those a folder below, as of a folder that was packed again."""
    if path.is_dir():
        below = (entry.iterdir() for entry in path.iterdir() if entry.is_dir())
        return {entry.relative_to(path).as_posix() for entries in (path.iterdir(), *below) for entry in entries}
    try:
        with zipfile.ZipFile(path) as archive:
            parts = [PurePosixPath(name).parts for name in archive.namelist()]
    except archive_errors():
        return set()
    return {"/".join(name[:depth]) for name in parts for depth in (1, 2)}


def _place(names: set[str]) -> str | None:
    """Return the model's place, "keras_model.h5" or "folder/keras_model.h5", or None where labels.txt is not beside one."""
    for place in sorted(names, key=lambda name: (name.count("/"), name)):
        folder, _, name = place.rpartition("/")
        if name in MODELS and (f"{folder}/{LABELS}" if folder else LABELS) in names:
            return place
    return None


def open_source(path: Path, opening: Opening) -> Source:
    """Open the model inside. Raises EdgeproofError with the reason where it cannot."""
    if path.is_dir():
        return _open_folder(path, path, opening)
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as scratch:
        unpack(path, Path(scratch))
        try:
            return _open_folder(path, Path(scratch), opening)
        except EdgeproofError as error:  # names what was unpacked, which is gone then
            raise type(error)(str(error).replace(scratch, str(path))) from error


def _open_folder(path: Path, folder: Path, opening: Opening) -> Source:
    place = _place(_names(path))
    assert place is not None  # it was recognised by that
    name = PurePosixPath(place).name
    source = find_format(MODELS[name]).open_source(folder / place, opening)
    inside = source.understood
    known = "every Teachable Machine export"
    understood = dataclasses.replace(
        inside,
        path=path,
        format="teachable_machine",
        description=f"Teachable Machine export ({inside.description}, {name})",
        input_range=inside.input_range or Fact(parse_range("-1..1"), known),
        fit=Fact("crop", known),
        labels=Fact(tuple(read_labels((folder / place).with_name(LABELS))), LABELS),
    )
    sha256 = sha256_of(path) if path.is_file() else saved_model.folder_sha256(path)
    # A model that is taken as it is is read again later: out of the ZIP, since what was unpacked is gone then
    kept = {"file": path / place} if understood.converted else {}
    replaced: Source = dataclasses.replace(source, understood=understood, sha256=sha256, **kept)  # type: ignore[type-var]
    return replaced
