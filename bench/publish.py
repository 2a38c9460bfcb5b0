"""What a run leaves for people: the report beside its results, and its table on the console."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from bench.results import Results
from device.classify import printable
from train.files import write_bytes

LEAST_RUNS = 2  # that make a trend


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, as wide as the console or, into a file, 200 characters."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns)
    for cells in rows:
        shown.add_row(*(Text(printable(cell)) for cell in cells))  # no markup: "[0.1]" is an interval
    console = Console() if Console().is_terminal else Console(width=200)
    console.print(shown)


def write_report(results: Results, path: Path, trend: bool | None = None) -> None:
    """Write report.md and report.html beside the results and print the table. `trend` None: where runs make one."""
    from bench.history import History, load_history, path_beside
    from bench.page import page
    from bench.report import COLUMNS, markdown, notes, table

    report_path = path.with_name(path.stem.replace("bench", "report", 1) + ".md")
    past = load_history(path_beside(path)) if trend or (trend is None and path_beside(path).exists()) else History((), 0)
    if trend is None and past.runs < LEAST_RUNS:
        past = History((), 0)
    write_bytes(report_path, markdown(results).encode())
    write_bytes(report_path.with_suffix(".html"), page(results, past).encode())
    print_table(COLUMNS, table(results.rows))
    for note in notes(results):
        click.echo(printable(note))
    click.echo(f"wrote {path}, {path.with_suffix('.npz')}, {report_path} and {report_path.with_suffix('.html')}")
