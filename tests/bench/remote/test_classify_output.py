"""Reading what classify.py printed on a device."""

import json
from typing import Any

import pytest

from bench.remote.classify_output import read_answers, read_bench
from bench.results.outcome import RowCrashed

LABELS = ("crane", "cat", "crane")  # as in ImageNet: a bird, and a machine


def line(best: dict[str, Any]) -> str:
    return json.dumps({"file": "p.png", "top": [best], "latency_ms": {"total": 2.0}})


def bench_output(**changes: object) -> str:
    document = {"runtime": "litert", "runtime_version": "1", "warmup_calls": 1, "startup_ns": [1, 2, 3, 4]}
    return json.dumps({**document, "latency_ns": [5], "peak_rss_bytes": 7, **changes})


@pytest.mark.parametrize(
    "output",
    ["", "[]", "{}", '{"runtime": "litert", "latency_ns": [-1], "startup_ns": [1, 2, 3]}', '{"latency_ns": "x"}', "\x00"],
)
def test_figures_that_cannot_be_are_refused(output: str) -> None:
    with pytest.raises(RowCrashed, match="where measurements were expected"):
        read_bench(output, "litert")


@pytest.mark.parametrize(("printed", "found"), [(None, 0), (5_000_000, 5_000_000)])
def test_a_memory_that_the_system_there_does_not_say_is_unknown(printed: int | None, found: int) -> None:
    """gVisor does not: its latencies are as good as any."""
    assert read_bench(bench_output(peak_rss_bytes=printed), "litert")["peak_rss_bytes"] == found


@pytest.mark.parametrize("odd", [-1, 1.5, "many", [], False])
def test_a_memory_that_cannot_be_is_refused(odd: object) -> None:
    with pytest.raises(RowCrashed, match="where measurements were expected"):
        read_bench(bench_output(peak_rss_bytes=odd), "litert")


@pytest.mark.parametrize(
    "output",
    [
        "{",
        "[]",
        '{"top": []}',
        '{"top": ["cat"], "latency_ms": {"total": 1}}',
        line({"label": "dog", "score": 1.0}),
        line({"label": "cat", "index": 0}),
        line({"label": "cat", "index": 3}),
        line({"label": "crane", "index": -1}),
        line({"label": "cat", "index": True}),
        line({"label": "cat", "index": 1.0}),
        line({"label": None}),
    ],
    ids=[
        "half",
        "list",
        "no answer",
        "no object",
        "unknown label",
        "another's index",
        "too large",
        "negative",
        "truth",
        "fraction",
        "no label",
    ],
)
def test_answers_that_are_none_are_refused(output: str) -> None:
    with pytest.raises(RowCrashed, match="where a picture's classes were expected"):
        read_answers(output, LABELS, 1)


@pytest.mark.parametrize("index", [0, 2])
def test_of_classes_with_the_same_label_the_answered_one_counts(index: int) -> None:
    """The label alone would make both the last of them."""
    answers, spent_ms = read_answers(line({"label": "crane", "index": index, "score": 0.9}), LABELS, 1)
    assert (answers.tolist(), spent_ms) == ([index], 2.0)


def test_an_older_programs_answer_is_read_by_its_label_where_only_one_class_has_it() -> None:
    assert read_answers(line({"label": "cat", "score": 0.9}), LABELS, 1)[0].tolist() == [1]


def test_an_older_programs_answer_that_may_be_two_classes_is_refused_and_says_why() -> None:
    with pytest.raises(RowCrashed, match=r"'crane' is that of 2 classes: copy a newer classify\.py there"):
        read_answers(line({"label": "crane", "score": 0.9}), LABELS, 1)
