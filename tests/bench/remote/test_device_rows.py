"""A row that a device measured, with its health and its golden pictures."""

from bench.remote.device_rows import DeviceMeasurement
from bench.results.row import Golden, ResultRow
from tests.support.results_builder import measurement


def brought(why_unhealthy: str | None = None, golden: Golden | None = None, **changes: str) -> ResultRow:
    """Return the row of a board with this temperature."""
    made = measurement(**changes)
    return DeviceMeasurement(
        subject=made.subject,
        artifact=made.artifact,
        runtime_version=made.runtime_version,
        answers=made.answers,
        startup=made.startup,
        warmup_calls=made.warmup_calls,
        peak_rss_bytes=made.peak_rss_bytes,
        samples=made.samples,
        health={"power_w": 5.1},
        why_unhealthy=why_unhealthy,
        golden=golden,
    ).row


def test_a_healthy_board_brings_what_any_row_has_and_its_health() -> None:
    row, plain = brought(), measurement().row
    assert (row.latency, row.accuracy, row.samples) == (plain.latency, plain.accuracy, plain.samples)
    assert row.latency.valid
    assert (row.health, row.golden) == ({"power_w": 5.1}, None)
    assert "golden" not in row.to_json()


def test_what_slowed_the_board_makes_its_latency_invalid() -> None:
    latency = brought("throttled while measuring").latency
    assert (latency.valid, latency.why_invalid) == (False, "throttled while measuring")


def test_it_stands_before_what_else_is_wrong_with_the_latency() -> None:
    latency = brought("under-voltage", device="emulated-pi4").latency
    assert latency.why_invalid == "under-voltage; emulated, not a latency"


def test_its_golden_pictures_are_stored() -> None:
    golden = Golden(3, ("self-test: top1",), 0.25, None)
    assert brought(golden=golden).to_json()["golden"] == {
        "pictures": 3,
        "deviations": ["self-test: top1"],
        "worst_score": 0.25,
        "here": None,
    }
