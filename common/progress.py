"""Progress of long work: a bar on a terminal, elsewhere a line every few seconds, both on standard error.

Any layer may report progress. It is shown only if a command line has asked for it (`show_progress`), and only in its own
process: child processes show nothing.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TextIO, TypeVar

EVERY_S = 5.0
T = TypeVar("T")
Advance = Callable[[int], None]


class Board(Protocol):
    """Shows tasks; the last one that began comes first."""

    def begin(self, what: str, total: int | None, *, timing: bool) -> Any:
        """Show a task and return its handle. With `timing`, nothing is printed except when it advances."""

    def advance(self, task: Any, count: int) -> None:
        """Count steps of a task as done."""

    def end(self, task: Any) -> None:
        """Take a task away."""


class Lines:
    """A line every few seconds: for logs and pipes."""

    def __init__(self, stream: TextIO, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._every_s, self._clock = stream, every_s, clock
        self._tasks: list[_Task] = []
        self._lock = threading.RLock()
        self._last_s = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, what: str, total: int | None, *, timing: bool) -> "_Task":
        """Begin a task and return it; the first one starts the thread that writes lines."""
        with self._lock:
            if not self._tasks:
                self._last_s = self._clock()
            task = _Task(what, total, timing, self._clock())
            self._tasks.append(task)
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(target=self._watch, args=(self._stop,), daemon=True)
                self._thread.start()
        return task

    def advance(self, task: "_Task", count: int) -> None:
        """Count steps of a task as done; the line of a timed task is written here."""
        with self._lock:
            task.done += count
            if task.timing:
                self._write_if_due()

    def end(self, task: "_Task") -> None:
        """Take a task away; the last one ends the thread."""
        with self._lock:
            self._tasks.remove(task)
            if not self._tasks:
                self._stop.set()
                self._thread = None

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(self._every_s / 2):
            with self._lock:
                if self._tasks and not any(task.timing for task in self._tasks):
                    self._write_if_due()

    def _write_if_due(self) -> None:
        now_s = self._clock()
        if now_s - self._last_s < self._every_s * 0.9:
            return
        self._last_s = now_s
        try:
            self._stream.write(f"  {self._tasks[-1].line(now_s)}\n")
            self._stream.flush()
        except (OSError, ValueError):  # the reader is gone, or the disk is full: the work goes on
            self._stop.set()


class _Task:
    def __init__(self, what: str, total: int | None, timing: bool, start_s: float) -> None:
        self.what, self.total, self.timing, self._start_s, self.done = what, total, timing, start_s, 0

    def line(self, now_s: float) -> str:
        """Return "preparing pictures: 1,200 of 60,000, 7 s"."""
        counted = f" {self.done:,}," if self.done else ""
        if self.total is not None:
            counted = f" {self.done:,} of {self.total:,},"
        return f"{self.what}:{counted} {now_s - self._start_s:.0f} s"


class Bars:
    """Bars at the end of a terminal's output, removed when the work is done."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream)
        self._progress: Any = None
        self._lock = threading.RLock()
        self._tasks: list[Any] = []

    def begin(self, what: str, total: int | None, *, timing: bool) -> Any:
        """Begin a task and return it; the first one shows the bars."""
        with self._lock:
            if self._progress is None:
                self._progress = _bars(self._console, refresh=not timing)
                self._progress.start()
            task = self._progress.add_task(what, total=total)
            self._tasks.append(task)
            return task

    def advance(self, task: Any, count: int) -> None:
        """Count steps of a task as done; bars that do not refresh themselves are drawn here."""
        with self._lock:
            self._progress.advance(task, count)
            if not self._progress.live.auto_refresh:
                self._progress.refresh()

    def end(self, task: Any) -> None:
        """Take a task away; the last one removes the bars."""
        with self._lock:
            self._tasks.remove(task)
            self._progress.remove_task(task)
            if not self._tasks:
                self._progress.stop()
                self._progress = None


def _bars(console: Any, refresh: bool) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=refresh,
        refresh_per_second=4,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # lines that are printed during the work go above the bars
        redirect_stderr=True,
    )


_board: Board | None = None
_stream: TextIO | None = None
_owner: int | None = None  # the process whose work is shown


def show_progress(board: Board | None = None) -> None:
    """Show this process's progress from now on: on `board`, or as bars or lines, whichever suits standard error."""
    global _board, _stream, _owner
    if board is None and _stream is None:
        try:
            # A descriptor of its own: standard error may be filtered or captured during the work
            _stream = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        except OSError:  # it is closed
            return
    _board, _owner = board, os.getpid()


def hide_progress() -> None:
    """Stop showing progress: for output that a program reads."""
    global _owner
    _owner = None


def _shown_board() -> Board | None:
    global _board
    if os.getpid() != _owner:
        return None
    if _board is None and _stream is not None:
        _board = Bars(_stream) if _stream.isatty() else Lines(_stream)
    return _board


@contextmanager
def task_progress(what: str, total: int | None = None, *, timing: bool = False) -> Iterator[Advance]:
    """Show that `what` is being done, in `total` steps if known; yields a function to call with the number of steps done.

    With `timing`, latencies are being measured: output happens only in those calls, which are made between measurements.
    """
    board = _shown_board()
    if board is None:
        yield lambda _: None
        return
    task = board.begin(what, total, timing=timing)
    try:
        yield lambda count: board.advance(task, count)
    finally:
        board.end(task)


def with_progress(items: Sequence[T], what: str) -> Iterator[T]:
    """Yield the items and show how many are done."""
    with task_progress(what, len(items)) as advance:
        for item in items:
            yield item
            advance(1)
