"""What native code writes to standard error, captured."""

import os

import pytest

from common.native_log import captured


def test_reading_does_not_move_the_place_at_which_libraries_write() -> None:
    """A library's thread may write in between: its line would stand over the first ones."""
    with captured() as so_far:
        os.write(2, b"first second")
        os.lseek(2, 5, os.SEEK_SET)
        assert so_far() == "first second"
        assert os.lseek(2, 0, os.SEEK_CUR) == 5


def test_all_that_was_written_is_read_and_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with captured() as so_far:
        os.write(2, b"first\n")
        assert so_far() == "first\n"
        os.write(2, b"second\n")
    assert so_far() == "first\nsecond\n"
    assert capfd.readouterr().err == "first\nsecond\n"
