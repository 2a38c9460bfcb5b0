"""Labelled pictures: the bundled MNIST, and folders of class folders. Opens files, never scales a picture."""

import gzip
import hashlib
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from device.classify import EdgeproofError, PictureError, Step, labelled_pictures, printable, read_picture, run_steps
from train.files import sha256_of

Pixels = npt.NDArray[np.uint8]  # (H, W), (H, W, C) or, of many pictures, with N in front; 0..255
Labels = npt.NDArray[np.int64]  # (N,), indices into Dataset.labels

BUNDLED = Path(__file__).resolve().parent.parent / "data"
SHA256 = {  # of the gzipped files in data/
    "mnist/train-images-idx3-ubyte.gz": "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971",
    "mnist/train-labels-idx1-ubyte.gz": "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203",
    "mnist/t10k-images-idx3-ubyte.gz": "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
    "mnist/t10k-labels-idx1-ubyte.gz": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
    "weights/mobilenet_v2_1.0_imagenet.weights.h5": "a62b65050e10307b0b7a4d2eb72c51af0215d1d4edec44f9708e9de8c2cae0a5",
}
MNIST_TRAINING_IMAGES = 60_000
MNIST_VALIDATION_IMAGES = 12_000  # the tutorial's split: the first 20 % of the training images
PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
IN_MEMORY_SHARE = 0.2  # of the machine's memory; a larger array lies on disk
PARTS = ("train", "val", "test")
NO_LABEL = -1  # of a picture whose class nobody knows: no answer is equal to it


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
            raise PictureError(f"{where}: {error}: mend or remove it") from error

    def prepared(
        self,
        steps: Sequence[Step],
        indices: Sequence[int] | npt.NDArray[np.int64] | None = None,
        unusable: dict[int, str] | None = None,
    ) -> Pixels:
        """Run the card's steps over the pictures (all, or those at `indices`): (N, H, W, C), uint8, 0..255.

        A picture that the steps cannot use raises PictureError; with `unusable` it is black and its place is noted there.
        """
        chosen = range(len(self)) if indices is None else indices
        pictures = None
        for place, index in enumerate(chosen):
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
    """Where a data set comes from and how it was split: enough to open the same one again. It stands in the card."""

    name: str
    path: str | None = None  # a folder; None: bundled
    seed: int = 0
    skipped: tuple[str, ...] = ()  # unreadable pictures that were left out, relative to the folder
    role: Literal["training", "calibration"] = "training"  # calibration: of a model that was trained elsewhere
    validation: str | None = None  # another folder to verify with; for the role calibration alone
    held_out: int | None = None  # so many of MNIST's training pictures are validation; None: as in the tutorial

    def to_json(self) -> dict[str, Any]:
        document = {"name": self.name, "path": self.path, "seed": self.seed, "skipped": list(self.skipped)}
        if self.held_out is not None:
            document |= {"held_out": self.held_out}
        if self.role == "calibration":
            document |= {"role": self.role, "validation": self.validation}
        return document

    @staticmethod
    def from_json(document: object) -> "DataReference":
        """Read one from a card. Raises EdgeproofError for anything that to_json would not write."""
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


def bundled(name: str) -> Path:
    """Return the path of a bundled file after checking it. Raises EdgeproofError for a missing or damaged one."""
    path = BUNDLED / name
    if not path.is_file():
        raise EdgeproofError(f"{path}: is missing: restore it with `git checkout data/{name}`")
    if sha256_of(path) != SHA256[name]:
        raise EdgeproofError(f"{path}: is damaged (its SHA-256 is not {SHA256[name][:12]}…): `git checkout data/{name}`")
    return path


def open_dataset(reference: DataReference, labels: Sequence[str] = ()) -> Dataset:
    """Open the data set that a reference (from a command line or a card) names.

    `labels` are those of a model that was trained elsewhere: its pictures do not say them.
    """
    if reference.role == "calibration":
        from train.calibration_folder import load_calibration  # which builds on this module

        return load_calibration(reference, labels)
    if reference.path is None:
        return load_mnist(reference.held_out)
    return load_folder(Path(reference.path), reference.seed, reference.skipped)


