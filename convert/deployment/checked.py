"""What `convert check` says: of each target whether it runs a file, of each board whether the file fits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.micro_figures import MeasuredFigures
from common.verdict import Verdict
from convert.deployment.compatibility import check_all
from convert.deployment.microcontroller.board import find_board, is_board
from convert.deployment.microcontroller.fit import NOT_COUNTED, fit


@dataclass(frozen=True)
class Checked:
    """What is said of one target or board."""

    name: str
    verdict: Verdict
    text: str
    is_board: bool = False


def check_named(path: Path, names: Sequence[str], results: Path | None) -> list[Checked]:
    """Check a file against the named targets and boards, or against all targets for none or "all".

    Boards are judged by name alone, with the arenas in `results`. Raises EdgeproofError as `check` and `fit` do.
    """
    boards = [find_board(name) for name in names if is_board(name)]
    targets = [name for name in names if not is_board(name)]
    found = []
    if targets or not boards:
        found += [
            Checked(one.target.name, Verdict.PASS if one.runs else Verdict.FAIL, str(one))
            for one in check_all(path, targets)
        ]
    if boards:
        measured = MeasuredFigures.read(results)
        fits = [fit(path, board, measured) for board in boards]
        found += [Checked(one.board.name, one.verdict, str(one), is_board=True) for one in fits]
    return found


def checked_lines(checked: Sequence[Checked]) -> Iterator[str]:
    """Yield a line for each target and board, with aligned names, and what the sizes leave out."""
    width = max(len(one.name) for one in checked)
    for one in checked:
        yield f"{one.name:{width}}  {one.text}"
    if any(one.is_board for one in checked):
        yield NOT_COUNTED
