"""What a run prints: its own rows, each kind of note once."""

import pytest

from bench.report.console import console_lines
from bench.report.section import Section
from bench.results.row import ANY, Skipped, Subject
from bench.results.store import Results
from tests.support.results_builder import ENVIRONMENT, make_row


def merged(results: Results, *rows: tuple[str, str], disturbed: bool = False) -> Results:
    """Merge a run of these rows, each a variant and a runtime."""
    results.merge([make_row(variant, runtime, disturbed=disturbed) for variant, runtime in rows], [], ENVIRONMENT)
    return results


def of_an_earlier_run(*rows: tuple[str, str]) -> Results:
    earlier = merged(Results(), *rows)
    return Results(earlier.environments, earlier.rows, earlier.skipped, earlier.arrays)


def test_a_run_prints_its_own_rows_alone() -> None:
    results = of_an_earlier_run(("float32", "litert"), ("float32", "onnxruntime"))
    lines = "\n".join(console_lines(merged(results, ("int8", "litert"))))
    assert "int8.tflite" in lines
    assert "float32" not in lines


def test_a_row_that_was_measured_again_is_this_runs() -> None:
    results = of_an_earlier_run(("float32", "litert"), ("int8", "litert"))
    lines = "\n".join(console_lines(merged(results, ("int8", "litert"))))
    assert lines.count("int8.tflite") == 1
    assert "float32" not in lines


def test_the_report_of_what_is_there_prints_all_rows() -> None:
    lines = "\n".join(console_lines(of_an_earlier_run(("float32", "litert"), ("int8", "litert"))))
    assert "int8.tflite" in lines
    assert "float32.tflite" in lines


def test_only_the_report_of_what_is_there_tells_what_searches_found_earlier() -> None:
    section = Section("search-m", "Search: m", ["The winner is trial 3"])
    printed = "\n".join(console_lines(of_an_earlier_run(("float32", "litert")), [section]))
    assert printed.endswith("Search: m:\n  The winner is trial 3")
    assert "Search" not in "\n".join(console_lines(merged(Results(), ("int8", "litert")), [section]))


def test_each_kind_of_note_stands_once() -> None:
    rows = [(variant, "litert") for variant in ("float32", "float16", "int8")]
    notes = [line for line in console_lines(merged(Results(), *rows, disturbed=True)) if line.startswith("! ")]
    assert len(notes) == 1
    assert notes[0].startswith("! 3 rows: waited: its processes waited 30.0 % of their time for a core")


def test_what_is_skipped_for_one_reason_is_one_note() -> None:
    results = Results()
    skipped = [
        Skipped(make_row(variant, "litert").subject, "refuses the model") for variant in ("float32", "int8", "float16")
    ]
    results.merge([], skipped, ENVIRONMENT)
    assert console_lines(results) == ["skipped: m float32.tflite and 2 more in litert: refuses the model"]


def test_runtimes_that_are_skipped_for_one_reason_share_a_note() -> None:
    results, why = Results(), "no GPU: libcuda.so.1 is not here"
    subjects = [Subject(ANY, None, ANY, "onnx", runtime, "host", "gpu", 1) for runtime in ("keras_gpu", "onnxruntime_cuda")]
    results.merge([], [Skipped(subject, why) for subject in subjects], ENVIRONMENT)
    assert console_lines(results) == [f"skipped: everything in keras_gpu, onnxruntime_cuda: {why}"]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_table_fits(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = console_lines(merged(Results(), ("dynamic_int8", "tflite_runtime"), ("float32", "onnxruntime")))
    table = [line for line in lines if not line.startswith("! ")]
    assert max(map(len, table)) <= width
    assert any("dynamic_int8.tflite" in line for line in table)
    header = " ".join(lines[0].split())
    assert header.startswith("model variant runtime")
    assert "p50 ms" in header


def test_without_a_terminal_the_table_takes_120_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = console_lines(merged(Results(), ("dynamic_int8", "tflite_runtime")))
    assert max(len(line) for line in lines if not line.startswith("! ")) <= 120
    assert "size kB" in lines[0]
