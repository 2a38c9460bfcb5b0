"""What the kept predictions are compared with: the labels of the test pictures, and the misread pictures themselves."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.results.row import ResultRow
from common.paired_accuracy import Paired

PICTURES_KEPT = 300  # of a model, over all its rows
PREFIX = "pictures/"
MEMBERS = {"truth": ("iu", 1), "names": ("U", 1), "places": ("iu", 1), "pixels": ("iu", 4)}  # kinds of type, dimensions
_WORDS = {"iu": "integers", "U": "text"}


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """The test part that a model's rows have answered, in the nested order of their predictions.

    A picture whose answer differs between two rows is wrong in at least one of them: so the wrong
    ones include every picture whose answer ever differs.
    """

    model: str  # MODEL or MODEL@NAME
    dataset_sha256: str
    truth: npt.NDArray[np.int32]  # (N,), indices into `names`; -1: no answer is right
    names: tuple[str, ...]
    places: npt.NDArray[np.int64]  # (n,), of the kept pictures within the N, ascending
    pixels: npt.NDArray[np.uint8]  # (n, H, W, C), as the model saw them

    @property
    def prefix(self) -> str:
        """Return the prefix of its members in bench.npz."""
        return f"{PREFIX}{self.model}/{self.dataset_sha256}"

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return its members in bench.npz."""
        members = {"truth": self.truth, "names": np.array(self.names, np.str_), "places": self.places, "pixels": self.pixels}
        return {f"{self.prefix}/{name}": array for name, array in members.items()}

    @staticmethod
    def truth_of(arrays: Mapping[str, npt.NDArray[Any]], row: ResultRow) -> npt.NDArray[np.int32] | None:
        """Return the labels (N,) of the pictures that a row answered, or None where none were kept."""
        if row.accuracy is None:
            return None
        return arrays.get(f"{PREFIX}{row.subject.model_name}/{row.accuracy.dataset_sha256}/truth")

    @staticmethod
    def of(arrays: Mapping[str, npt.NDArray[Any]], row: ResultRow) -> "EvaluationSet | None":
        """Return the evaluation set of a row of bench.json, or None where none was kept or it does not fit the row."""
        if row.accuracy is None:
            return None
        model, sha256 = row.subject.model_name, row.accuracy.dataset_sha256
        try:
            truth, names, places, pixels = (
                arrays[f"{PREFIX}{model}/{sha256}/{member}"] for member in ("truth", "names", "places", "pixels")
            )
            answers = arrays[f"{row.key}/predictions"]
        except KeyError:
            return None
        fits = len(answers) <= len(truth) and int((answers == truth[: len(answers)]).sum()) == row.accuracy.correct
        return EvaluationSet(model, sha256, truth, tuple(map(str, names)), places, pixels) if fits else None


def all_defects(arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Yield what is wrong with the types, shapes and indices of the sets in bench.npz.

    A set that lacks a member is not used.
    """
    for name in arrays:
        prefix, _, member = name.rpartition("/")
        if name.startswith(PREFIX) and member == "truth":
            members = {each: arrays.get(f"{prefix}/{each}") for each in MEMBERS}
            yield from (f"{prefix}/{defect}" for defect in _defects(members))


def _defects(members: Mapping[str, npt.NDArray[Any] | None]) -> Iterator[str]:
    for name, (kinds, dimensions) in MEMBERS.items():
        array = members[name]
        if array is not None and (array.dtype.kind not in kinds or array.ndim != dimensions):
            yield f"{name} is {array.dtype} of {array.ndim} dimensions, expected {_WORDS[kinds]} of {dimensions}"
            return
    truth, names, places, pixels = (members[name] for name in MEMBERS)
    if truth is None or names is None or places is None or pixels is None:
        return
    if len(truth) and not -1 <= int(truth.min()) <= int(truth.max()) < len(names):
        yield f"truth holds {int(truth.min())} to {int(truth.max())}, expected -1 to {len(names) - 1}, indices of names"
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < len(truth):
        yield f"places holds {int(places.min())} to {int(places.max())}, expected 0 to {len(truth) - 1}"
    if pixels.dtype != np.uint8 or len(pixels) != len(places) or (len(pixels) and pixels.shape[-1] not in (1, 3)):
        yield f"pixels is {pixels.dtype} of shape {pixels.shape}, expected uint8 of ({len(places)}, height, width, 1 or 3)"


def paired_answers(arrays: Mapping[str, npt.NDArray[Any]], first: ResultRow, second: ResultRow) -> Paired | None:
    """Compare the answers of two rows on the pictures that both have answered; None where these are not known.

    Rows answer the pictures in one order, so a row that answered fewer of them answered the first ones.
    """
    evaluation_set, other = EvaluationSet.of(arrays, first), EvaluationSet.of(arrays, second)
    if evaluation_set is None or other is None or evaluation_set.prefix != other.prefix:
        return None
    one, two = (arrays[f"{row.key}/predictions"] for row in (first, second))
    common = min(len(one), len(two))
    return Paired.of(one[:common], two[:common], evaluation_set.truth[:common].astype(np.int64))


def collect(
    model: str,
    dataset_sha256: str,
    truth: npt.NDArray[np.int64],
    names: Iterable[str],
    pictures: npt.NDArray[np.uint8],
    answers: Iterable[npt.NDArray[np.uint16]],
) -> EvaluationSet:
    """Keep the labels (N,) and the pictures of (N, H, W, C) that some row answers wrongly; a row's answers are (≤ N,)."""
    wrong = np.zeros(len(truth), np.int64)
    for row in answers:
        wrong[: len(row)] += row != truth[: len(row)]
    # Pictures that only some rows answer wrongly come first: these are the ones that differ
    rows_asked = max(1, int(wrong.max(initial=0)))
    order = np.lexsort((np.arange(len(wrong)), wrong == rows_asked, wrong == 0))
    places = np.sort(order[: min(PICTURES_KEPT, int((wrong > 0).sum()))])
    pixels = np.ascontiguousarray(pictures[places])
    return EvaluationSet(model, dataset_sha256, truth.astype(np.int32), tuple(names), places, pixels)


def merge(arrays: dict[str, npt.NDArray[Any]], new: Iterable[EvaluationSet], rows: Iterable[ResultRow]) -> None:
    """Put new sets into the arrays of bench.npz, beside pictures kept before; drop those that no row refers to any more."""
    for evaluation_set in new:
        places, pixels = evaluation_set.places, evaluation_set.pixels
        old = arrays.get(f"{evaluation_set.prefix}/places")
        if old is not None and arrays[f"{evaluation_set.prefix}/pixels"].shape[1:] == pixels.shape[1:]:
            places, first = np.unique(np.concatenate([places, old]), return_index=True)
            pixels = np.concatenate([pixels, arrays[f"{evaluation_set.prefix}/pixels"]])[first]
        members = (evaluation_set.model, evaluation_set.dataset_sha256, evaluation_set.truth, evaluation_set.names)
        arrays |= EvaluationSet(*members, places[: 2 * PICTURES_KEPT], pixels[: 2 * PICTURES_KEPT]).to_arrays()
    needed = {f"{PREFIX}{row.subject.model_name}/{row.accuracy.dataset_sha256}" for row in rows if row.accuracy}
    for name in [name for name in arrays if name.startswith(PREFIX) and name.rpartition("/")[0] not in needed]:
        del arrays[name]
