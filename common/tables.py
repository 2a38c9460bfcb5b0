"""Tables that fit the terminal, and 120 columns where there is none; tables in Markdown."""

import io
import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from device.safe_text import printable

WIDTH = 120  # where there is no terminal
BETWEEN = 2  # spaces between two columns
# What Markdown would act on: an underscore inside a word it does not, and "(" only after "]"
SPECIAL = re.compile(r"[\\*|<`]|&(?=#?\w+;)|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|~(?=~)|^[#>]")
COMMAND = re.compile(r"(?<![^\s(])(`[^`\s](?:[^`]*[^`\s])?`)(?![\w`])")  # "run `make x`"; nothing else is left to end one
ENTITIES = {"<": "&lt;", "&": "&amp;"}


def table_width() -> int:
    """Return how many columns a table may take: COLUMNS if that is a number over 0, the terminal's, or 120."""
    return shutil.get_terminal_size((WIDTH, 0)).columns


def wrapped(lines: Iterable[str]) -> list[str]:
    """Return sentences in lines that are no wider than a table; no word is split."""
    width = table_width()
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    ]


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[str]], left_out_first: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table that fits.

    Where it is too wide, the columns in `left_out_first` are left out, in that order, until it fits; a last line names
    them. What is still too wide is wrapped inside its cells.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    width = table_width()
    left_out = _left_out(columns, cells, left_out_first, width)
    kept = [place for place, column in enumerate(columns) if column not in left_out]
    shown = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, BETWEEN - 1, 0, 0)
    )  # plus a space that the table draws
    words = [max(cell_len(word) for row in (columns, *cells) for word in (row[place].split() or [""])) for place in kept]
    longest = [max(cell_len(row[place]) for row in (columns, *cells)) for place in kept]
    widths = _fitting(longest, words, width)  # rich itself cuts what does not fit
    for place, columns_wide in zip(kept, widths, strict=True):
        right = _numbers(row[place] for row in cells)
        shown.add_column(columns[place], justify="right" if right else "left", overflow="fold", width=columns_wide)
    for row in cells:
        shown.add_row(*(Text(row[place]) for place in kept))  # no markup: "[0.1]" is an interval
    console = Console(
        width=max(width, _total(widths)), file=io.StringIO(), color_system=None, _environ={}
    )  # without COLUMNS, which is read above
    console.print(shown)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    return [*lines, *textwrap.wrap(f"(at {width} columns without {', '.join(left_out)})", width)] if left_out else lines


def markdown_text(text: str) -> str:
    """Return text from elsewhere on one line so that Markdown shows it as it is, in a sentence or in a table's cell.

    No tag, link, picture, emphasis, heading or further cell begins in it. A command between backticks is shown as code.
    """
    parts = COMMAND.split(_on_one_line(text))  # text and commands in turn
    return "".join(_in_cell(part) if place % 2 else SPECIAL.sub(_escaped, part) for place, part in enumerate(parts))


def _escaped(found: re.Match[str]) -> str:
    return ENTITIES.get(found[0], f"\\{found[0]}")


def _in_cell(code: str) -> str:
    return code.replace("|", "\\|")


def markdown_code(text: str) -> str:
    """Return text from elsewhere as code in a table's cell: it ends with the text, whatever backticks are inside."""
    shown = _in_cell(_on_one_line(text))
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if shown[:1] == "`" or shown[-1:] == "`" else ""
    return f"{fence}{space}{shown}{space}{fence}"


def markdown_link(text: str, path: str) -> str:
    """Return a link to a file, whatever is in its name; after "!" it is a picture."""
    shown = re.sub(r"[\[\]]", r"\\\g<0>", markdown_text(text))
    return f"[{shown}]({quote(path, safe='/@')})"


def _on_one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def markdown_line(cells: Sequence[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(map(markdown_text, cells))} |"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], aligned: Sequence[str]) -> list[str]:
    """Return the lines of a table in Markdown; `aligned` has "---" or "---:", to the right, for each column."""
    return [markdown_line(columns), markdown_line(aligned), *map(markdown_line, rows)]


def _left_out(columns: Sequence[str], rows: Sequence[Sequence[str]], left_out_first: Sequence[str], width: int) -> list[str]:
    widths = dict(zip(columns, (max(map(len, column)) for column in zip(columns, *rows, strict=True)), strict=True))
    left_out: list[str] = []
    for column in left_out_first:
        if _total(list(widths.values())) <= width:
            break
        left_out.append(column)
        del widths[column]
    return left_out


def _fitting(longest: Sequence[int], words: Sequence[int], width: int) -> list[int]:
    """Return the width of each column: that of its longest cell, or less where the table would be too wide.

    Words are split only where the longest ones do not fit beside each other. A column keeps at least one place.
    """
    least = words if _total(words) <= width else [min(1, word) for word in words]
    widths = list(longest)
    while _total(widths) > width and any(wide > low for wide, low in zip(widths, least, strict=True)):
        place = max(range(len(widths)), key=lambda one: (widths[one] > least[one], widths[one]))
        widths[place] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + BETWEEN * max(0, len(widths) - 1)


def _numbers(cells: Iterable[str]) -> bool:
    return all(not cell[:1].isalpha() for cell in cells)
