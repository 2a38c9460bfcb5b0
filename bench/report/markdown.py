"""build/report.md: the table of all rows, what was skipped, and the machine, for people and pull requests."""

from collections.abc import Sequence

from bench.analysis.best_variant import advise
from bench.analysis.float_pairs import Pair, pairs
from bench.analysis.thread_count import advice
from bench.analysis.why_not_faster import why_not_faster
from bench.analysis.wording import (
    NONE,
    artifact_name,
    million_instructions,
    milliseconds,
    peak_megabytes,
    points_of,
    short_verdict,
)
from bench.machine.environment import Environment
from bench.report.devices import CAPTION as ABOUT_DEVICES, COLUMNS as DEVICES, devices_table
from bench.report.microcontroller import CAPTION, COLUMNS as NEEDS, microcontroller_table
from bench.report.section import Section
from bench.results.instruction_counts import CANNOT_SEE
from bench.results.row import ANY, HOST, PathSpans, ResultRow
from bench.results.store import Results
from common.tables import markdown_line, markdown_table, markdown_text

COLUMNS = (
    "model",
    "variant",
    "runtime",
    "size kB",
    "top-1 % [95 %]",
    "as Keras %",
    "p50 ms [95 %]",
    "p90 ms",
    "load ms",
    "first ms",
    "peak MB",
    "M instr.",
)


PATH_COLUMNS = (
    "model",
    "variant",
    "runtime",
    "import ms",
    "load ms",
    "first ms",
    "steady ms",
    "decode ms",
    "prepare ms",
    "invoke ms",
    "post-process ms",
    "end to end ms",
)


def table(rows: Sequence[ResultRow]) -> list[list[str]]:
    """Return the cells of each row under COLUMNS; a figure for which the sample is too small is a dash."""
    return [_cells(row) for row in rows]


def _cells(row: ResultRow) -> list[str]:
    subject = row.subject
    agreement = row.accuracy.agreement_with_reference if row.accuracy else None
    return [
        subject.model_name + ("" if subject.device == HOST else f" on {subject.device}"),
        f"{subject.variant}.{subject.format}",
        f"{subject.runtime} {row.runtime_version}"
        + (f" on {row.accelerator_name}" if row.accelerator_name else "")
        + (f", {subject.threads} threads" if subject.threads > 1 else ""),
        f"{row.artifact.size_bytes / 1000:,.0f}",
        _top1(row),
        NONE if agreement is None else f"{100 * agreement:.2f}",
        *([row.why_no_latency, NONE, NONE, NONE] if row.why_no_latency else _times(row)),
        peak_megabytes(row),
        million_instructions(row),
    ]


def _times(row: ResultRow) -> list[str]:
    latency, startup = row.latency, row.startup
    low_ms, high_ms = latency.p50.ci95
    return [
        f"{milliseconds(latency.p50.ms)} [{milliseconds(low_ms)}, {milliseconds(high_ms)}]"
        + ("" if latency.valid else " !"),
        milliseconds(latency.p90_ms),
        milliseconds(startup.load_ms),
        milliseconds(startup.first_inference_ms),
    ]


def _top1(row: ResultRow) -> str:
    accuracy = row.accuracy
    if accuracy is None:
        return NONE
    low, high = accuracy.ci95
    seen = "" if accuracy.total == 10_000 else f" of {accuracy.total:,}"
    return f"{100 * accuracy.top1:.2f} [{100 * low:.2f}, {100 * high:.2f}]{seen}"


def markdown(results: Results, sections: Sequence[Section] = ()) -> str:
    """Return the report."""
    found = pairs(results)
    lines = ["# edgeproof: measurements", "", "## What to ship", "", *_advice_lines(results, found), "", "## All rows", ""]
    lines += [markdown_text(_machine(name, environment)) for name, environment in results.environments.items()]
    lines += ["", *markdown_table(COLUMNS, table(results.rows), ["---"] * 3 + ["---:"] * (len(COLUMNS) - 3))]
    lines += ["", *(f"- {markdown_text(note)}" for note in (*notes(results), *_skipped(results)))]
    lines += [line for section in sections for line in section.markdown()]
    if whole := path_table(results.rows):
        lines += [
            "",
            "## The whole path",
            "",
            "The runtime's start (medians over processes), then a typical picture, from its file to its scores.",
            "",
        ]
        lines += markdown_table(PATH_COLUMNS, whole, ["---"] * 3 + ["---:"] * (len(PATH_COLUMNS) - 3))
    if devices := devices_table(results.rows):
        lines += ["", "## Devices", "", ABOUT_DEVICES, "", *markdown_table(DEVICES, devices, ["---"] * len(DEVICES))]
    if needs := microcontroller_table(results.rows):
        lines += ["", "## On a microcontroller", "", CAPTION, ""]
        lines += markdown_table(NEEDS, needs, ["---"] * 2 + ["---:"] * 3 + ["---"])
    if found:
        lines += ["", "## Quantized against float32", "", markdown_line(PAIR_COLUMNS)]
        lines += [markdown_line(["---"] * 2 + ["---:"] * 3 + ["---"] * 2), *(_pair_line(pair, results) for pair in found)]
    return "\n".join(lines) + "\n"


