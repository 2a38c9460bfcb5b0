"""The raw samples of a row. Each measuring process imports this file, so it imports little."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

NO_PATH: npt.NDArray[np.int64] = np.empty((0, 5), np.int64)
# Of a row in bench.npz: type and number of dimensions
MEMBERS: dict[str, tuple[type[np.generic], int]] = {
    "queries": (np.int64, 1),
    "latency_ns": (np.int64, 1),
    "predictions": (np.uint16, 1),
    "path_ns": (np.int64, 2),
    "top_scores": (np.float32, 1),
    "turn_queries": (np.int64, 1),
}
OPTIONAL = frozenset({"path_ns", "top_scores", "turn_queries"})


@dataclass(frozen=True, eq=False)
class Samples:
    """The raw samples of a row: the latency of each query, by process, and the answer to each test picture."""

    latency_ns: tuple[npt.NDArray[np.int64], ...]  # one (queries,) for each process
    predictions: npt.NDArray[np.uint16]  # (pictures,), in the nested order of accuracy runs
    path_ns: npt.NDArray[np.int64] = field(
        default_factory=lambda: NO_PATH
    )  # (pictures, 5): decode, prepare, invoke, post-process, end to end
    top_scores: npt.NDArray[np.float32] | None = None  # (pictures,); None where the scores are quantized
    turn_queries: tuple[npt.NDArray[np.int64], ...] | None = None  # of each turn (turns,), by process; None: no turns

    @property
    def turns_ns(self) -> list[list[npt.NDArray[np.int64]]] | None:
        """Return the latencies of each turn, by process; None where the processes took no turns."""
        if self.turn_queries is None:
            return None
        split = zip(self.latency_ns, self.turn_queries, strict=True)
        return [np.split(samples, np.cumsum(sizes)[:-1]) for samples, sizes in split]

    @property
    def queries(self) -> int:
        """Return the number of queries of all processes."""
        return sum(len(process) for process in self.latency_ns)

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of all samples, as hexadecimal digits."""
        digest = hashlib.sha256()
        for process in self.latency_ns:
            digest.update(len(process).to_bytes(8, "little") + process.astype("<i8").tobytes())
        digest.update(self.predictions.astype("<u2").tobytes() + self.path_ns.astype("<i8").tobytes())
        if self.top_scores is not None:
            digest.update(self.top_scores.astype("<f4").tobytes())
        for sizes in self.turn_queries or ():
            digest.update(len(sizes).to_bytes(8, "little") + sizes.astype("<i8").tobytes())
        return digest.hexdigest()

    def to_arrays(self, key: str) -> dict[str, npt.NDArray[Any]]:
        """Return the members that this row has in bench.npz."""
        scores = {} if self.top_scores is None else {f"{key}/top_scores": self.top_scores}
        turns = {} if self.turn_queries is None else {f"{key}/turn_queries": np.concatenate(self.turn_queries)}
        return {
            f"{key}/latency_ns": np.concatenate(self.latency_ns),
            f"{key}/queries": np.array([len(process) for process in self.latency_ns], np.int64),
            f"{key}/predictions": self.predictions,
            f"{key}/path_ns": self.path_ns,
            **scores,
            **turns,
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], key: str) -> "Samples":
        """Read a row's members. Raises KeyError where one is missing, ValueError where one has another type or shape."""
        members: dict[str, npt.NDArray[Any]] = {}
        for name, (kind, dimensions) in MEMBERS.items():
            if name not in OPTIONAL and f"{key}/{name}" not in arrays:
                raise KeyError(f"{key}/{name}")
            if f"{key}/{name}" in arrays:
                members[name] = _of_kind(arrays[f"{key}/{name}"], name, kind, dimensions)
        queries, pooled = members["queries"], members["latency_ns"]
        if (queries <= 0).any() or int(queries.sum()) != len(pooled):
            raise ValueError(f"queries is {queries.tolist()[:8]}, expected the parts of {len(pooled)} in latency_ns")
        path_ns = members.get("path_ns", NO_PATH)  # files from before the whole path was measured have none
        if path_ns.shape[1] != NO_PATH.shape[1]:
            raise ValueError(f"path_ns is of shape {path_ns.shape}, expected five times a picture")
        latency_ns = tuple(np.split(pooled, np.cumsum(queries)[:-1]))
        turn_queries = _by_process(members.get("turn_queries"), queries)
        return Samples(latency_ns, members["predictions"], path_ns, members.get("top_scores"), turn_queries)


def _of_kind(array: npt.NDArray[Any], name: str, kind: type[np.generic], dimensions: int) -> npt.NDArray[Any]:
    """Return an array whose numbers `kind` holds exactly. Raises ValueError for another: a cast would hide it."""
    number = np.dtype(kind)
    kinds = "iu" if number.kind in "iu" else number.kind
    if array.ndim != dimensions or array.dtype.kind not in kinds or not np.can_cast(array.dtype, number, "safe"):
        found = f"{array.dtype} of {array.ndim} dimensions"
        raise ValueError(f"{name} is {found}, expected {number} of {dimensions}")
    return array


def _by_process(
    sizes: npt.NDArray[np.int64] | None, queries: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], ...] | None:
    """Split the queries of each turn (turns,) into those of each process, which has so many in all.

    Raises ValueError where they do not add up.
    """
    if sizes is None:
        return None
    ends, wanted = np.cumsum(sizes), np.cumsum(queries)
    if len(sizes) == 0 or (sizes <= 0).any() or not np.isin(wanted, ends).all() or ends[-1] != wanted[-1]:
        raise ValueError("the queries of the turns do not add up to those of the processes")
    return tuple(np.split(sizes, np.searchsorted(ends, wanted)[:-1] + 1))
