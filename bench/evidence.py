"""What the kept predictions are held against: the labels of the test pictures, and the pictures that were misread."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

PICTURES_KEPT = 300  # of a model, over all its rows
PREFIX = "pictures/"


@dataclass(frozen=True, eq=False)
class Evidence:
    """The test part that a model's rows have answered, in the nested order of their predictions.

    A picture whose answer differs between two rows is wrong in one of them, or wrongly answered in both: so the wrong
    ones hold every picture that ever flips.
    """

    model: str  # MODEL or MODEL@NAME
    dataset_sha256: str
    truth: npt.NDArray[np.int32]  # (N,), indices into `names`; -1: no answer is right
    names: tuple[str, ...]
    places: npt.NDArray[np.int64]  # (n,), of the kept pictures within the N, ascending
    pixels: npt.NDArray[np.uint8]  # (n, H, W, C), as the model saw them

    @property
    def prefix(self) -> str:
        """Return how its members in bench.npz begin."""
        return f"{PREFIX}{self.model}/{self.dataset_sha256}"

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return its members in bench.npz."""
        members = {"truth": self.truth, "names": np.array(self.names, np.str_), "places": self.places, "pixels": self.pixels}
        return {f"{self.prefix}/{name}": array for name, array in members.items()}

    @staticmethod
    def of(arrays: Mapping[str, npt.NDArray[Any]], row: Mapping[str, Any]) -> "Evidence | None":
        """Return what a row of bench.json is held against, or None where nothing was kept or it does not fit the row."""
        accuracy = accuracy_of(row)
        if accuracy is None:
            return None
        model, sha256 = model_name(row), str(accuracy["dataset_sha256"])
        try:
            truth, names, places, pixels = (
                arrays[f"{PREFIX}{model}/{sha256}/{member}"] for member in ("truth", "names", "places", "pixels")
            )
            answers = arrays[f"{row['samples']['key']}/predictions"]
        except KeyError:
            return None
        fits = len(answers) <= len(truth) and int((answers == truth[: len(answers)]).sum()) == accuracy["correct"]
        return Evidence(model, sha256, truth, tuple(map(str, names)), places, pixels) if fits else None


def accuracy_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a row's accuracy, or None where no test picture was known for it."""
    accuracy: dict[str, Any] | None = row.get("accuracy")
    return accuracy if accuracy and accuracy["total"] else None


def model_name(row: Mapping[str, Any]) -> str:
    """Return MODEL or MODEL@NAME of a row."""
    return f"{row['model']}@{row['name']}" if row.get("name") else str(row["model"])


def collect(
    model: str,
    dataset_sha256: str,
    truth: npt.NDArray[np.int64],
    names: Iterable[str],
    pictures: npt.NDArray[np.uint8],
    answers: Iterable[npt.NDArray[np.uint16]],
) -> Evidence:
    """Keep the labels (N,) and those of the pictures (N, H, W, C) that any of the rows' answers (≤ N,) misses."""
    wrong = np.zeros(len(truth), np.int64)
    for row in answers:
        wrong[: len(row)] += row != truth[: len(row)]
    # Pictures that only some rows miss come first: these flip
    rows_asked = max(1, int(wrong.max(initial=0)))
    order = np.lexsort((np.arange(len(wrong)), wrong == rows_asked, wrong == 0))
    places = np.sort(order[: min(PICTURES_KEPT, int((wrong > 0).sum()))])
    pixels = np.ascontiguousarray(pictures[places])
    return Evidence(model, dataset_sha256, truth.astype(np.int32), tuple(names), places, pixels)


def merge(arrays: dict[str, npt.NDArray[Any]], new: Iterable[Evidence], rows: Iterable[Mapping[str, Any]]) -> None:
    """Put new evidence into the arrays of bench.npz, beside pictures kept before; drop what no row refers to any more."""
    for evidence in new:
        places, pixels = evidence.places, evidence.pixels
        old = arrays.get(f"{evidence.prefix}/places")
        if old is not None and arrays[f"{evidence.prefix}/pixels"].shape[1:] == pixels.shape[1:]:
            places, first = np.unique(np.concatenate([places, old]), return_index=True)
            pixels = np.concatenate([pixels, arrays[f"{evidence.prefix}/pixels"]])[first]
        members = (evidence.model, evidence.dataset_sha256, evidence.truth, evidence.names)
        arrays |= Evidence(*members, places[: 2 * PICTURES_KEPT], pixels[: 2 * PICTURES_KEPT]).to_arrays()
    needed = {f"{PREFIX}{model_name(row)}/{row['accuracy']['dataset_sha256']}" for row in rows if accuracy_of(row)}
    for name in [name for name in arrays if name.startswith(PREFIX) and name.rpartition("/")[0] not in needed]:
        del arrays[name]
