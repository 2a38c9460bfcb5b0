"""What several commands share: options, output, and work with untrusted files."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from convert.child import Child, Workplace

P = ParamSpec("P")
R = TypeVar("R")
PATH = click.Path(path_type=Path)


def say(line: str) -> None:
    """Print a line; control characters from files are escaped."""
    from device.safe_text import NEWLINE, printable

    click.echo(printable(line, allow=NEWLINE))


def on_untrusted_file(
    child: "Child",
    file: str | Path,
    task: "Callable[Concatenate[Workplace, P], R]",
    *arguments: "P.args",
    **named: "P.kwargs",
) -> "R":
    """Do a task with an untrusted file. Raises EdgeproofError, also for errors in a library."""
    from convert.child import Crashed, Unexpected
    from device.errors import EdgeproofError

    try:
        return child.run(task, *arguments, **named)
    except (Crashed, Unexpected) as error:
        raise EdgeproofError(f"{file}: cannot be imported: {error}") from error
