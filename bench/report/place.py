"""The report's files beside bench.json, and whether they may be written."""

from pathlib import Path

from bench.results.place import not_ours

TITLE = "edgeproof: measurements"  # stands in the head of both files
HEAD_BYTES = 4096


def report_files(results: Path) -> tuple[Path, Path]:
    """Return the paths of report.md and report.html beside bench.json; of NAME.md and NAME.html beside NAME.json."""
    text = results.with_name(results.stem.replace("bench", "report", 1) + ".md")
    return text, text.with_suffix(".html")


def check_report_place(results: Path) -> None:
    """Raise EdgeproofError where the report beside `results` would replace a file that is not one."""
    for path in report_files(results):
        if path.exists() and not _is_report(path):
            raise not_ours(path)


def _is_report(path: Path) -> bool:
    """Say whether a file was written as a report; an empty one holds nothing that could be lost."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return not head or TITLE.encode() in head
