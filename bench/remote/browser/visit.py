"""One visit of a page: the task that it gets, the tensors that it answers, and the result that it posts, once."""

import json
import queue
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.worker_pool import Stopped
from bench.remote.browser.browser import Browser
from bench.remote.browser.page_result import PageResult, read_result
from bench.results.outcome import RowCrashed
from bench.runtimes.browser import on_webgpu

SHARD_BYTES = 8_000_000  # of tensors in one answer
SILENCE_S = 60.0  # after which a page that asks for nothing is given up
POLL_S = 0.1
OVERHEAD_BYTES = 4_000_000  # of a result, besides its outputs: times of many calls
OUTPUT_BYTES = 8  # the largest type of an output


@dataclass(frozen=True, eq=False)
class Task:
    """What a page does: answer the first `answers` tensors (N, ...), and time inferences of the first `timed` ones."""

    runtime: str
    model: Path
    tensors: Sequence[npt.NDArray[Any]] | npt.NDArray[Any]
    answers: int
    timed: int
    outputs: int  # values in one answer
    threads: int
    seconds: float
    blocks: int
    disabled_optimizers: tuple[str, ...] = ()  # of onnxruntime, which a card may name

    @property
    def at_a_time(self) -> int:
        """Return how many tensors one request gets."""
        return max(1, SHARD_BYTES // self.tensors[0].nbytes)

    def to_json(self) -> dict[str, Any]:
        """Return what the page is told."""
        first = self.tensors[0]
        return {
            "runtime": self.runtime,
            "input_shape": list(first.shape),
            "input_type": first.dtype.name,
            "answers": self.answers,
            "timed": self.timed,
            "at_a_time": self.at_a_time,
            "threads": self.threads,
            "accelerator": "webgpu" if on_webgpu(self.runtime) else "wasm",
            "seconds": self.seconds,
            "blocks": self.blocks,
            "disabled_optimizers": list(self.disabled_optimizers),
        }

    def tensor_bytes(self, start: int) -> bytes:
        """Return the tensors from `start` on, as many as go into one answer."""
        chosen = self.tensors[start : start + self.at_a_time]
        return b"".join(np.ascontiguousarray(tensor).tobytes() for tensor in chosen)

    @property
    def max_result_bytes(self) -> int:
        """Return how long a result may be."""
        return OVERHEAD_BYTES + 2 * self.answers * self.outputs * OUTPUT_BYTES


@dataclass(eq=False)
class Visit:
    """A page that is awaited, at an address that nobody else can guess."""

    task: Task
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    fetched: dict[Path, int] = field(default_factory=dict)  # the files that the page needed, with their bytes
    _last_s: float = field(default_factory=time.monotonic)
    _results: "queue.Queue[bytes]" = field(default_factory=lambda: queue.Queue(1))

    def seen(self) -> None:
        """Note that the page is alive."""
        self._last_s = time.monotonic()

    def take(self, body: bytes) -> bool:
        """Take the page's result; False where it has posted one before."""
        try:
            self._results.put_nowait(body)
        except queue.Full:
            return False
        return True

    def result(self, browser: Browser, stopping: threading.Event) -> PageResult:
        """Wait for the page's result. Raises RowRefused or RowCrashed with what the page or the browser did, or Stopped."""
        limit_s = SILENCE_S + self.task.seconds
        while True:
            try:
                body = self._results.get(timeout=POLL_S)
            except queue.Empty:
                if stopping.is_set():
                    raise Stopped from None
                if (ended := browser.how_it_ended) is not None:
                    raise RowCrashed(ended) from None
                if time.monotonic() - self._last_s > limit_s:
                    raise RowCrashed(f"its page asked for nothing and did not answer for {limit_s:g} s") from None
                continue
            try:
                document = json.loads(body)
            except ValueError as error:
                raise RowCrashed(f"its page posted what is no JSON ({error})") from error
            return read_result(document, self.task.answers * self.task.outputs)
