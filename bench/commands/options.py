"""Options and parameter types that several commands share."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from common.cli import MAX_NUMBER, Number

MODES = ("rapid", "quick", "normal")
BUDGETS_HELP = "The budgets file  [default: that of edgeproof.toml, else the built-in one]"
Command = TypeVar("Command", bound=Callable[..., Any])


class ThreadCounts(click.ParamType[tuple[int, ...]]):
    """`1` or `1,2,4`: each is measured in a row of its own."""

    name = "N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the counts in the given order, each once."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.isdecimal() and len(part) <= 3 and 1 <= int(part) <= 256 for part in parts):
            self.fail(f"{str(value)[:40]!r}: expected numbers from 1 to 256, such as 1,2,4", param, ctx)
        return tuple(dict.fromkeys(int(part) for part in parts))


class WithBudgets(click.Command):
    """A command with an option for each kind of budget; the table of kinds is read when the command is called."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and those of the budgets, each named by the budget's key."""
        from bench.budgets.kinds import KINDS

        budgets: list[click.Parameter] = []
        for kind in KINDS.values():
            if kind.option_name is not None:
                values = Number(0, 1 if kind.share else None, min_open=not (kind.share or kind.may_be_zero))
                option = [kind.option_name, kind.key]
                budgets.append(click.Option(option, type=values, help=kind.help, default=kind.default, show_default=True))
        return [*budgets, *super().get_params(ctx)]


class Duration(click.ParamType[float]):
    """`90s`, `10m` or `1h`, in seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", str(value))
        if match is None or not 0 < float(match[1]) <= MAX_NUMBER:
            self.fail(f"{str(value)[:40]!r}: expected a time such as 90s, 10m or 1h", param, ctx)
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def judging(command: Command) -> Command:
    """Give a command the options that `check` and `gate` share."""
    file = click.Path(path_type=Path)
    for option in (
        click.option("--json", type=file, metavar="FILE", help="Write everything as JSON."),
        click.option("--bmf", type=file, metavar="FILE", help="Write Bencher Metric Format."),
        click.option("--markdown", type=file, metavar="FILE", help="Write a pull request's comment."),
        click.option("--junit", type=file, metavar="FILE", help="Write JUnit XML, one case a budget."),
        click.option(
            "--inconclusive", type=click.Choice(["pass", "fail"]), help="How to count INCONCLUSIVE, in place of exit code 3."
        ),
        click.option("--budgets", type=file, help=BUDGETS_HELP),
    ):
        command = option(command)
    return command
