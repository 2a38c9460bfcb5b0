"""The test pictures of a run: prepared once for each data set and preprocessing; some also as files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.artifacts.find import Artifact
from device.card import Card
from device.errors import EdgeproofError
from train.data.dataset import NO_LABEL, DataReference, Split, stratified_order
from train.data.folders import labelled_split
from train.data.open_dataset import open_dataset

DATA_ADVICE = "--data FOLDER, one folder a class, tests on other pictures"
FILES = 64  # the whole path of a picture is timed with this many files, in turn


def own_test_part(card: Card) -> Split:
    """Return the test part of the data set that a card names. Raises EdgeproofError where it cannot be opened."""
    try:
        return open_dataset(DataReference.from_json(card.provenance["dataset"]), card.labels).test
    except EdgeproofError as error:
        raise EdgeproofError(f"{error}; {card.model} was made with these pictures: {DATA_ADVICE}") from error


def own_pictures_text(card: Card) -> str:
    """Say where a card's own test pictures lie, if they are files: "of FOLDER", or those held out of it."""
    provenance = card.provenance
    if "dataset" not in provenance:
        return ""
    reference = DataReference.from_json(provenance["dataset"])
    if reference.role == "calibration" and reference.validation is None:
        return f"held out of {reference.path}"
    folder = reference.validation or reference.path
    return f"of {folder}" if folder else ""


@dataclass(frozen=True)
class TestPictures:
    """Prepared test pictures on disk, in the nested order (every prefix is stratified by class), and some as files."""

    path: Path
    labels: npt.NDArray[np.int64]
    sha256: str
    files: tuple[str, ...]


class PictureStore:
    """The prepared test pictures of each data set and preprocessing, prepared once and kept in a scratch folder."""

    def __init__(self, folder: Path, data: Path | None, say: Callable[[str], None]) -> None:
        self._folder, self._data, self._say = folder, data, say
        self._kept: dict[str, TestPictures | None] = {}

    def of(self, found: Artifact) -> TestPictures | None:
        """Return an artifact's test pictures, or None where they are unknown: it is then measured with random input.

        Raises EdgeproofError where its test part is no longer the same.
        """
        provenance = found.card.provenance
        if not found.card.labels or (self._data is None and "dataset" not in provenance):
            return None
        steps = [step.to_json() for step in found.card.preprocess]
        source = str(self._data) if self._data else provenance["dataset"]
        key = repr((source, steps, found.card.labels))
        if key not in self._kept:
            self._kept[key] = self._prepare(found.card)
        pictures = self._kept[key]
        if pictures and self._data is None and found.test_sha256 != pictures.sha256:
            raise EdgeproofError(f"{found.path}: the data set's test part is not the one of training: train again")
        return pictures

    def _prepare(self, card: Card) -> TestPictures | None:
        """Prepare the test pictures for a card. An unusable picture is reported and counts as wrong."""
        if self._data is None:
            test = own_test_part(card)
            if not test.labelled:
                self._say(
                    f"the pictures of {card.model} have no labels: for its accuracy give --data FOLDER, a folder a class"
                )
                return None
        else:
            test = labelled_split(self._data, card.labels, self._say)
        order = stratified_order(test.labels, seed=0)
        path = self._folder / f"pictures{len(self._kept)}.npy"
        unusable: dict[int, str] = {}
        np.save(path, test.prepared(card.preprocess, order, unusable))
        labels = test.labels[order]
        labels[list(unusable)] = NO_LABEL
        for reason in unusable.values():
            self._say(f"  counted as wrong: {reason}")
        usable = [int(index) for place, index in enumerate(order) if place not in unusable]
        return TestPictures(path, labels, test.sha256, tuple(self._as_files(test, usable[:FILES])))

    def _as_files(self, test: Split, indices: list[int]) -> list[str]:
        """Return pictures as files: their own, or new PNGs where the data set has no files, such as MNIST."""
        files: list[str] = []
        for index in indices:
            source = test.sources[index]
            path = source.resolve() if isinstance(source, Path) else self._folder / test.sha256[:16] / f"{index}.png"
            if not isinstance(source, Path) and not path.exists():
                path.parent.mkdir(exist_ok=True)
                test.open(index).save(path)
            files.append(str(path))
        return files
