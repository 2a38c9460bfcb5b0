"""Labelled pictures: the bundled MNIST, and folders of class folders. It opens files and never scales a picture."""

import hashlib
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from common.files import sha256_of
from common.progress import with_progress
from device.card import Step
from device.errors import EdgeproofError, PictureError
from device.preprocessing.prepare import read_picture, run_steps

Pixels = npt.NDArray[np.uint8]  # (H, W), (H, W, C) or, of many pictures, with N in front; 0..255
Labels = npt.NDArray[np.int64]  # (N,), indices into Dataset.labels
IN_MEMORY_SHARE = 0.2  # of the machine's memory; a larger array is kept on disk
NO_LABEL = -1  # of a picture of an unknown class: no answer is equal to it


@dataclass(frozen=True)
class Split:
    """One part of a data set: pictures (arrays or files) with their labels, and a hash over both."""

    sources: Pixels | Sequence[Path]  # (N, H, W) or (N, H, W, C), or files
    labels: Labels
    sha256: str

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def labelled(self) -> bool:
        """Say whether the pictures' classes are known."""
        return bool((self.labels != NO_LABEL).all())

    def open(self, index: int) -> Image.Image:
        """Decode one picture. Raises PictureError."""
        source = self.sources[index]
        return read_picture(source) if isinstance(source, Path) else Image.fromarray(source)

    def prepare(self, index: int, steps: Sequence[Step]) -> Pixels:
        """Run the card's steps over one picture: (H, W, C), uint8, 0..255. Raises PictureError that names the file."""
        try:
            return run_steps(self.open(index), steps)
        except PictureError as error:
            source = self.sources[index]
            where = source if isinstance(source, Path) else f"picture {index}"
            raise PictureError(f"{where}: {error}: repair or remove it") from error

    def prepared(
        self,
        steps: Sequence[Step],
        indices: Sequence[int] | npt.NDArray[np.int64] | None = None,
        unusable: dict[int, str] | None = None,
    ) -> Pixels:
        """Run the card's steps over the pictures (all, or those at `indices`): (N, H, W, C), uint8, 0..255.

        A picture that the steps cannot use raises PictureError; with `unusable` it is black, and its index is noted there.
        """
        chosen = range(len(self)) if indices is None else indices
        pictures = None
        for place, index in enumerate(with_progress(list(chosen), "preparing pictures")):
            try:
                pixels = self.prepare(int(index), steps)
            except PictureError as error:
                if unusable is None:
                    raise
                unusable[place] = str(error)
                continue
            if pictures is None:
                pictures = empty_array((len(chosen), *pixels.shape), np.uint8)
                pictures[:] = 0
            if pixels.shape != pictures.shape[1:]:
                raise EdgeproofError(
                    f"the preprocessing gives {pixels.shape} for one picture and {pictures.shape[1:]} for another: "
                    "its steps must end in one size"
                )
            pictures[place] = pixels
        if pictures is None:
            raise EdgeproofError("no picture to prepare: the data set's part is empty, or none of it can be used")
        return pictures


@dataclass(frozen=True)
class DataReference:
    """Where a data set comes from and how it was split: enough to open the same one again. It is stored in the card."""

    name: str
    path: str | None = None  # a folder; None: bundled
    seed: int = 0
    skipped: tuple[str, ...] = ()  # unreadable pictures that were left out, relative to the folder
    role: Literal["training", "calibration"] = "training"  # calibration: of a model that was trained elsewhere
    validation: str | None = None  # another folder to verify with; only for the role calibration
    held_out: int | None = None  # how many of MNIST's training pictures are for validation; None: as in the tutorial

    def to_json(self) -> dict[str, Any]:
        """Return the fields, without those that say nothing new, as `from_json` takes them."""
        document = {"name": self.name, "path": self.path, "seed": self.seed, "skipped": list(self.skipped)}
        if self.held_out is not None:
            document |= {"held_out": self.held_out}
        if self.role == "calibration":
            document |= {"role": self.role, "validation": self.validation}
        return document

    @staticmethod
    def from_json(document: object) -> "DataReference":
        """Read one from a card. Raises EdgeproofError for anything that to_json does not write."""
        if not isinstance(document, Mapping):
            raise EdgeproofError(f"the card's data set is {document!r:.60}, expected an object: train the model again")
        path, other = document.get("path"), document.get("validation")
        skipped = document.get("skipped", ())
        if not isinstance(skipped, list | tuple) or not all(isinstance(name, str) for name in skipped):
            raise EdgeproofError(f"the card's data set has skipped {skipped!r:.60}, expected names: train the model again")
        return DataReference(
            str(document.get("name")),
            None if path is None else str(path),
            _whole_number(document, "seed") or 0,
            tuple(skipped),
            "calibration" if document.get("role") == "calibration" else "training",
            None if other is None else str(other),
            _whole_number(document, "held_out"),
        )


def _whole_number(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    if value is not None and type(value) is not int:
        raise EdgeproofError(f"the card's data set has {name} {value!r:.60}, expected a whole number: train the model again")
    return value


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test pictures over one list of labels."""

    reference: DataReference
    labels: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    left_out: Counter[str] = field(default_factory=Counter)  # of the folder, counted by reason


def array_split(images: Pixels, labels: npt.NDArray[Any]) -> Split:
    """Make a split of pictures that are in memory, (N, H, W) or (N, H, W, C)."""
    digest = hashlib.sha256(images.tobytes() + labels.astype(np.int64).tobytes())
    return Split(images, labels.astype(np.int64), digest.hexdigest())


def file_split(sources: Sequence[Path], labels: Labels) -> Split:
    """Make a split of picture files; the hash is over their contents and labels."""
    digest = hashlib.sha256(labels.tobytes())
    for path in sources:
        try:
            digest.update(bytes.fromhex(sha256_of(path)))
        except OSError as error:
            raise EdgeproofError(f"{path}: cannot be read: {error.strerror}") from error
    return Split(sources, labels, digest.hexdigest())


def seeded_order(count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return a permutation of `count` indices that depends only on the seed."""
    return np.random.default_rng(seed).permutation(count)


def stratified_order(labels: Labels, seed: int) -> npt.NDArray[np.int64]:
    """Return a seeded order in which the classes have nearly their overall proportions in every prefix.

    The shuffled members of each class are spread evenly over the unit interval; sorting by position mixes the classes.
    """
    random = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + random.uniform()) / len(members)
    return np.argsort(place, kind="stable")


def empty_array(shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    """Return an array to fill: in memory, or mapped from a file where it needs more than IN_MEMORY_SHARE of the memory.

    The file has no name and is removed with the array; it is read from disk as needed.
    """
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if size_bytes <= IN_MEMORY_SHARE * memory_bytes():
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="edgeproof-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size_bytes)  # a full disk is an error here, a crash later
        except OSError as error:
            raise EdgeproofError(
                f"{tempfile.gettempdir()}: {error.strerror}: {size_bytes / 1e9:,.1f} GB are needed: free some space, or "
                "name another folder with TMPDIR"
            ) from error
        return np.memmap(file, dtype, mode="w+", shape=shape)


def memory_bytes() -> int:
    """Return this machine's physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def batches(count: int, size: int) -> Iterator[slice]:
    """Yield slices that cover `count` items, `size` at a time."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
