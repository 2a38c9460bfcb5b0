"""The raw samples of a row. Each measuring process imports this file, so it imports little."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

NO_PATH: npt.NDArray[np.int64] = np.empty((0, 5), np.int64)


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
        """Read a row's members. Raises KeyError where one is missing."""
        borders = np.cumsum(arrays[f"{key}/queries"])[:-1]
        latency_ns = tuple(np.split(arrays[f"{key}/latency_ns"], borders))
        path_ns = arrays.get(f"{key}/path_ns", NO_PATH)  # files from before the whole path was measured have none
        turn_queries = _by_process(arrays.get(f"{key}/turn_queries"), arrays[f"{key}/queries"])
        return Samples(latency_ns, arrays[f"{key}/predictions"], path_ns, arrays.get(f"{key}/top_scores"), turn_queries)


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
