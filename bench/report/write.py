"""The report of a run beside its results, and its table on the console."""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.report.place import report_files
from bench.report.section import Section
from bench.results.store import Results
from common.files import write_bytes

MIN_RUNS = 2  # for a trend


def write_report(
    results: Results,
    path: Path,
    sections: Sequence[Section] = (),
    trend: bool | None = None,
    written: Sequence[Path] = (),
) -> None:
    """Write report.md and report.html beside the results, and print the table of this run's rows (without a run, of all).

    `sections` follow the table of all rows. `trend` None: if there are enough runs. `written` are the files that the
    command has written before: the last line names these and the report.
    """
    from bench.report.console import console_lines
    from bench.report.html import page
    from bench.report.markdown import markdown
    from bench.results.history import History, load_history, path_beside

    past = load_history(path_beside(path)) if trend or (trend is None and path_beside(path).exists()) else History((), 0)
    if trend is None and past.runs < MIN_RUNS:
        past = History((), 0)
    as_text, as_page = report_files(path)
    write_bytes(as_text, markdown(results, sections).encode())
    write_bytes(as_page, page(results, past, sections).encode())
    for line in console_lines(results, sections):
        click.echo(line)
    click.echo(f"wrote {', '.join(map(str, (*written, as_text)))} and {as_page}")