def load_mnist(held_out: int | None = None) -> Dataset:
    """Return MNIST (LeCun, Cortes, Burges): 60,000 training and 10,000 test pictures of 28×28.

    The first `held_out` of the training pictures (None: 12,000) are the validation part.
    Raises EdgeproofError where that leaves a part empty.
    """
    first = MNIST_VALIDATION_IMAGES if held_out is None else held_out
    if not 0 < first < MNIST_TRAINING_IMAGES:
        raise EdgeproofError(
            f"MNIST with {first:,} validation pictures: expected 1 to {MNIST_TRAINING_IMAGES - 1:,} of its training pictures"
        )
    images = _read_idx("mnist/train-images-idx3-ubyte.gz", (MNIST_TRAINING_IMAGES, 28, 28))
    labels = _read_idx("mnist/train-labels-idx1-ubyte.gz", (MNIST_TRAINING_IMAGES,))
    test_images = _read_idx("mnist/t10k-images-idx3-ubyte.gz", (10_000, 28, 28))
    test_labels = _read_idx("mnist/t10k-labels-idx1-ubyte.gz", (10_000,))
    return Dataset(
        reference=DataReference("mnist", held_out=held_out),
        labels=tuple("0123456789"),
        train=array_split(images[first:], labels[first:]),
        val=array_split(images[:first], labels[:first]),
        test=array_split(test_images, test_labels),
    )


def _read_idx(name: str, shape: tuple[int, ...]) -> Pixels:
    """Read an IDX file (yann.lecun.com's format: a header of 4 bytes and 4 for each dimension, then the values)."""
    data = gzip.decompress(bundled(name).read_bytes())
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def array_split(images: Pixels, labels: npt.NDArray[Any]) -> Split:
    """Make a split of pictures that are in memory, (N, H, W) or (N, H, W, C)."""
    digest = hashlib.sha256(images.tobytes() + labels.astype(np.int64).tobytes())
    return Split(images, labels.astype(np.int64), digest.hexdigest())


def load_folder(folder: Path, seed: int = 0, skipped: Sequence[str] = ()) -> Dataset:
    """Open a folder of class folders of pictures; the labels are the folders' names in alphabetical order.

    DIR/train, DIR/val and DIR/test are the parts where they exist; parts that do not are drawn from DIR/train by class
    and by `seed`. Without them DIR itself holds the class folders and is split 80/10/10. Files in `skipped` (relative to the
    folder) are left out.
    Raises EdgeproofError for an empty folder, fewer than two classes, or classes that differ between parts.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise EdgeproofError(f"{folder}: no such folder, expected one folder a class with pictures in it")
    leave_out = {folder / name for name in skipped}
    given = {part: class_files(folder / part, leave_out) for part in PARTS if (folder / part).is_dir()}
    if "train" not in given:
        if given:
            raise EdgeproofError(f"{folder}: has {' and '.join(given)} but no train folder: add train/CLASS/pictures")
        given["train"] = class_files(folder, leave_out)
    classes = sorted(given["train"])
    for part, files in given.items():
        if sorted(files) != classes:
            odd = sorted(set(files) ^ set(classes))
            raise EdgeproofError(f"{folder / part}: its classes are not those of train: {', '.join(odd)} in one only")
    if odd := [name for name in classes if printable(name) != name]:
        raise EdgeproofError(f"{folder}: the names of class folders hold control characters: rename {', '.join(odd)}")
    if len(classes) < 2:
        raise EdgeproofError(f"{folder}: found {len(classes)} class folders with pictures, expected at least 2")
    parts = _complete_parts(folder, given, seed)
    return Dataset(
        reference=DataReference(folder.name, str(folder), seed, tuple(skipped)),
        labels=tuple(classes),
        **{part: _class_split(parts[part], classes) for part in PARTS},
    )


def unusable(dataset: Dataset, steps: Sequence[Step]) -> dict[str, str]:
    """Decode and prepare every picture of a folder; return those that cannot be used, relative to it, with the reason.

    That is also one that lies in a part before its own, byte for byte: tests on training pictures prove nothing.
    """
    folder = Path(str(dataset.reference.path))
    found: dict[str, str] = {}
    seen: dict[str, str] = {}  # of the parts before
    for split in (dataset.train, dataset.val, dataset.test):
        own: dict[str, str] = {}
        for index, source in enumerate(split.sources):
            path = Path(str(source))
            name = str(path.relative_to(folder))
            try:
                run_steps(split.open(index), steps)
            except PictureError as error:
                found[name] = str(error)
                continue
            digest = sha256_of(path)
            if digest in seen:
                found[name] = f"the same picture as {seen[digest]}, in another part"
            own[digest] = name
        seen = own | seen
    return found


def labelled_split(folder: Path, labels: Sequence[str]) -> Split:
    """Open a folder of class folders whose names are among a model's labels, as a test part for that model."""
    files = labelled_pictures(folder, labels)
    return file_split([path for path, _ in files], np.array([label for _, label in files], np.int64))


