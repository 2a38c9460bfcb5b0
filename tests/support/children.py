"""A replacement for the child process that converts."""

from collections.abc import Callable
from typing import Any

from convert.child import Child, Workplace


class Here(Child):
    """Does a task in this process, where a test can replace functions."""

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self._workplace = Workplace(say)

    def run(self, task: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return task(self._workplace, *arguments, **named)
