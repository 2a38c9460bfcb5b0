"""Test pictures for a device: files as they are, in shards, so that only those that it has time for are sent."""

import hashlib
import io
import threading
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.artifacts.evaluation_pictures import own_test_part
from bench.artifacts.find import Artifact
from device.errors import EdgeproofError, PictureError
from device.pictures.picture_files import HEIC_ENDINGS, PICTURE_ENDINGS
from device.pictures.steps import ORIENTATION, TURNS, orientation
from train.data.dataset import Split, stratified_order
from train.data.folders import labelled_split

SHARD = 500  # pictures; divides every size that an accuracy run may have
FIXED_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Shard:
    """Some pictures as a ZIP archive."""

    names: tuple[str, ...]
    archive: bytes
    sha256: str

    @property
    def folder(self) -> str:
        """Return the folder of the pictures on the device, relative to the run's folder."""
        return f"pictures/{self.sha256}"


@dataclass(eq=False)
class DevicePictures:
    """A test part in the nested order of accuracy runs: every prefix is stratified by class."""

    split: Split
    order: npt.NDArray[np.int64]
    _shards: dict[int, Shard] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Return the labels in that order, int64 (N,)."""
        labels: npt.NDArray[np.int64] = self.split.labels[self.order]
        return labels

    def kept_answers(self, predictions: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        """Return the answers that a row keeps, (N,): none to pictures without labels, of which no accuracy is known."""
        return predictions if self.split.labelled else predictions[:0]

    def right_text(self, predictions: npt.NDArray[np.uint16]) -> str:
        """Return "97 of 100 right" of answers to the first pictures, for people."""
        count = len(predictions)
        if not self.split.labelled:
            return f"{count:,} pictures without labels"
        return f"{int((predictions == self.labels[:count]).sum()):,} of {count:,} right"

    def shards(self, count: int) -> list[Shard]:
        """Return the shards that hold the first `count` pictures, a multiple of SHARD or all."""
        with self._lock:  # the threads of several devices share them
            return [self._shard(number) for number in range(-(-count // SHARD))]

    def sources(self, count: int) -> list[str]:
        """Return classify.py's arguments for the first `count` pictures: whole folders, and files of the last one."""
        full, rest = divmod(count, SHARD)
        folders = [shard.folder for shard in self.shards(count)]
        if not rest or rest == len(self._shards[full].names):
            return folders
        return [*folders[:full], *(f"{folders[full]}/{name}" for name in self._shards[full].names[:rest])]

    def _shard(self, number: int) -> Shard:
        if number not in self._shards:
            buffer, names = io.BytesIO(), []
            with zipfile.ZipFile(buffer, "w") as archive:
                for place, index in enumerate(self.order[number * SHARD : (number + 1) * SHARD]):
                    suffix, data = self._file(int(index))
                    names.append(f"{place:03}{suffix}")
                    archive.writestr(zipfile.ZipInfo(names[-1], FIXED_DATE), data)
            data = buffer.getvalue()
            self._shards[number] = Shard(tuple(names), data, hashlib.sha256(data).hexdigest())
        return self._shards[number]

    def _file(self, index: int) -> tuple[str, bytes]:
        """Return a picture's file as it is; as PNG where there is no file, such as in MNIST, or none that devices read."""
        source = self.split.sources[index]
        if not isinstance(source, Path):
            return ".png", _png(self.split.open(index))
        suffix = source.suffix.lower()
        if suffix in HEIC_ENDINGS:
            with suppress(PictureError):  # what is no picture here must be none there
                return ".png", _png(self.split.open(index))
        return suffix if suffix in PICTURE_ENDINGS else ".png", source.read_bytes()  # Pillow ignores endings


def _png(picture: Image.Image) -> bytes:
    """Return a picture as PNG, which needs no more than Pillow, with the tag that says how to turn it."""
    buffer, exif = io.BytesIO(), Image.Exif()
    if (turned := orientation(picture)) in TURNS:
        exif[ORIENTATION] = turned  # the other tags may be such as cannot be written
    picture.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


class DevicePictureStore:
    """The test pictures of each data set of a run, opened once."""

    def __init__(self, data: Path | None) -> None:
        self._data = data
        self._kept: dict[str, DevicePictures] = {}

    def of(self, found: Artifact) -> DevicePictures:
        """Return an artifact's test pictures. Raises EdgeproofError where its test part is no longer the same."""
        provenance = found.card.provenance
        if self._data is None and "dataset" not in provenance:
            raise EdgeproofError(f"{found.path}: its card names no data set: convert it again, or give --data FOLDER")
        key = repr((str(self._data) if self._data else provenance["dataset"], found.card.labels))
        if key not in self._kept:
            split = own_test_part(found.card) if self._data is None else labelled_split(self._data, found.card.labels)
            self._kept[key] = DevicePictures(split, stratified_order(split.labels, seed=0))
        pictures = self._kept[key]
        if self._data is None and found.test_sha256 != pictures.split.sha256:
            raise EdgeproofError(f"{found.path}: the data set's test part is not the one of training: train again")
        return pictures
