"""A row of bench.json: the measurement of one artifact in one runtime on one device, as it is stored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from bench.machine.conditions import Conditions
from bench.results.browser_figures import BrowserFigures
from bench.results.emulated import why_no_latency
from bench.results.instruction_counts import Instructions
from common.json_record import Converted, Defect, Flat, Omitted, Record
from common.micro_figures import MicroFigures
from device.safe_text import printable

HOST = "host"  # the name of this machine among devices
IMPRECISE = "imprecise"  # the flag of a latency whose interval is too wide
ANY = "*"  # model and variant of a skipped row that means all of them
FileKey = tuple[str, str | None, str, str]  # model, name, variant, format


@dataclass(frozen=True)
class Combination(Record):
    """A requested combination: an artifact in a runtime on a device."""

    model: str
    name: str | None
    variant: str
    format: str
    runtime: str
    device: str

    @property
    def model_name(self) -> str:
        """Return MODEL or MODEL@NAME."""
        return f"{self.model}@{self.name}" if self.name else self.model

    @property
    def file_key(self) -> FileKey:
        """Return what says which file it is, in any build."""
        return self.model, self.name, self.variant, self.format

    @property
    def combination(self) -> "Combination":
        """Return it without the further fields of a subject."""
        return Combination(self.model, self.name, self.variant, self.format, self.runtime, self.device)

    def defects(self) -> Iterator[Defect]:
        """Yield invalid names: they are used in lines, paths and keys, so the rules are those of a card."""
        for field in fields(Combination):
            text = getattr(self, field.name)
            if isinstance(text, str) and (printable(text) != text or "/" in text or text.startswith(".")):
                yield Defect(field.name, text, "a name")


@dataclass(frozen=True)
class Subject(Combination):
    """What is measured, and where: the key of a row."""

    accelerator: str
    threads: int

    @property
    def key(self) -> str:
        """Return the row's key in bench.npz."""
        artifact = f"{self.model_name}/{self.variant}.{self.format}"
        return f"{artifact}/{self.runtime}/{self.device}/{self.accelerator}/{self.threads}"


@dataclass(frozen=True)
class ArtifactFile(Record):
    """The file that was measured."""

    path: str
    sha256: str
    size_bytes: int

    def defects(self) -> Iterator[Defect]:
        """Yield a size that no file has."""
        if self.size_bytes <= 0:
            yield Defect("size_bytes", self.size_bytes, "more than 0")