PAIR_COLUMNS = ("model", "variant", "speed [95 %]", "smaller", "top-1, points [99 %]", "accuracy", "why not faster")


def _advice_lines(results: Results, found: Sequence[Pair]) -> list[str]:
    lines = []
    for one in advise(results, found):
        name, confidence = markdown_text(f"{one.model}: {one.heading}"), one.confidence
        why = markdown_text(f"{one.why}. {one.faster_but}." if one.faster_but else f"{one.why}.")
        lines.append(f"- **{name}**: {why} **{confidence.word}:** {markdown_text(confidence.because)}.")
        if confidence.surer:
            lines.append(f"  - What would make it surer: {markdown_text(confidence.surer)}.")
        lines += [f"  - {markdown_text(line)}." for line in one.quantized]
    return lines or ["No file that can be shipped has been measured."]


def _pair_line(pair: Pair, results: Results) -> str:
    speed, change = pair.speed, NONE
    ends = NONE if speed.low is None or speed.high is None else f"{speed.low:.2f}, {speed.high:.2f}"
    if pair.accuracy is not None:
        judged = pair.accuracy.judged_drop()
        change = f"{points_of(-judged.value)} [{points_of(-judged.high)}, {points_of(-judged.low)}]"
    cells = [
        pair.row.subject.model_name,
        artifact_name(pair.row.subject),
        f"{speed.value:.2f} [{ends}]" + ("" if pair.trusted else " !"),
        f"{pair.times_smaller:.2f}",
        change,
        short_verdict(pair.accuracy),
        why_not_faster(pair, results.environments.get(pair.row.subject.device)) or "",
    ]
    return markdown_line(cells)


def notes(results: Results) -> list[str]:
    """Return what the table's figures mean and which of them cannot be trusted: sentences, not yet Markdown."""
    threads = sorted({row.subject.threads for row in results.rows})
    lines = [
        (
            f"Latency of single pictures after warm-up: set input, invoke, get output; {', '.join(map(str, threads))} "
            "thread(s). p50 with its 95 % interval over processes and queries; p90 is MLPerf's early-stopping "
            f"estimate; {NONE} marks figures for which the sample is too small."
        ),
        "Top-1 on the test part with its 95 % Wilson interval; slow rows answer a stratified part of it.",
    ]
    lines += advice(results.rows)
    lines += _unknown_flags(results.rows)
    lines += [
        f"Answers, memory and instruction counts are real where the time is: {reason}."
        for reason in sorted({row.why_no_latency for row in results.rows if row.why_no_latency})
    ]
    if any(row.instructions for row in results.rows):
        lines.append(f"M instr.: million instructions a steady inference, counted (`edgeproof bench count`). {CANNOT_SEE}")
    doubtful = [row for row in results.rows if not row.latency.valid and row.why_no_latency is None]
    return [*lines, *(f"! {row.key}: {row.latency.why_invalid}" for row in doubtful)]


def _skipped(results: Results) -> list[str]:
    lines = []
    for skip in results.skipped:
        subject = skip.subject
        what = "everything" if subject.model == ANY else f"{subject.model} {subject.variant}.{subject.format}"
        where = "" if subject.device == HOST else f" on {subject.device}"
        lines.append(f"Skipped: {what} in {subject.runtime}{where}: {skip.reason}")
    return lines


def _unknown_flags(rows: Sequence[ResultRow]) -> list[str]:
    """Say which conditions are unknown for all rows."""
    names = sorted({name for row in rows for name in row.latency.flags_unknown or ()})
    return [f"Unknown, since this machine does not report it: {', '.join(names).replace('_', ' ')}."] if names else []


def path_table(rows: Sequence[ResultRow]) -> list[list[str]]:
    """Return the cells of each row whose whole path was timed, under PATH_COLUMNS."""
    return [_path_cells(row, row.path) for row in rows if row.path]


def _path_cells(row: ResultRow, path: PathSpans) -> list[str]:
    startup = row.startup
    start = [startup.import_ms, startup.load_ms, startup.first_inference_ms, startup.steady_ms]
    spans = [path.decode_ms, path.prepare_ms, path.invoke_ms, path.postprocess_ms, path.end_to_end_ms]
    return [*_cells(row)[:3], *(milliseconds(value) for value in (*start, *spans))]


def _machine(name: str, environment: Environment) -> str:
    return (
        f"{name}: {environment.cpu}, {environment.cores} cores "
        f"({', '.join(environment.cpu_flags) or 'no vector flags known'}), "
        f"{environment.memory_bytes / 2**30:.0f} GiB, {environment.os}, Python {environment.python}"
    )
