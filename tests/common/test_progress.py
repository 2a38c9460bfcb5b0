"""What long work shows: nothing if not requested, a line every few seconds, a bar on a terminal."""

import io
import os
import time
from collections.abc import Iterator

import pytest

from common import progress
from common.progress import Bars, Lines, task_progress, with_progress

EVERY_S = 0.02


class Clock:
    """A clock that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _hidden_afterwards() -> Iterator[None]:
    yield
    progress.hide_progress()


def wait_for(stream: io.StringIO, text: str) -> None:
    """Wait until a stream contains a text; fail after ten seconds."""
    end_s = time.monotonic() + 10
    while text not in stream.getvalue():
        assert time.monotonic() < end_s, stream.getvalue()
        time.sleep(0.005)


def test_nothing_is_shown_unless_a_command_line_asks(capfd: pytest.CaptureFixture[str]) -> None:
    with task_progress("work", 2) as advance:
        advance(1)
    assert list(with_progress([1, 2], "work")) == [1, 2]
    assert capfd.readouterr() == ("", "")


def test_a_log_gets_lines_that_say_how_much_is_done() -> None:
    stream = io.StringIO()
    progress.show_progress(Lines(stream, EVERY_S))
    with task_progress("work", 20_000) as advance:
        advance(1_200)
        wait_for(stream, "work: 1,200 of 20,000, 0 s")


def test_work_whose_steps_are_unknown_gets_lines_too() -> None:
    stream = io.StringIO()
    progress.show_progress(Lines(stream, EVERY_S))
    with task_progress("converting"):
        wait_for(stream, "converting: 0 s")


def test_quick_work_shows_no_line() -> None:
    stream = io.StringIO()
    progress.show_progress(Lines(stream, every_s=60))
    assert list(with_progress(range(3), "work")) == [0, 1, 2]
    assert stream.getvalue() == ""


def test_the_work_that_began_last_is_told_of() -> None:
    stream = io.StringIO()
    progress.show_progress(Lines(stream, EVERY_S))
    with task_progress("outer"), task_progress("inner"):
        wait_for(stream, "inner: 0 s")
    assert "outer" not in stream.getvalue()


def test_while_latencies_are_measured_nothing_is_shown_between_the_steps() -> None:
    stream, clock = io.StringIO(), Clock()
    progress.show_progress(Lines(stream, EVERY_S, clock))
    with task_progress("rounds", 3, timing=True) as advance:
        clock.now_s += 7
        time.sleep(5 * EVERY_S)
        assert stream.getvalue() == ""
        advance(1)
        assert stream.getvalue() == "  rounds: 1 of 3, 7 s\n"


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end() -> None:
    stream = Terminal()
    progress.show_progress(Bars(stream))
    with task_progress("work", 3) as advance:
        advance(2)
        wait_for(stream, "2/3")
    assert "work" in stream.getvalue()
    assert stream.getvalue().endswith(("\x1b[2K", "\x1b[?25h", "\r"))


def test_a_process_that_was_forked_shows_nothing() -> None:
    stream = io.StringIO()
    progress.show_progress(Lines(stream, EVERY_S))
    child = os.fork()
    if child == 0:
        with task_progress("work"):
            time.sleep(5 * EVERY_S)
        os._exit(1 if stream.getvalue() else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_work_goes_on_where_nobody_can_read_of_it() -> None:
    stream = io.StringIO()
    progress.show_progress(Lines(stream, EVERY_S, clock := Clock()))
    stream.close()
    done = []
    with task_progress("work", 2, timing=True) as advance:
        for step in (1, 2):
            clock.now_s += 7
            advance(1)
            done.append(step)
    assert done == [1, 2]
