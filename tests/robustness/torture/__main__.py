"""The command `python -m tests.robustness.torture`: every part, its counts, and their table in docs/robustness.md."""

import importlib
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import click

from common.paths import PROGRAM
from tests.robustness.torture.counts import Count, lost, summary, table

HERE = Path(__file__).parent
PAGE = PROGRAM / "docs" / "robustness.md"


def parts() -> dict[str, ModuleType]:
    """Return the modules here that have a `run(short: bool) -> list[Count]`, by their names."""
    names = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    modules = {name: importlib.import_module(f"tests.robustness.torture.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "run")}


@click.command()
@click.argument("names", nargs=-1, metavar="[PART...]")
@click.option("--short", is_flag=True, help="The form for CI: minutes, and the page stays as it is.")
@click.option("--page", type=click.Path(path_type=Path), default=PAGE, help="Where the table is written.")
def main(names: Sequence[str], short: bool, page: Path) -> None:
    """Try to break edgeproof in every PART (all without) and count what survived: exit code 1 where something did not."""
    there = parts()
    if unknown := [name for name in names if name not in there]:
        raise click.UsageError(f"no part {', '.join(unknown)}: there are {', '.join(there)}")
    counts: list[Count] = []
    for name, module in there.items():
        if names and name not in names:
            continue
        found = module.run(short)
        for line in table(found):
            click.echo(line)
        if not short:
            write_section(page, name, found)
        counts += found
    click.echo(summary(counts))
    sys.exit(1 if lost(counts) else 0)


def write_section(page: Path, name: str, counts: Sequence[Count]) -> None:
    """Write a part's table between its marks in the page; the text around the marks stays."""
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    day = datetime.now(UTC).date().isoformat()
    section = "\n".join([first, f"{summary(counts)} ({day})", "", *table(counts), last])
    text = page.read_text(encoding="utf-8") if page.exists() else "# Torture\n"
    marked = re.compile(re.escape(first) + ".*?" + re.escape(last), re.DOTALL)
    if marked.search(text):
        text = marked.sub(lambda _: section, text)
    else:
        text = f"{text.rstrip()}\n\n## {name.replace('_', ' ').capitalize()}\n\n{section}\n"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
