"""build/report.md: the table of all rows, what was skipped, and the machine, for people and pull requests."""

from collections.abc import Sequence
from typing import Any

from bench.advice import advise
from bench.emulated import NOT_A_LATENCY, is_emulated
from bench.evidence import accuracy_of, model_name
from bench.instructions import CANNOT_SEE
from bench.measurement import ANY
from bench.pairs import Pair, pairs
from bench.reasons import why_not_faster
from bench.results import Results, Row
from bench.thread_advice import advice
from bench.words import artifact_name, points_of, short_verdict

NONE = "–"
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


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Return the cells of each row under COLUMNS; a figure that the sample cannot carry is a dash."""
    return [_cells(row) for row in rows]


def _cells(row: Row) -> list[str]:
    accuracy = accuracy_of(row) or {"agreement_with_reference": None}
    agreement = accuracy.get("agreement_with_reference")
    return [
        row["model"]
        + (f"@{row['name']}" if row["name"] else "")
        + ("" if row["device"] == "host" else f" on {row['device']}"),
        f"{row['variant']}.{row['format']}",
        f"{row['runtime']} {row['runtime_version']}"
        + (f" on {row['accelerator_name']}" if row.get("accelerator_name") else "")
        + (f", {row['threads']} threads" if row["threads"] > 1 else ""),
        f"{row['artifact']['size_bytes'] / 1000:,.0f}",
        _top1(row),
        NONE if agreement is None else f"{100 * agreement:.2f}",
        *([NOT_A_LATENCY, NONE, NONE, NONE] if is_emulated(row["device"]) else _times(row)),
        f"{row['memory']['peak_rss_bytes'] / 1e6:.0f}",
        million_instructions(row),
    ]


def _times(row: Row) -> list[str]:
    latency, startup = row["latency"], row["startup"]
    low_ms, high_ms = latency["ci95_p50_ms"]
    return [
        f"{milliseconds(latency['p50_ms'])} [{milliseconds(low_ms)}, {milliseconds(high_ms)}]"
        + ("" if latency["valid"] else " !"),
        milliseconds(latency["p90_ms"]),
        f"{startup['load_ms']:.1f}",
        milliseconds(startup["first_inference_ms"]),
    ]


def million_instructions(row: Row) -> str:
    """Return the counted instructions of a steady inference in millions, or a dash where they were not counted."""
    counted = row.get("instructions")
    return NONE if counted is None else f"{counted['steady_inference'] / 1e6:.3f}"


def _where(row: Row) -> str:
    return f" on {row['accelerator_name']}" if row.get("accelerator_name") else ""


def _top1(row: Row) -> str:
    accuracy = accuracy_of(row)
    if accuracy is None:
        return NONE
    low, high = accuracy["ci95"]
    seen = "" if accuracy["total"] == 10_000 else f" of {accuracy['total']:,}"
    return f"{100 * accuracy['top1']:.2f} [{100 * low:.2f}, {100 * high:.2f}]{seen}"


def milliseconds(value: float | None) -> str:
    """Format milliseconds with three significant digits, or a dash for a figure that there is not."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 1000 else f"{value:#.3g}".rstrip(".")


def markdown(results: Results) -> str:
    """Return the report."""
    lines = ["# edgeproof: measurements", ""]
    lines += [_machine(name, environment) for name, environment in results.environments.items()]
    lines += ["", _markdown_line(COLUMNS), _markdown_line(["---"] * 3 + ["---:"] * (len(COLUMNS) - 3))]
    lines += [_markdown_line(cells) for cells in table(results.rows)]
    lines += ["", *notes(results)]
    if whole := path_table(results.rows):
        lines += [
            "",
            "## The whole path",
            "",
            "The runtime's start (medians over processes), then a typical picture, from its file to its scores.",
            "",
        ]
        lines += [_markdown_line(PATH_COLUMNS), _markdown_line(["---"] * 3 + ["---:"] * (len(PATH_COLUMNS) - 3))]
        lines += [_markdown_line(cells) for cells in whole]
    found = pairs(results)
    lines += ["", "## What to ship", "", *_advice_lines(results, found)]
    if found:
        lines += ["", "## Quantized against float32", "", _markdown_line(PAIR_COLUMNS)]
        lines += [_markdown_line(["---"] * 2 + ["---:"] * 3 + ["---"] * 2), *(_pair_line(pair, results) for pair in found)]
    return "\n".join(lines) + "\n"


PAIR_COLUMNS = ("model", "variant", "speed [95 %]", "smaller", "top-1, points [95 %]", "accuracy", "why not faster")


def _advice_lines(results: Results, found: Sequence[Pair]) -> list[str]:
    lines = []
    for one in advise(results, found):
        text = f"- **{one.model}: {artifact_name(one.row)}**: {one.why}."
        text += f" {one.faster_but}." if one.faster_but else ""
        lines.append(text + (f" *Provisional: {one.provisional}.*" if one.provisional else ""))
    return lines or ["No file that could be shipped has been measured."]


def _pair_line(pair: Pair, results: Results) -> str:
    speed, change = pair.speed, NONE
    ends = NONE if speed.low is None or speed.high is None else f"{speed.low:.2f}, {speed.high:.2f}"
    if pair.accuracy is not None:
        low, high = pair.accuracy.interval()
        change = f"{points_of(-pair.accuracy.drop)} [{points_of(-high)}, {points_of(-low)}]"
    cells = [
        model_name(pair.row),
        artifact_name(pair.row),
        f"{speed.value:.2f} [{ends}]" + ("" if pair.trusted else " !"),
        f"{pair.times_smaller:.2f}",
        change,
        short_verdict(pair.accuracy),
        why_not_faster(pair, results.environments.get(pair.row["device"]) or {}) or "",
    ]
    return _markdown_line(cells)


def notes(results: Results) -> list[str]:
    """Say what the table's figures mean and which of them cannot be trusted, a Markdown list."""
    threads = sorted({row["threads"] for row in results.rows})
    lines = [
        (
            f"- Latency of single pictures after warm-up: set input, invoke, get output; {', '.join(map(str, threads))} "
            "thread(s). p50 with its 95 % interval over processes and queries; p90 is MLPerf's early-stopping "
            f"estimate; {NONE} stands where the sample is too small."
        ),
        "- Top-1 on the test part with its 95 % Wilson interval; rows that would take too long run a stratified part.",
    ]
    lines += [f"- {sentence}" for sentence in advice(results.rows)]
    lines += _unknown_flags(results.rows)
    if any(is_emulated(row["device"]) for row in results.rows):
        lines.append(
            f"- Emulated devices: answers, memory and instruction counts are real; their times are {NOT_A_LATENCY}."
        )
    if any("instructions" in row for row in results.rows):
        lines.append(f"- M instr.: million instructions a steady inference, counted (`python -m bench count`). {CANNOT_SEE}")
    doubtful = [row for row in results.rows if not row["latency"]["valid"] and not is_emulated(row["device"])]
    lines += [f"- ! {row['samples']['key']}: {row['latency']['why_invalid']}" for row in doubtful]
    for row in results.skipped:
        what = "everything" if row["model"] == ANY else f"{row['model']} {row['variant']}.{row['format']}"
        where = "" if row["device"] == "host" else f" on {row['device']}"
        lines.append(f"- Skipped: {what} in {row['runtime']}{where}: {row['reason']}")
    return lines


def _unknown_flags(rows: Sequence[Row]) -> list[str]:
    """Say what no row could be looked at for: absent is unknown, not fine."""
    names = sorted({name for row in rows for name in row["latency"].get("flags_unknown", ())})
    return [f"- Unknown, since this machine does not tell it: {', '.join(names).replace('_', ' ')}."] if names else []


def path_table(rows: Sequence[Row]) -> list[list[str]]:
    """Return the cells of each row whose whole path was timed, under PATH_COLUMNS."""
    return [_path_cells(row) for row in rows if row.get("path")]


def _path_cells(row: Row) -> list[str]:
    startup = row["startup"]
    start = [startup["import_ms"], startup["load_ms"], startup["first_inference_ms"], startup.get("steady_ms")]
    spans = [row["path"][f"{name}_ms"] for name in ("decode", "prepare", "invoke", "postprocess", "end_to_end")]
    return [*_cells(row)[:3], *(milliseconds(value) for value in (*start, *spans))]


def _machine(name: str, environment: dict[str, Any]) -> str:
    return (
        f"{name}: {environment['cpu']}, {environment['cores']} cores "
        f"({', '.join(environment['cpu_flags']) or 'no vector flags known'}), "
        f"{environment['memory_bytes'] / 2**30:.0f} GiB, {environment['os']}, Python {environment['python']}"
    )


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ") for cell in cells) + " |"
