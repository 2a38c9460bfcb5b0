"""build/report.md: the table of all rows, what was skipped, and the machine, for people and pull requests."""

from collections.abc import Sequence
from typing import Any

from bench.results import Results, Row

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
)


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Return the cells of each row under COLUMNS; a figure that the sample cannot carry is a dash."""
    return [_cells(row) for row in rows]


def _cells(row: Row) -> list[str]:
    accuracy, latency, startup = row["accuracy"], row["latency"], row["startup"]
    low, high = accuracy["ci95"]
    low_ms, high_ms = latency["ci95_p50_ms"]
    agreement = accuracy["agreement_with_reference"]
    seen = "" if accuracy["total"] == 10_000 else f" of {accuracy['total']:,}"
    return [
        row["model"]
        + (f"@{row['name']}" if row["name"] else "")
        + ("" if row["device"] == "host" else f" on {row['device']}"),
        f"{row['variant']}.{row['format']}",
        f"{row['runtime']} {row['runtime_version']}",
        f"{row['artifact']['size_bytes'] / 1000:,.0f}",
        f"{100 * accuracy['top1']:.2f} [{100 * low:.2f}, {100 * high:.2f}]{seen}",
        NONE if agreement is None else f"{100 * agreement:.2f}",
        f"{milliseconds(latency['p50_ms'])} [{milliseconds(low_ms)}, {milliseconds(high_ms)}]"
        + ("" if latency["valid"] else " !"),
        milliseconds(latency["p90_ms"]),
        f"{startup['load_ms']:.1f}",
        milliseconds(startup["first_inference_ms"]),
        f"{row['memory']['peak_rss_bytes'] / 1e6:.0f}",
    ]


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
    return "\n".join(lines) + "\n"


def notes(results: Results) -> list[str]:
    """Say what the table's figures mean and which of them cannot be trusted, a Markdown list."""
    threads = sorted({row["threads"] for row in results.rows})
    lines = [
        (
            f"- Latency of single pictures after warm-up: set input, invoke, get output; {', '.join(map(str, threads))} "
            "thread(s). p50 with its 95 % bootstrap interval over processes and queries; p90 is MLPerf's early-stopping "
            f"estimate; {NONE} stands where the sample is too small."
        ),
        "- Top-1 on the test part with its 95 % Wilson interval; rows that would take over a minute run a stratified part.",
    ]
    doubtful = [row for row in results.rows if not row["latency"]["valid"]]
    lines += [f"- ! {row['samples']['key']}: {row['latency']['why_invalid']}" for row in doubtful]
    for row in results.skipped:
        where = "" if row["device"] == "host" else f" on {row['device']}"
        lines.append(
            f"- Skipped: {row['model']} {row['variant']}.{row['format']} in {row['runtime']}{where}: {row['reason']}"
        )
    return lines


def _machine(name: str, environment: dict[str, Any]) -> str:
    return (
        f"{name}: {environment['cpu']}, {environment['cores']} cores "
        f"({', '.join(environment['cpu_flags']) or 'no vector flags known'}), "
        f"{environment['memory_bytes'] / 2**30:.0f} GiB, {environment['os']}, Python {environment['python']}"
    )


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