@dataclass(frozen=True, kw_only=True)
class Accuracy(Record):
    """How many test pictures were answered right, and how many equal the reference's answers; at least one picture."""

    correct: int
    total: int
    top1: float  # 0..1
    ci95: tuple[float, float]  # of top1, Wilson's
    agreement_with_reference: float | None = None  # 0..1, of the pictures that both have answered
    dataset_sha256: str
    threads: int = 1  # during these answers: a sweep over threads answers the pictures once

    def defects(self) -> Iterator[Defect]:
        """Yield counts and shares that no answers give."""
        if not 0 <= self.correct <= self.total:
            yield Defect("correct", self.correct, f"0 to `total`, {self.total}")
        for key, share in (("top1", self.top1), ("agreement_with_reference", self.agreement_with_reference)):
            if share is not None and not 0 <= share <= 1:
                yield Defect(key, share, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class _Unanswered(Record):
    """The stored form of an accuracy where no test picture was answered."""

    correct: int
    total: int
    top1: float | None
    ci95: tuple[float, ...]
    agreement_with_reference: float | None = None
    dataset_sha256: str | None
    threads: int = 1


_UNANSWERED = _Unanswered(correct=0, total=0, top1=None, ci95=(0.0, 1.0), dataset_sha256=None)


def _read_accuracy(value: object, where: str) -> Accuracy | None:
    """Read a row's accuracy; None where no test picture was answered: it is null, or its total is 0."""
    if value is None:
        return None
    return Accuracy.from_json(value, where) if _Unanswered.from_json(value, where).total else None


def _write_accuracy(accuracy: Accuracy | None) -> dict[str, Any]:
    return (accuracy or _UNANSWERED).to_json()


@dataclass(frozen=True)
class Estimate(Record):
    """A time with its 95 % interval, all in milliseconds."""

    ms: float
    ci95: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Latency(Record):
    """Single inferences after warm-up, over all processes of a row. Where the sample is too small, a percentile is None."""

    queries: int
    processes: int
    warmup_calls: Annotated[int | None, Omitted] = None
    rounds_left_out: Annotated[int | None, Omitted] = None  # something slowed nearly all of their turns
    p50: Annotated[Estimate, Flat(ms="p50_ms", ci95="ci95_p50_ms")]
    p90_ms: float | None
    p99_ms: float | None
    min_ms: Annotated[float | None, Omitted] = None
    valid: bool
    why_invalid: str | None
    flags: Annotated[tuple[str, ...] | None, Omitted] = None  # names of the reasons why it is not valid
    flags_unknown: Annotated[tuple[str, ...] | None, Omitted] = None  # flags that are unknown on this machine

    @property
    def rounds_measured(self) -> int:
        """Return in how many processes it was measured, with those of rounds that were left out."""
        return self.processes + (self.rounds_left_out or 0)

    @property
    def only_imprecise(self) -> bool:
        """Say whether it is not valid only because its interval is wide: a verdict by that interval is sound."""
        return self.flags == (IMPRECISE,)

    @property
    def may_be_judged(self) -> bool:
        """Say whether a verdict by its interval is sound: it is valid, or only imprecise."""
        return self.valid or self.only_imprecise

    def percentile_ms(self, percentile: str) -> float | None:
        """Return "p50", "p90" or "p99"."""
        return {"p50": self.p50.ms, "p90": self.p90_ms, "p99": self.p99_ms}[percentile]

    def to_json(self) -> dict[str, Any]:
        """Return the fields in their stored order: the interval of p50 after all times."""
        document = super().to_json()
        interval = document.pop("ci95_p50_ms")
        fields = list(document.items())
        place = list(document).index("valid")
        return dict([*fields[:place], ("ci95_p50_ms", interval), *fields[place:]])

    def defects(self) -> Iterator[Defect]:
        """Yield a median that cannot be a time, an interval that does not contain it, and a negative count."""
        low_ms, high_ms = self.p50.ci95
        if not self.p50.ms > 0:
            yield Defect("p50_ms", self.p50.ms, "more than 0")
        if not low_ms <= self.p50.ms <= high_ms:
            yield Defect("ci95_p50_ms", [low_ms, high_ms], f"an interval that contains p50_ms, {self.p50.ms}")
        if self.warmup_calls is not None and self.warmup_calls < 0:
            yield Defect("warmup_calls", self.warmup_calls, "0 or more")


@dataclass(frozen=True)
class Startup(Record):
    """Medians over the processes of a row, and the same four of each process."""

    import_ms: float
    load_ms: float
    first_inference_ms: float
    steady_ms: float | None = None  # from the start of the first inference to the steady state
    processes_ms: tuple[tuple[float, ...], ...] = ()  # rows from before 2.0 have three of each, or none

    def defects(self) -> Iterator[Defect]:
        """Yield processes of other numbers of times than the rest, and times below nothing."""
        for times_ms in self.processes_ms:
            if len(times_ms) != len(self.processes_ms[0]) or min(times_ms, default=0) < 0:
                yield Defect("processes_ms", list(times_ms), "as many times of each process, 0 or more")


@dataclass(frozen=True)
class PathSpans(Record):
    """The parts of a typical picture's whole path, from its file to its scores."""

    decode_ms: float
    prepare_ms: float
    invoke_ms: float
    postprocess_ms: float
    end_to_end_ms: float  # measured separately, around the whole path
    unaccounted_ms: float  # the rest of it after the four parts


@dataclass(frozen=True)
class Memory(Record):
    """The largest peak of a row's processes."""

    peak_rss_bytes: int | None  # None, or 0 in older files: the system does not say it

    def defects(self) -> Iterator[Defect]:
        """Yield a peak below nothing."""
        if self.peak_rss_bytes is not None and self.peak_rss_bytes < 0:
            yield Defect("peak_rss_bytes", self.peak_rss_bytes, "0 or more")


@dataclass(frozen=True, kw_only=True)
class SampleReference(Record):
    """The place of a row's samples, and their hash."""

    file: Annotated[str | None, Omitted] = None
    key: str
    count: Annotated[int | None, Omitted] = None
    sha256: Annotated[str | None, Omitted] = None


@dataclass(frozen=True)
class Golden(Record):
    """How a device answered the golden pictures inside an artifact."""

    pictures: int
    deviations: tuple[str, ...]  # where an answer differs from the card or from this machine's
    worst_score: float | None  # the largest difference to this machine; None where this machine has no such runtime
    here: str | None  # this machine's runtime that it was compared with

    @property
    def text(self) -> str:
        """Describe the result in a line."""
        if self.deviations:
            return "FAIL: " + "; ".join(self.deviations)
        beside = "no such runtime here to compare with" if self.worst_score is None else f"within {self.worst_score:.2g}"
        return f"PASS: {self.pictures} golden pictures, {beside}"


@dataclass(frozen=True, kw_only=True)
class ResultRow(Record):
    """One row of bench.json."""

    subject: Annotated[Subject, Flat()]
    runtime_version: str
    artifact: ArtifactFile
    accuracy: Annotated[Accuracy | None, Converted(_read_accuracy, _write_accuracy)]  # None: no test picture was answered
    accelerator_name: str | None = None  # of the device that computed, as the runtime reports it; None for the CPU
    latency: Latency
    startup: Startup
    path: PathSpans | None = None  # None: the whole path was not timed
    memory: Memory
    conditions: tuple[Conditions, ...] = ()  # by process
    samples: SampleReference
    loadgen: Annotated[Mapping[str, Any] | None, Omitted] = None  # the result of MLPerf's LoadGen for the same session
    instructions: Annotated[Instructions | None, Omitted] = None
    microcontroller: Annotated[MicroFigures | None, Omitted] = None  # its key stands in common/micro_figures.py too
    browser: Annotated[BrowserFigures | None, Omitted] = None
    health: Annotated[Mapping[str, Any] | None, Omitted] = None  # of a device, around its processes
    golden: Annotated[Golden | None, Omitted] = None
    run: Annotated[str | None, Omitted] = None  # rows of one run were measured interleaved: ratios are meaningful

    @property
    def key(self) -> str:
        """Return the key of its samples in bench.npz."""
        return self.samples.key

    @property
    def why_no_latency(self) -> str | None:
        """Say why none of its times may be judged, ranked, compared or shown; None where they may."""
        return why_no_latency(self.subject.device, self.subject.accelerator)


@dataclass(frozen=True)
class Skipped(Record):
    """A row that could not be measured, with a reason that a person can act on."""

    subject: Annotated[Combination, Flat()]
    reason: str
