"""A row of bench.json as a value: writing gives what was read, and a message names a wrong field."""

import json
from typing import Any

import pytest

from bench.machine.environment import Environment
from bench.results.row import Estimate, ResultRow, Skipped
from common.json_record import Damaged
from common.paths import PROGRAM

BASELINE = PROGRAM / "data" / "baseline" / "bench.json"


def stored() -> dict[str, Any]:
    """Return the first row of the baseline that is kept in the checkout."""
    document: dict[str, Any] = json.loads(BASELINE.read_text())["measurements"][0]
    return document


def text(document: object) -> str:
    return json.dumps(document, indent=1)


def test_the_kept_baseline_is_written_as_it_was_read() -> None:
    document = json.loads(BASELINE.read_text())
    assert document["measurements"]
    for row in document["measurements"]:
        assert text(ResultRow.from_json(row, "row").to_json()) == text(row)
    for environment in document["environments"].values():
        assert text(Environment.from_json(environment, "host").to_json()) == text(environment)


def test_figures_are_attributes() -> None:
    row = ResultRow.from_json(stored(), "row")
    assert row.subject.key == row.key == "mnist_cnn/int8.tflite/litert/host/cpu/1"
    assert row.latency.p50 == Estimate(0.089841, (0.03437531222379508, 0.19061102128881652))
    assert row.latency.percentile_ms("p99") == row.latency.p99_ms == 0.186516
    assert row.accuracy is not None
    assert (row.accuracy.correct, row.accuracy.top1) == (9932, 0.9932)
    assert [process.steady for process in row.conditions] == [True] * 3
    assert (row.instructions, row.golden, row.loadgen) == (None, None, None)


@pytest.mark.parametrize("nothing", [None, {"correct": 0, "total": 0, "top1": None, "ci95": [0, 1], "dataset_sha256": None}])
def test_a_row_whose_labels_nobody_knows_has_no_accuracy(nothing: Any) -> None:
    row = ResultRow.from_json(stored() | {"accuracy": nothing}, "row")
    assert row.accuracy is None
    assert row.to_json()["accuracy"] == {
        "correct": 0,
        "total": 0,
        "top1": None,
        "ci95": [0.0, 1.0],
        "agreement_with_reference": None,
        "dataset_sha256": None,
        "threads": 1,
    }


def test_what_this_version_does_not_know_is_kept() -> None:
    document = stored()
    document["later"] = {"figure": 1}
    document["latency"]["p99_9_ms"] = 7
    again = ResultRow.from_json(document, "row").to_json()
    assert (again["later"], again["latency"]["p99_9_ms"]) == ({"figure": 1}, 7)


def test_a_row_of_an_earlier_version_lacks_what_was_not_measured_then() -> None:
    document = stored()
    for part, names in {"latency": ("flags", "flags_unknown", "min_ms", "warmup_calls"), "startup": ("steady_ms",)}.items():
        for name in names:
            del document[part][name]
    for name in ("path", "conditions", "run", "accelerator_name"):
        del document[name]
    row = ResultRow.from_json(document, "row")
    assert (row.path, row.conditions, row.run, row.latency.flags_unknown, row.startup.steady_ms) == (None, (), *[None] * 3)
    assert not {"flags", "flags_unknown", "min_ms", "warmup_calls"} & set(row.to_json()["latency"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"latency": None}, "row.latency is None, expected an object"),
        ({"threads": True}, "row.threads is True, expected int"),
        ({"model": "a/b"}, "row.model is 'a/b', expected a name"),
        ({"variant": "int8\n"}, r"row.variant is 'int8\\n', expected a name"),
        ({"name": 3}, "row.name is 3, expected str or null"),
        ({"samples": {}}, "row.samples.key is missing, expected str"),
        ({"artifact": {"path": "p", "sha256": "0", "size_bytes": 1.5}}, "artifact.size_bytes is 1.5, expected int"),
        ({"memory": {"peak_rss_bytes": float("inf")}}, "peak_rss_bytes is inf, expected int or null"),
        ({"conditions": [{"steady": 1}]}, "row.conditions.0.steady is 1, expected bool"),
        ({"golden": {"pictures": 8, "deviations": [None]}}, "golden.deviations.0 is None, expected str"),
        ({"run": None}, "row.run is None, expected str"),
    ],
)
def test_a_field_that_is_wrong_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Damaged, match=says):
        ResultRow.from_json(stored() | change, "row")


def test_a_latency_of_no_time_is_refused() -> None:
    document = stored()
    document["latency"]["p50_ms"] = 0
    with pytest.raises(Damaged, match=r"latency\.p50_ms is 0, expected more than 0"):
        ResultRow.from_json(document, "row")


@pytest.mark.parametrize(
    ("part", "field", "value", "says"),
    [
        ("accuracy", "correct", 10_001, "correct is 10001, expected 0 to `total`, 10000"),
        ("accuracy", "agreement_with_reference", 1.5, "agreement_with_reference is 1.5, expected 0 to 1"),
        ("artifact", "size_bytes", 0, "size_bytes is 0, expected more than 0"),
        ("artifact", "size_bytes", -5, "size_bytes is -5, expected more than 0"),
        ("memory", "peak_rss_bytes", -1, "peak_rss_bytes is -1, expected 0 or more"),
        ("memory", "peak_rss_bytes", 10**400, "expected a number that 64 bits hold"),
        ("latency", "warmup_calls", -3, "warmup_calls is -3, expected 0 or more"),
        ("latency", "ci95_p50_ms", [1, 0.001], "expected an interval that contains p50_ms"),
        ("startup", "processes_ms", [[1, 2], [3]], "expected as many times of each process"),
        ("startup", "processes_ms", [[-1, 1, 1]], "expected as many times of each process, 0 or more"),
    ],
)
def test_a_figure_that_nothing_measures_is_refused(part: str, field: str, value: Any, says: str) -> None:
    document = stored()
    document[part][field] = value
    with pytest.raises(Damaged, match=says):
        ResultRow.from_json(document, "row")


def test_a_skipped_row_says_what_and_why() -> None:
    document = {"model": "m", "name": None, "variant": "int8", "format": "tflite", "runtime": "litert", "device": "pi4"}
    skipped = Skipped.from_json({**document, "reason": "no such operator"}, "skipped[0]")
    assert (skipped.subject.device, skipped.reason) == ("pi4", "no such operator")
    assert skipped.to_json() == {**document, "reason": "no such operator"}
