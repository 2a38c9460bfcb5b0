"""Figures in plain words: what a sample shows, and what it does not."""

from collections.abc import Mapping
from typing import Any

from bench.evidence import model_name
from bench.pairs import Pair
from bench.ratio import Ratio
from convert.paired import Paired

SAME_SIZE = 0.01
RUNTIME_NAMES = {"litert": "LiteRT", "tflite_runtime": "tflite-runtime", "onnxruntime": "onnxruntime", "keras": "Keras"}


def runtime_name(row: Mapping[str, Any]) -> str:
    """Return a runtime's name as its makers write it, and its accelerator where that is not the CPU."""
    name = RUNTIME_NAMES.get(row["runtime"], str(row["runtime"]))
    return name if row["accelerator"] == "cpu" else f"{name} on {row['accelerator']}"


def artifact_name(row: Mapping[str, Any]) -> str:
    """Return "int8.tflite in LiteRT"; with the threads where it is not one."""
    threads = "" if row["threads"] == 1 else f", {row['threads']} threads"
    return f"{row['variant']}.{row['format']} in {runtime_name(row)}{threads}"


def short_name(row: Mapping[str, Any]) -> str:
    """Return "int8 · LiteRT", for a chart's axis: each runtime here opens one format."""
    format_name = "" if row["runtime"] in RUNTIME_NAMES else f".{row['format']}"
    threads = "" if row["threads"] == 1 else f", {row['threads']} threads"
    return f"{row['variant']}{format_name} · {runtime_name(row)}{threads}"


def row_name(row: Mapping[str, Any]) -> str:
    """Return "mnist_cnn int8.tflite in LiteRT"."""
    return f"{model_name(row)} {artifact_name(row)}"


def times(ratio: Ratio) -> str:
    """Return a ratio of speeds in words: "1.9 times faster (1.7 to 2.1)"."""
    if ratio.low is None or ratio.high is None:
        return f"{_factor(ratio.value)} times the speed, by too few processes for an interval"
    if not ratio.distinguishable:
        return f"speed not distinguishable ({_factor(ratio.value)} times, {_factor(ratio.low)} to {_factor(ratio.high)})"
    if ratio.value >= 1:
        return f"{_factor(ratio.value)} times faster ({_factor(ratio.low)} to {_factor(ratio.high)})"
    other = ratio.inverse
    return f"{_factor(other.value)} times slower ({_factor(other.low or 0)} to {_factor(other.high or 0)})"


def accuracy_verdict(found: Paired | None) -> str:
    """Return a paired comparison in words, with what would be needed where the sample can't carry it."""
    if found is None:
        return "accuracy not compared: the labels of the test pictures are not kept in this file"
    low, high = found.interval()
    ends = f"{points_of(-high)} to {points_of(-low)}; p = {found.mcnemar_p:.2g}"
    if found.distinguishable:
        return f"{100 * abs(found.drop):.2f} points {'less' if found.drop > 0 else 'more'} accurate ({ends})"
    if found.drop == 0:
        return f"accuracy not distinguishable ({needed_words(found)}; {ends})"
    return f"accuracy not distinguishable ({points_of(-found.drop)} points, {ends}; {needed_words(found)})"


def needed_words(found: Paired) -> str:
    """Return how many pictures would show the difference of a sample that does not."""
    needed = found.pictures_to_distinguish()
    if needed is None:
        return f"as many right of {found.total:,.0f}"
    return f"about {_rounded(needed)} pictures would be needed"


def short_verdict(found: Paired | None) -> str:
    """Return the verdict alone, for a table."""
    if found is None:
        return "not compared"
    if not found.distinguishable:
        return "not distinguishable"
    return "less accurate" if found.drop > 0 else "more accurate"


def pair_words(pair: Pair) -> str:
    """Return what a variant brings over float32: time, size, accuracy."""
    size = pair.times_smaller
    smaller = f"{_factor(size)} times smaller" if size >= 1 else f"{_factor(1 / size)} times larger"
    if abs(size - 1) < SAME_SIZE:
        smaller = "as large"
    return f"{times(pair.speed)}, {smaller}, {accuracy_verdict(pair.accuracy)}"


def points_of(share: float) -> str:
    """Return a difference of shares as signed points: "+0.10"."""
    return f"{100 * share + 0.0:+.2f}".replace("-", "−")


def _factor(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _rounded(pictures: int) -> str:
    """Return a number of pictures with two digits: more would claim what nobody knows."""
    unit = 10 ** max(0, len(str(pictures)) - 2)
    return f"{-(-pictures // unit) * unit:,}"
