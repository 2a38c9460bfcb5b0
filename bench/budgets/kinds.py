"""The table of budgets: a row for each kind. `check`, `gate`, `recommend`, `--measure` and the exports derive from it."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from bench.budgets import figures, relative_figures
from bench.budgets.figures import Figure
from bench.budgets.relative_figures import FLOAT

Against = Literal["results", "baseline"]


class Comparison(Enum):
    """How `bench gate` compares the present build with a baseline."""

    TIMES = auto()  # a ratio of latencies, measured side by side
    ANSWERS = auto()  # a difference of accuracies on the same pictures
    COUNTS = auto()  # a ratio of instruction counts, without a measurement


@dataclass(frozen=True)
class Kind:
    """What a key of a rule limits: a figure of a row, or a comparison of the gate. One of the two is set.

    The figure of a `max_` key must not be larger than its limit, that of a `min_` key not smaller.
    """

    key: str
    unit: str  # of figure and limit; "" for a share or a ratio
    figure: Figure | None = None
    comparison: Comparison | None = None
    device_bound: bool = False  # an absolute latency: it is valid only on a named device
    timed: bool = False  # a time: more processes narrow its interval, and it is not judged where times mean nothing
    relative: bool = False  # its limit names another variant: {to = "float32", p50 = 0.8}
    reference: str | None = None  # the variant with which its figure is always compared
    share: bool = False  # the limit is a fraction of one
    may_be_zero: bool = False  # 0 means "none at all"
    option: str = ""  # of `bench recommend`, if it is not made from the key, as --max-p50-ms is
    help: str = ""  # of that option
    default: float | None = None  # of that option; None: no limit

    @property
    def at_most(self) -> bool:
        """Say whether the limit is an upper one."""
        return self.key.startswith("max_")

    @property
    def against(self) -> Against:
        """Return what a row is compared with: other rows of these results, or a baseline."""
        return "results" if self.comparison is None else "baseline"

    @property
    def option_name(self) -> str | None:
        """Return the option of `bench recommend`; None where one number is not enough for a limit."""
        if self.relative or self.figure is None:
            return None
        return self.option or "--" + self.key.replace("_", "-")


def _milliseconds(key: str, figure: Figure, help_text: str) -> Kind:
    return Kind(key, "ms", figure, device_bound=True, timed=True, help=help_text)


_ROWS = (
    _milliseconds("max_p50_ms", figures.latency("p50"), "Half of all pictures within this time."),
    _milliseconds("max_p90_ms", figures.latency("p90"), "Nine of ten pictures within this time."),
    _milliseconds("max_p99_ms", figures.latency("p99"), "99 of 100 pictures within this time."),
    _milliseconds("max_first_inference_ms", figures.startup("first_inference_ms"), "The first inference within this time."),
    _milliseconds("max_load_ms", figures.startup("load_ms"), "The model is loaded within this time."),
    Kind("max_peak_rss_mb", "MB", figures.peak_rss_mb, option="--max-memory-mb", help="Peak resident, in 1,000,000 bytes."),
    Kind("max_size_kb", "kB", figures.size_kb, help="Size of the file, in 1,000 bytes."),
    Kind("max_flash_kb", "kB", figures.flash_kb, help="The model's own bytes, in 1,000, as a microcontroller has them."),
    Kind("max_arena_kb", "kB", figures.arena_kb, help="A microcontroller's arena, in 1,000 bytes, on a 64-bit host."),
    Kind("max_download_kb", "kB", figures.download_kb, help="A browser's runtime and model, compressed, in 1,000 bytes."),
    Kind("max_instructions_m", "million instructions", figures.instructions_m, help="Millions counted for one inference."),
    Kind("min_top1", "", figures.top1, share=True, help="At least this share of pictures is right."),
    Kind(
        "max_top1_drop",
        "",
        relative_figures.top1_drop,
        reference=FLOAT,
        share=True,
        may_be_zero=True,
        help="Largest loss of accuracy against float32, shown to be within this.",
        default=0.002,
    ),
    Kind(
        "min_agreement",
        "",
        relative_figures.agreement,
        reference=FLOAT,
        share=True,
        help="At least this share is answered as float32 answers.",
    ),
    Kind("max_ratio", "times", relative_figures.latency_ratio, timed=True, relative=True),
    Kind("max_regression", "", comparison=Comparison.TIMES, timed=True, may_be_zero=True),
    Kind("max_top1_regression", "", comparison=Comparison.ANSWERS, share=True, may_be_zero=True),
    Kind("max_instruction_regression", "", comparison=Comparison.COUNTS, may_be_zero=True),
)
KINDS: dict[str, Kind] = {kind.key: kind for kind in _ROWS}
RELATIVE_PERCENTILES = ("p50", "p90")  # that a relative limit may use


def keys_against(against: Against) -> list[str]:
    """Return the keys of all budgets that compare a row with this."""
    return [key for key, kind in KINDS.items() if kind.against == against]
