"""What was measured of a model in a browser besides its answers and its latency."""

from collections.abc import Iterator
from dataclasses import dataclass

from common.json_record import Defect, Record

DEVICE = "chromium"  # the built-in browser: on whatever machine that is


@dataclass(frozen=True, kw_only=True)
class BrowserFigures(Record):
    """The figures of one model in one runtime, over fresh pages, each in a browser with an empty profile."""

    browser: str  # with its version
    isolated: bool  # the page is cross-origin isolated: a finer clock, and threads
    clock_step_us: float  # the coarsest of the pages' clocks
    block: int  # calls in each timed sample, at most: a sample is their mean
    fetch_ms: float  # medians over the pages: until all files are there, from this machine
    compile_ms: float  # until the runtime is compiled and the model is open
    first_inference_ms: float
    download_bytes: int  # the runtime's files and the model, as they are
    download_gzip_bytes: int  # each of them compressed
    native: str | None = None  # the runtime of this machine whose answers were compared
    compared: int = 0  # test pictures that both answered
    same_class: int = 0  # of these: in the same class

    @property
    def start_ms(self) -> float:
        """Return the time from an empty page to the first answer, without the network."""
        return self.fetch_ms + self.compile_ms + self.first_inference_ms

    def defects(self) -> Iterator[Defect]:
        """Yield impossible sizes and counts."""
        if not self.download_gzip_bytes > 0:
            yield Defect("download_gzip_bytes", self.download_gzip_bytes, "more than 0")
        if self.download_bytes <= 0:
            yield Defect("download_bytes", self.download_bytes, "more than 0")
        if self.block < 1:
            yield Defect("block", self.block, "1 or more")
        if not 0 <= self.same_class <= self.compared:
            yield Defect("same_class", self.same_class, "at most `compared`")
