"""The files of a search in its folder: search.json, search.md and the plot."""

from pathlib import Path

from bench.report.picture import write_pictures
from bench.search.result import SearchResult
from bench.search.shown.pareto import pareto
from bench.search.shown.section import section_of
from bench.search.shown.sentences import search_title
from bench.search.store import PICTURE, TABLE, write_search
from common.files import write_bytes


def write_files(folder: Path, search: SearchResult) -> list[Path]:
    """Write all files of a search and return their paths. Each replaces the old one as a whole.

    Raises EdgeproofError where the folder cannot be written to.
    """
    written = [write_search(folder, search)]
    chart = pareto(search)
    if chart is not None:
        written += write_pictures(chart, search_title(search), folder / PICTURE)
    picture = None if chart is None else PICTURE
    section = section_of(search, f"Search: {search.model}", "", files=(), picture=picture)
    write_bytes(folder / TABLE, ("\n".join(section.markdown()).strip() + "\n").replace("## ", "# ", 1).encode())
    return [*written, folder / TABLE]
