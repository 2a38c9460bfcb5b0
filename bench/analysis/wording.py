"""Figures in words: what a sample shows, and what it does not show."""

from bench.analysis.float_pairs import Pair
from bench.results.row import ResultRow, Subject
from bench.runtimes import described, is_known
from bench.stats.ratios import Ratio
from common.milliseconds import UNKNOWN, milliseconds as milliseconds
from common.paired_accuracy import Paired

SAME_SIZE = 0.01


def runtime_name(subject: Subject) -> str:
    """Return a runtime's name as its makers write it, and its accelerator where that is not the CPU."""
    name = described(subject.runtime).TITLE if is_known(subject.runtime) else subject.runtime
    return name if subject.accelerator == "cpu" else f"{name} on {subject.accelerator}"


def artifact_name(subject: Subject) -> str:
    """Return "int8.tflite in LiteRT"; with the threads if there are several."""
    return f"{subject.variant}.{subject.format} in {runtime_name(subject)}{_threads(subject)}"


def short_name(subject: Subject) -> str:
    """Return "int8 · LiteRT", for a chart's axis; the format is left out where the runtime opens only one."""
    one_format = is_known(subject.runtime) and len(described(subject.runtime).FORMATS) == 1
    format_name = "" if one_format else f".{subject.format}"
    return f"{subject.variant}{format_name} · {runtime_name(subject)}{_threads(subject)}"


def _threads(subject: Subject) -> str:
    return "" if subject.threads == 1 else f", {subject.threads} threads"


def row_name(subject: Subject) -> str:
    """Return "mnist_cnn int8.tflite in LiteRT"."""
    return f"{subject.model_name} {artifact_name(subject)}"


def times(ratio: Ratio) -> str:
    """Return a ratio of speeds in words: "1.9 times faster (1.7 to 2.1)"."""
    if ratio.low is None or ratio.high is None:
        return f"{_factor(ratio.value)} times the speed, with too few processes for an interval"
    if not ratio.distinguishable:
        return f"speed not distinguishable ({_factor(ratio.value)} times, {_factor(ratio.low)} to {_factor(ratio.high)})"
    if ratio.value >= 1:
        return f"{_factor(ratio.value)} times faster ({_factor(ratio.low)} to {_factor(ratio.high)})"
    other = ratio.inverse
    return f"{_factor(other.value)} times slower ({_factor(other.low or 0)} to {_factor(other.high or 0)})"


def accuracy_verdict(found: Paired | None) -> str:
    """Return a paired comparison in words, with the pictures that are needed where the sample is too small."""
    if found is None:
        return "accuracy not compared: the labels of the test pictures are not kept in this file"
    judged = found.judged_drop()
    ends = f"99 % interval {points_of(-judged.high)} to {points_of(-judged.low)}; p = {found.mcnemar_p:.2g}"
    if found.distinguishable:
        return f"{100 * abs(found.drop):.2f} points {'less' if found.drop > 0 else 'more'} accurate ({ends})"
    if found.drop == 0:
        return f"accuracy not distinguishable ({needed_words(found)}; {ends})"
    return f"accuracy not distinguishable ({points_of(-found.drop)} points, {ends}; {needed_words(found)})"


def plain_pair_words(pair: Pair) -> str:
    """Return how a variant compares with float32, for people who do not measure."""
    size = pair.times_smaller
    smaller = f"{_factor(size)} times smaller" if size >= 1 else f"{_factor(1 / size)} times larger"
    if abs(size - 1) < SAME_SIZE:
        smaller = "as large"
    speed = "as fast" if not pair.speed.distinguishable else times(pair.speed)
    if pair.accuracy is None:
        return f"against float32, it is {speed} and {smaller}"
    lost = 100 * max(0.0, pair.accuracy.judged_drop().high)
    return f"against float32, it is {speed} and {smaller}, and loses at most {lost:.2f} points of accuracy"


def accuracy_lost(found: Paired | None) -> str:
    """Return the accuracy lost against float32, with the 99 % interval that verdicts use."""
    if found is None:
        return "accuracy not compared"
    judged = found.judged_drop()
    lost = f"{points_of(found.drop)} points lost".removeprefix("+")
    return f"{lost} (99 % interval {points_of(judged.low)} to {points_of(judged.high)})"


def needed_words(found: Paired) -> str:
    """Return how many pictures would be needed to show this sample's difference."""
    needed = found.pictures_to_distinguish()
    if needed is None:
        return f"as many right of {found.total:,.0f}"
    return f"about {_rounded(needed)} pictures would be needed"


def short_verdict(found: Paired | None) -> str:
    """Return only the verdict, for a table."""
    if found is None:
        return "not compared"
    if not found.distinguishable:
        return "not distinguishable"
    return "less accurate" if found.drop > 0 else "more accurate"


def points_of(share: float) -> str:
    """Return a difference of shares as signed points: "+0.10"."""
    return f"{100 * share + 0.0:+.2f}".replace("-", "−")


def _factor(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _rounded(pictures: int) -> str:
    """Return a number of pictures with two significant digits, as it is only an estimate."""
    unit = 10 ** max(0, len(str(pictures)) - 2)
    return f"{-(-pictures // unit) * unit:,}"


NONE = UNKNOWN


def million_instructions(row: ResultRow) -> str:
    """Return the counted instructions of a steady inference in millions, or a dash if they were not counted."""
    counted = row.instructions
    return NONE if counted is None else f"{counted.steady_inference / 1e6:.3f}"


def peak_megabytes(row: ResultRow) -> str:
    """Return the peak memory in 1,000,000 bytes; a dash if unknown, or if a host stands for a microcontroller."""
    peak_bytes = row.memory.peak_rss_bytes
    return NONE if row.microcontroller is not None or not peak_bytes else f"{peak_bytes / 1e6:,.0f}"
