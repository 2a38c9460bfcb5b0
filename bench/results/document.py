"""bench.json, schema 1: the JSON document and its records.

No other module handles the JSON of a row, but for common/micro_figures.py, which reads one part of it for `convert`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.machine.environment import Environment
from bench.results.row import ResultRow, Skipped
from common.files import read_document
from common.json_record import Damaged
from common.micro_figures import RESULTS_SCHEMA as SCHEMA
from device.errors import EdgeproofError


def read(path: Path) -> tuple[dict[str, Environment], list[ResultRow], list[Skipped]]:
    """Read the environments by device, the rows, and what was skipped. Raises EdgeproofError for an invalid file."""
    return from_json(path, read_document(path, SCHEMA, "measure again"))


def from_json(path: Path, document: Mapping[str, Any]) -> tuple[dict[str, Environment], list[ResultRow], list[Skipped]]:
    """Return the content of a document. Raises EdgeproofError that names the file, the row and the wrong field."""
    try:
        for part, kind in (("environments", dict), ("measurements", list), ("skipped", list)):
            if not isinstance(document.get(part), kind):
                raise Damaged(repr(part), document.get(part), f"a {kind.__name__}")
        environments = {
            device: Environment.from_json(environment, f"environments.{device}")
            for device, environment in document["environments"].items()
        }
        rows = [ResultRow.from_json(row, f"measurements[{place}]") for place, row in enumerate(document["measurements"])]
        _refuse_second_rows(rows)
        skipped = [Skipped.from_json(row, f"skipped[{place}]") for place, row in enumerate(document["skipped"])]
    except Damaged as damage:
        raise EdgeproofError(f"{path}: damaged: {damage}: restore the file, or remove it and measure again") from damage
    return environments, rows, skipped


def _refuse_second_rows(rows: Sequence[ResultRow]) -> None:
    """Raise Damaged where a key stands twice: such a row would be counted twice."""
    first: dict[str, int] = {}
    for place, row in enumerate(rows):
        if first.setdefault(row.subject.key, place) != place:
            expected = f"another key: measurements[{first[row.subject.key]}] has it"
            raise Damaged(f"measurements[{place}] ({row.subject.key})", "a second row", expected)


def to_json(
    environments: Mapping[str, Environment], rows: Sequence[ResultRow], skipped: Sequence[Skipped]
) -> dict[str, Any]:
    """Return the document."""
    return {
        "schema": SCHEMA,
        "environments": {device: environment.to_json() for device, environment in environments.items()},
        "measurements": [row.to_json() for row in rows],
        "skipped": [row.to_json() for row in skipped],
    }
