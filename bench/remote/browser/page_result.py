"""What a page posts back: validated, since whatever runs in a browser may post anything."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from bench.results.measurement import NS_PER_MS
from bench.results.outcome import RowCrashed, RowRefused
from common.json_record import Damaged, Defect, Omitted, Record
from device.safe_text import printable

REFUSALS = {
    "adapter": "finds nothing to run on",
    "open": "refuses the model",
    "run": "cannot run the model",
}  # by the page's stage in which an error came
MAX_TEXT = 400  # of an error


@dataclass(frozen=True, kw_only=True)
class PageResult(Record):
    """The times of one page, all in milliseconds, and its answers."""

    browser: str  # with its version
    isolated: bool
    step_ms: float  # of the page's clock
    fetch_ms: float
    compile_ms: float
    first_ms: float
    steady_ms: float  # from the start of the first inference
    warmup_calls: int
    steady: bool
    block: int  # calls in a sample
    samples_ms: tuple[float, ...]  # one call of each block
    outputs: str  # base64 of all answers
    output_type: str  # as numpy names it
    adapter: Annotated[str | None, Omitted] = None  # of WebGPU
    software: Annotated[bool | None, Omitted] = None  # a processor emulates the adapter

    def defects(self) -> Iterator[Defect]:
        """Yield what cannot be a measurement."""
        if not self.samples_ms or min(self.samples_ms) < 0 or not max(self.samples_ms) > 0:
            yield Defect("samples_ms", len(self.samples_ms), "times")
        if self.block < 1 or self.warmup_calls < 0:
            yield Defect("block", self.block, "1 or more")
        if not self.step_ms > 0:
            yield Defect("step_ms", self.step_ms, "more than 0")
        for name in ("fetch_ms", "compile_ms", "first_ms", "steady_ms"):
            if getattr(self, name) < 0:
                yield Defect(name, getattr(self, name), "0 or more")

    @cached_property
    def values(self) -> npt.NDArray[Any]:
        """Return all outputs one after another (values,). Raises RowCrashed where they cannot be read."""
        try:
            kind = np.dtype(self.output_type)
            if kind.kind not in "fiu":
                raise ValueError(f"outputs of type {self.output_type!r}")
            return np.frombuffer(base64.b64decode(self.outputs, validate=True), kind)
        except (TypeError, ValueError, binascii.Error) as error:
            raise RowCrashed(f"its page gave answers that cannot be read ({printable(str(error))[:MAX_TEXT]})") from error

    @property
    def latency_ns(self) -> npt.NDArray[np.int64]:
        """Return the time of one call of each block (blocks,), in nanoseconds."""
        rounded: npt.NDArray[np.int64] = np.round(np.array(self.samples_ms) * NS_PER_MS).astype(np.int64)
        return np.maximum(1, rounded)

    @property
    def startup_ns(self) -> list[int]:
        """Return fetch, compile, first inference and the time to the steady state, in nanoseconds."""
        return [round(ms * NS_PER_MS) for ms in (self.fetch_ms, self.compile_ms, self.first_ms, self.steady_ms)]


def read_result(document: Any, values: int) -> PageResult:
    """Read a posted document with so many output values. Raises RowRefused for a model that the runtime refuses.

    Raises RowCrashed for every other error, and for what is no result.
    """
    if isinstance(document, dict) and "error" in document:
        text = printable(" ".join(str(document["error"]).split()))[:MAX_TEXT] or "it gives no reason"
        stage = str(document.get("stage"))
        if stage in REFUSALS:
            raise RowRefused(f"the runtime {REFUSALS[stage]}: {text}")
        raise RowCrashed(f"its page failed ({printable(stage)[:20]}): {text}")
    try:
        result = PageResult.from_json(document, "result")
    except Damaged as damage:
        raise RowCrashed(f"its page posted what is no result: {printable(str(damage))}") from damage
    if printable(result.browser) != result.browser or len(result.browser) > MAX_TEXT:
        raise RowCrashed("its page calls its browser what is no name")
    if result.adapter is not None and (printable(result.adapter) != result.adapter or len(result.adapter) > MAX_TEXT):
        raise RowCrashed("its page calls its adapter what is no name")
    if len(result.values) != values:
        raise RowCrashed(f"its page gave {len(result.values):,} output values, expected {values:,}")
    return result
