"""The report as Markdown."""

from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import pytest

from bench.machine.conditions import Conditions
from bench.machine.environment import Environment
from bench.report.markdown import COLUMNS, markdown, table
from bench.report.section import Section
from bench.results.measurement import AnswerCounts, Measurement
from bench.results.row import ArtifactFile, ResultRow, Skipped, Startup, Subject
from bench.results.samples import Samples
from bench.results.store import Results
from tests.support.markdown import HOSTILE_TEXTS, as_shown, shown
from tests.support.results_builder import ENVIRONMENT, make_results, make_row


class TestReport:
    def test_has_the_threads_to_use_the_whole_path_and_what_is_unknown(self) -> None:
        results = Results()
        rows = [whole_row(threads, ns) for threads, ns in ((1, 2_000_000), (2, 1_000_000))]
        results.merge(rows, [], Environment(cpu="c", cores=2, cpu_flags=(), memory_bytes=1, os="o", python="3"))
        text = markdown(results)
        assert "Use 2 where a core is free: 2.00 times as fast" in text
        assert "Unknown, since this machine does not report it: frequency changed, throttled, waited." in text
        assert "| m on board | int8.tflite | litert 1.0, 2 threads | 1.00 | 2.00 | 3.00 | 4.00 | 0.100 |" in text


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_whatever_stands_in_results_the_report_shows_it_as_it_is(text: str) -> None:
    """Names of models and variants, versions, CPUs, systems, reasons and searches: none acts in Markdown."""
    rows = [make_row(variant, model=text, version=text, wrong=wrong) for variant, wrong in (("float32", ()), (text, [1]))]
    environment = replace(ENVIRONMENT, cpu=text, os=text, python=text, cpu_flags=(text,))
    results = make_results(rows, environment=environment)
    device = replace(rows[0], subject=replace(rows[0].subject, device=text), accelerator_name=text)
    refused = Skipped(replace(rows[0].subject, variant="x"), f"reason {text}")
    results.merge([device], [refused], environment, device=text)
    results.put(replace(results.rows[0], latency=replace(results.rows[0].latency, valid=False, why_invalid=f"doubt {text}")))
    section = Section("a", f"title {text}", [f"sentence {text}"], None, None, "", ("c",), [[f"cell {text}"]])
    seen = shown(markdown(results, [section]))
    assert seen.acts == []
    for before in ("title ", "sentence ", "cell ", "Python ", "reason ", "doubt ", "Skipped: "):
        assert f"{before}{as_shown(text)}" in seen.text
    assert f"{as_shown(text)}: Ship float32.tflite in LiteRT" in seen.text


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_a_section_leads_to_its_files_whatever_their_names_are(text: str) -> None:
    section = Section("a", "A", ["one"], None, f"{text}.png", "caption", files=[f"{text}.json"])
    seen = shown("\n".join(section.markdown()))
    assert [unquote(target) for target in seen.acts] == [f"{text}.png", f"{text}.json"]


@pytest.mark.parametrize("unknown", [None, 0])
def test_a_peak_memory_that_nobody_knows_is_a_dash(unknown: int | None) -> None:
    """It is kept as null: 0 MB would be the best of all."""
    row = replace(whole_row(1, 2_000_000), peak_rss_bytes=unknown).row
    assert dict(zip(COLUMNS, table([row])[0], strict=True))["peak MB"] == "–"
    assert ResultRow.from_json(row.to_json()).memory.peak_rss_bytes is None
    assert row.to_json()["memory"] == {"peak_rss_bytes": None}


def whole_row(threads: int, ns: int) -> Measurement:
    spans = np.array([[100_000, 200_000, ns, 50_000, ns + 350_000]] * 3, np.int64)
    return Measurement(
        subject=Subject("m", None, "int8", "tflite", "litert", "board", "cpu", threads),
        artifact=ArtifactFile("m.tflite", "0" * 64, 1234),
        runtime_version="1.0",
        answers=AnswerCounts(0, 0),
        startup=Startup(1.0, 2.0, 3.0, 4.0),
        warmup_calls=32,
        peak_rss_bytes=1,
        samples=Samples((np.full(100, ns, np.int64),), np.empty(0, np.uint16), spans),
        conditions=(Conditions(elsewhere=0.0),),
    )
