"""The report of a run beside its results, and its table on the console."""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.report.section import Section
from bench.results.store import Results
from common.files import write_bytes

LEAST_RUNS = 2  # for a trend


def write_report(results: Results, path: Path, sections: Sequence[Section] = (), trend: bool | None = None) -> None:
    """Write report.md and report.html beside the results, and print the table of this run's rows (without a run, of all).

    `sections` follow the table of all rows. `trend` None: if there are enough runs.
    """
    from bench.report.console import console_lines
    from bench.report.html import page
    from bench.report.markdown import markdown
    from bench.results.history import History, load_history, path_beside

    report_path = path.with_name(path.stem.replace("bench", "report", 1) + ".md")
    past = load_history(path_beside(path)) if trend or (trend is None and path_beside(path).exists()) else History((), 0)
    if trend is None and past.runs < LEAST_RUNS:
        past = History((), 0)
    write_bytes(report_path, markdown(results, sections).encode())
    write_bytes(report_path.with_suffix(".html"), page(results, past, sections).encode())
    for line in console_lines(results, sections):
        click.echo(line)
    click.echo(f"wrote {path}, {path.with_suffix('.npz')}, {report_path} and {report_path.with_suffix('.html')}")