def class_files(folder: Path, leave_out: Set[Path] = frozenset()) -> dict[str, list[Path]]:
    """Map each class folder that holds pictures to its files in alphabetical order."""
    found: dict[str, list[Path]] = {}
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = sorted(
            path for path in class_folder.iterdir() if path.suffix.lower() in PICTURE_ENDINGS and path not in leave_out
        )
        if files:
            found[class_folder.name] = files
    return found


def _complete_parts(folder: Path, given: dict[str, dict[str, list[Path]]], seed: int) -> dict[str, dict[str, list[Path]]]:
    """Draw the parts that are not given, a tenth of each class each, from the training files."""
    missing = [part for part in ("val", "test") if part not in given]
    parts: dict[str, dict[str, list[Path]]] = {part: dict(given.get(part, {})) for part in PARTS}
    shuffle = np.random.default_rng(seed)
    for name, files in sorted(given["train"].items()):
        if missing and len(files) <= len(missing):
            raise EdgeproofError(
                f"{folder}: class {name!r} has {len(files)} pictures, too few to draw {' and '.join(missing)} from: "
                f"expected at least {len(missing) + 1}"
            )
        order = [files[index] for index in shuffle.permutation(len(files))] if missing else files
        tenth = max(1, round(len(files) / 10))
        for place, part in enumerate(missing):
            parts[part][name] = order[place * tenth : (place + 1) * tenth]
        parts["train"][name] = order[len(missing) * tenth :]
    return parts


def _class_split(files: Mapping[str, Sequence[Path]], classes: Sequence[str]) -> Split:
    sources = [path for name in classes for path in files[name]]
    return file_split(sources, np.array([index for index, name in enumerate(classes) for _ in files[name]], np.int64))


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
    """Return a permutation of `count` indices that depends on the seed alone."""
    return np.random.default_rng(seed).permutation(count)


def stratified_order(labels: Labels, seed: int) -> npt.NDArray[np.int64]:
    """Return a seeded order in which every prefix holds the classes in nearly their overall proportions.

    Each class's members, shuffled, are spread evenly over the unit interval; sorting by place interleaves the classes.
    """
    random = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + random.uniform()) / len(members)
    return np.argsort(place, kind="stable")


def empty_array(shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    """Return an array to fill: in memory, or where it would take over IN_MEMORY_SHARE of it, mapped from a file.

    The file has no name and goes with the array; reading from it streams from disk.
    """
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if size_bytes <= IN_MEMORY_SHARE * memory_bytes():
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="edgeproof-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size_bytes)  # a full disk is an error here, a crash when it is written
        except OSError as error:
            raise EdgeproofError(
                f"{tempfile.gettempdir()}: {error.strerror}: {size_bytes / 1e9:,.1f} GB are needed there: make room, or "
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
