"""build/MODEL@search/search.json: reading and writing. A killed search leaves the last whole file."""

from pathlib import Path

from bench.search.result import SearchResult
from common.files import read_document, write_json
from common.json_record import Damaged
from common.paths import BUILD
from device.errors import EdgeproofError

SCHEMA = 1
FILE, TABLE, PICTURE = "search.json", "search.md", "pareto.png"
ADVICE = "remove it and search again"


def search_folder(model: str) -> Path:
    """Return where a model's search is kept."""
    return BUILD / f"{model}@search"


def write_search(folder: Path, result: SearchResult) -> Path:
    """Write a search's file into its folder, the whole or nothing, and return its path.

    Raises EdgeproofError where the folder cannot be written to, or where `read_search` would refuse the file.
    """
    path = folder / FILE
    document = {"schema": SCHEMA, **result.to_json()}
    _read(path, document)
    write_json(path, document)
    return path


def read_search(folder: Path) -> SearchResult:
    """Read a search's file. Raises EdgeproofError for one that is missing, damaged or of another schema."""
    path = folder / FILE
    if not path.is_file():
        raise EdgeproofError(f"{path}: no such file: search first with `edgeproof bench search MODEL`")
    return _read(path, read_document(path, SCHEMA, "search again"))


def find_searches(build: Path) -> list[Path]:
    """Return the folders of `build` that hold a search, MODEL@search or MODEL@search-NAME, by name."""
    return sorted(path.parent for path in build.glob(f"*@search*/{FILE}"))


def _read(path: Path, document: dict[str, object]) -> SearchResult:
    fields = {key: value for key, value in document.items() if key != "schema"}
    try:
        return SearchResult.from_json(fields, "search")
    except Damaged as damage:
        raise EdgeproofError(f"{path}: damaged: {damage}: restore the file, or {ADVICE}") from damage
