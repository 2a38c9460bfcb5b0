"""What the report and `recommend` show of the searches beside a file of results."""

import os
from collections.abc import Sequence
from pathlib import Path

from bench.report.section import Section
from bench.search.result import SearchResult
from bench.search.shown.pareto import pareto
from bench.search.shown.sentences import sentences
from bench.search.shown.table import columns, number_columns, rows
from bench.search.store import FILE, PICTURE, TABLE, find_searches, read_search
from device.errors import EdgeproofError

CAPTION = (
    "Up and to the left is better. Each point is a trial that was measured; full ones lie on the front, the line: no other "
    "trial is at least as accurate and as small, and better in one of both. Dotted lines are the budget, thin ones 95 % "
    "intervals. Accuracies are of validation pictures."
)


def search_sections(results: Path) -> tuple[Section, ...]:
    """Return a section for each search in the folder that holds a file of results, by the model's name."""
    return tuple(_section(folder, results.parent) for folder in find_searches(results.parent))


def search_lines(results: Path, model: str | None) -> list[str]:
    """Return the sentences of the searches beside a file of results, of one model or of all."""
    folders = [one for one in find_searches(results.parent) if model is None or one.name.startswith(f"{model}@")]
    return [line for folder in folders for line in _section(folder, results.parent).console()]


def _section(folder: Path, beside: Path) -> Section:
    """Return a search's section; one that cannot be read is a section that says so."""
    name = folder.name.removesuffix("@search")
    title, anchor = f"Search: {name}", f"search-{name}"
    try:
        search = read_search(folder)
    except EdgeproofError as error:
        return Section(anchor, title, [str(error)])
    files = _beside(folder, beside, (TABLE, FILE))
    pictures = _beside(folder, beside, (PICTURE,))
    return section_of(search, title, anchor, files, pictures[0] if pictures else None)


def section_of(search: SearchResult, title: str, anchor: str, files: Sequence[str], picture: str | None) -> Section:
    """Return a search's section."""
    return Section(
        anchor=anchor,
        title=title,
        sentences=sentences(search),
        chart=pareto(search),
        picture=picture,
        caption=CAPTION,
        columns=columns(search),
        rows=rows(search),
        numbers=number_columns(search),
        files=files,
    )


def _beside(folder: Path, report: Path, names: Sequence[str]) -> list[str]:
    """Return the paths from the report's folder to those of a search's files that there are."""
    return [Path(os.path.relpath(folder / name, report)).as_posix() for name in names if (folder / name).is_file()]
